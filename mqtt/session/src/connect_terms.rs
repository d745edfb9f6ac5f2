use crate::{ProtocolVersion, SessionExpiry};

/// What the client said in CONNECT, as far as its session is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTerms {
    /// What it speaks.
    pub version: ProtocolVersion,
    /// Unacknowledged PUBLISH it takes (v5, absent is 65,535; 0 is a protocol error for the shell).
    pub receive_max: u16,
    /// Largest packet it takes (v5).
    pub packet_size_max: Option<u32>,
    /// Topic aliases it takes (v5).
    pub topic_alias_max: u16,
    /// How long its session is to stay, already capped.
    pub expiry: SessionExpiry,
}

impl ConnectTerms {
    /// Those of a v3 client, or of a v5 client without properties.
    #[must_use]
    pub const fn plain(version: ProtocolVersion, expiry: SessionExpiry) -> Self {
        Self { version, receive_max: u16::MAX, packet_size_max: None, topic_alias_max: 0, expiry }
    }
}
