//! What differs between releases (the table of LINK-SPEC 8.2).

use spanmq_link_protocol::message::{MessageRecord, Qos, RouteKey};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// 5.8.0, 5.8.1
    P1,
    /// 5.8.2–5.8.8
    P2,
    /// 5.8.9–5.8.11
    P3,
    /// 5.9.x, 5.10.0–5.10.2, 6.0.0, 6.0.1
    P4,
    /// 5.10.3+, 6.0.2, 6.1.0, 6.1.1, 6.2.0
    P5,
    /// 6.0.3, 6.1.2+, 6.2.1+, 6.3
    P6,
}

impl Profile {
    pub const ALL: [Self; 6] = [Self::P1, Self::P2, Self::P3, Self::P4, Self::P5, Self::P6];

    /// Name for clusters and failures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P1 => "p1",
            Self::P2 => "p2",
            Self::P3 => "p3",
            Self::P4 => "p4",
            Self::P5 => "p5",
            Self::P6 => "p6",
        }
    }

    /// Whether its replication client keeps its session for 60 s.
    #[must_use]
    pub fn keeps_session(self) -> bool {
        matches!(self, Self::P1 | Self::P2 | Self::P3)
    }

    /// Whether `need_bootstrap` of its answers says the truth; the others always say false.
    #[must_use]
    pub fn asks_for_bootstrap(self) -> bool {
        matches!(self, Self::P3 | Self::P5 | Self::P6)
    }

    /// Whether it ends connections that break the protocol.
    #[must_use]
    pub fn disconnects_on_errors(self) -> bool {
        self != Self::P1
    }

    /// Whether it repeats the handshake on the same connection when no answer came.
    #[must_use]
    pub fn repeats_handshake(self) -> bool {
        self == Self::P1
    }

    /// QoS of the hop for a message.
    #[must_use]
    pub fn hop_qos(self, message: Qos) -> u8 {
        if self == Self::P6 { message.as_u8().min(1) } else { message.as_u8() }
    }

    /// The payload of a forwarded message.
    #[must_use]
    pub fn encode(self, record: &MessageRecord) -> bytes::Bytes {
        if self == Self::P6 { record.encode_compressed(true) } else { record.encode(true) }
    }

    /// What it reports of the intersections of one subscription.
    #[must_use]
    pub fn reported(self, intersections: Vec<RouteKey>) -> Vec<RouteKey> {
        let count = if self == Self::P1 { 1 } else { intersections.len() };
        intersections.into_iter().take(count).collect()
    }
}
