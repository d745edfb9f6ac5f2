//! Why a packet was refused, and which code the client is told.

/// A packet that breaks MQTT or a limit of ours. The connection ends with [`BadPacket::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPacket {
    /// The bytes cannot be read as the packet they claim to be (MQTT 5.0 §4.13, 0x81).
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// Readable, but forbidden here (0x82).
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The fixed header announces more than the limit allows (SECURITY-REQUIREMENTS L1, 0x95).
    #[error("packet of {announced} bytes exceeds the limit of {limit}")]
    TooLarge { announced: u32, limit: u32 },
    /// The topic of a PUBLISH or will has wildcards, is empty or too long (0x90).
    #[error("topic name: {0}")]
    TopicName(&'static str),
    /// A topic alias outside of 1…maximum, or one never set (0x94).
    #[error("topic alias {0} is out of range or unknown")]
    TopicAlias(u16),
    /// The first packet speaks another protocol level (CONNACK 0x84, 3.1.1: 1).
    #[error("protocol level {0} is not supported")]
    Version(u8),
    /// A client id that is not allowed (0x85, 3.1.1: 2).
    #[error("client id: {0}")]
    ClientId(&'static str),
}

impl BadPacket {
    /// The MQTT 5.0 reason code; CONNACK and DISCONNECT share these values.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Malformed(_) => 0x81,
            Self::Protocol(_) => 0x82,
            Self::TooLarge { .. } => 0x95,
            Self::TopicName(_) => 0x90,
            Self::TopicAlias(_) => 0x94,
            Self::Version(_) => 0x84,
            Self::ClientId(_) => 0x85,
        }
    }
}
