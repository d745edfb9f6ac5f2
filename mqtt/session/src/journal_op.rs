use serde::{Deserialize, Serialize};

use spanmq_topic::Subscription;

use crate::{Entry, MessageId, SessionMeta, SubscriptionOptions};

/// One change to a persistent session that must survive a restart.
///
/// A session writes them in the order of its changes; [`crate::Session::replay`] reads them back.
/// The order of the variants and their fields is the stored format of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalOp {
    /// Owner, epoch, expiry; always the first op of a session.
    Meta(SessionMeta),
    /// A subscription was added or replaced.
    Subscribed {
        /// Which topics, alone or as member of a group.
        filter: Subscription,
        /// How.
        options: SubscriptionOptions,
    },
    /// A subscription was removed.
    Unsubscribed(Subscription),
    /// A QoS 1 or 2 message waits; the store must hold its body.
    Enqueued(Entry),
    /// It got a packet id and is about to be sent.
    InFlight {
        /// Which entry.
        seq: u64,
        /// Its packet id.
        packet_id: u16,
    },
    /// PUBREC came: the body is no longer needed, the packet id is.
    Released {
        /// Which entry.
        seq: u64,
        /// Its packet id.
        packet_id: u16,
    },
    /// The flow is over.
    Acked {
        /// Which entry.
        seq: u64,
        /// Its packet id, free again.
        packet_id: u16,
    },
    /// An entry that was not in flight is gone without delivery.
    Dropped {
        /// Which entry.
        seq: u64,
    },
    /// A QoS 2 PUBLISH of the client is held by all its destinations.
    Qos2Received {
        /// The client's packet id.
        packet_id: u16,
    },
    /// PUBREL came, the id was forgotten, or the message was refused.
    Qos2Done {
        /// The client's packet id.
        packet_id: u16,
    },
    /// A QoS 2 PUBLISH of the client is about to be routed under this message id. Written before
    /// any destination hears of it: should the node die before [`Self::Qos2Received`], the client's
    /// repeat gets the same id, and whoever has it takes it no second time.
    Qos2Begun {
        /// The client's packet id.
        packet_id: u16,
        /// Under which name it is routed.
        message: MessageId,
    },
    /// The session has had this message of a QoS 2 PUBLISH that was never answered, so that a
    /// repeat may come. Made from [`Self::Enqueued`] when that is read back or left out.
    Took {
        /// Which message.
        message: MessageId,
    },
}

impl JournalOp {
    /// The number of the entry that it is about.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Enqueued(entry) => Some(entry.seq),
            Self::InFlight { seq, .. }
            | Self::Released { seq, .. }
            | Self::Acked { seq, .. }
            | Self::Dropped { seq } => Some(*seq),
            _ => None,
        }
    }

    /// Whether it must be in the store before the packet that it belongs to is written (PUBLISH,
    /// PUBREL, PUBREC, PUBCOMP): without it a restart would break "exactly once". QoS 1 may
    /// repeat, so an [`Self::InFlight`] of QoS 1 may follow its PUBLISH.
    #[must_use]
    pub const fn goes_before_the_packet(&self) -> bool {
        matches!(
            self,
            Self::InFlight { .. }
                | Self::Released { .. }
                | Self::Qos2Received { .. }
                | Self::Qos2Done { .. }
        )
    }
}
