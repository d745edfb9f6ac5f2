/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// There is not even a version.
    #[error("the record is empty")]
    Empty,
    /// Another release wrote it.
    #[error("the record has format version {version}, this release reads version 1")]
    Version {
        /// As read.
        version: u8,
    },
    /// The bytes are no such record, or above the limit.
    #[error("the record cannot be read")]
    Decode {
        /// What the decoder met.
        #[source]
        source: bincode::error::DecodeError,
    },
    /// The bytes go on after the record.
    #[error("{bytes} bytes follow the record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field has a value that its type does not have.
    #[error("the record's {field} is not valid")]
    Invalid {
        /// Which field.
        field: &'static str,
    },
    /// Nothing that this release builds should meet it.
    #[error("the record cannot be written")]
    Encode {
        /// What the encoder met.
        #[source]
        source: bincode::error::EncodeError,
    },
    /// It would not be readable.
    #[error("the record has {bytes} bytes, allowed are {max}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}
