//! Where a replication actor stands, and until when (table at the end of LINK-SPEC 2.4).

use super::PacketToken;
use super::bootstrap::Bootstrap;
use crate::ids::RequestId;
use std::time::Instant;

pub(super) enum State {
    Disconnected {
        retry_at: Instant,
    },
    Connecting {
        deadline: Instant,
    },
    Subscribing {
        deadline: Instant,
    },
    Handshaking(Handshake),
    /// The first run, and the resyncs, which do not change the phase shown.
    Bootstrapping {
        work: Bootstrap,
    },
    Online(Sync),
    Stopped,
}

pub(super) struct Handshake {
    pub(super) request: RequestId,
    pub(super) token: PacketToken,
    pub(super) deadline: Instant,
    pub(super) acknowledged: bool,
    /// `need_bootstrap` of an accepting answer.
    pub(super) answer: Option<bool>,
}

/// Incremental updates while online.
#[derive(Default)]
pub(super) struct Sync {
    pub(super) outstanding: Option<(PacketToken, Instant)>,
    pub(super) send_at: Option<Instant>,
    pub(super) not_before: Option<Instant>,
    pub(super) errors: u32,
}

impl State {
    /// When the state must be looked at again, with the two times that outlive it.
    pub(super) fn deadline(
        &self,
        heartbeat_at: Instant,
        resync_at: Option<Instant>,
    ) -> Option<Instant> {
        match self {
            State::Stopped => None,
            State::Disconnected { retry_at } => Some(*retry_at),
            State::Connecting { deadline } | State::Subscribing { deadline } => Some(*deadline),
            State::Handshaking(handshake) => Some(handshake.deadline),
            State::Bootstrapping { work } => earliest([work.deadline(), Some(heartbeat_at)]),
            State::Online(sync) => {
                let ack = sync.outstanding.map(|(_, deadline)| deadline);
                let resync = resync_at.filter(|_| sync.outstanding.is_none());
                earliest([ack, sync.send_at, Some(heartbeat_at), resync])
            }
        }
    }
}

fn earliest<const N: usize>(times: [Option<Instant>; N]) -> Option<Instant> {
    times.into_iter().flatten().min()
}
