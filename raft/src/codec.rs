//! The one place where this crate meets bincode. Whatever is stored or sent begins with a
//! version byte; golden-byte tests keep version 1 as it is.

use serde::{Serialize, de::DeserializeOwned};

/// Version of everything this crate stores and sends.
const VERSION: u8 = 1;
/// A decoder takes no more memory than this from one value. Frames end at 16 MiB, log records
/// at 32 MiB.
const LIMIT_BYTES: usize = 64 << 20;

/// Bytes that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("nothing there")]
    Empty,
    #[error("format version {0} is unknown here")]
    Version(u8),
    #[error("the bytes do not fit the format")]
    Decode(#[from] bincode::error::DecodeError),
    #[error("{0} bytes too many")]
    TooLong(usize),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT_BYTES>()
}

/// Encodes `value` behind a version byte.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("plain data always encodes into memory");
    bytes
}

/// How many bytes [`encode`] would make.
pub(crate) fn encoded_bytes<T: Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    bincode::serde::encode_into_std_write(value, &mut count, bincode::config::standard())
        .expect("counting never fails");
    count.0
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version(*version));
    }
    let (value, used) = bincode::serde::decode_from_slice(body, config())?;
    match body.len().saturating_sub(used) {
        0 => Ok(value),
        rest => Err(CodecError::TooLong(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_behind_a_version_byte() {
        assert_eq!(encode(&(7u64, "ab")), [1, 7, 2, b'a', b'b']);
        assert_eq!(encoded_bytes(&(7u64, "ab")), 5);
        assert_eq!(decode::<(u64, String)>(&[1, 7, 2, b'a', b'b']).unwrap(), (7, "ab".into()));
    }

    #[test]
    fn other_versions_rests_and_lies_are_errors() {
        assert!(matches!(decode::<u64>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<u64>(&[2, 7]), Err(CodecError::Version(2))));
        assert!(matches!(decode::<u64>(&[1, 7, 7]), Err(CodecError::TooLong(1))));
        let lie = [1, 253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(matches!(decode::<Vec<u8>>(&lie), Err(CodecError::Decode(_))));
    }
}
