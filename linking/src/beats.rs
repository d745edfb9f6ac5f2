//! Signs of life of remote actors on this node, gathered for the leader (W-28).
//!
//! A heartbeat ends a bootstrap on the leader (LINK-SPEC 0.1), so it must not overtake a batch that
//! is still on its way through the log: while one is, the heartbeat is kept back.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use spanmq_link_protocol::upstream::ActorKey;

/// Actors that one report names at most; further ones wait for the next.
const ACTORS_PER_REPORT_MAX: usize = 10_000;

/// What a node heard of one actor since its last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Name of the remote.
    pub cluster: String,
    /// Its actor.
    pub actor: String,
    /// The run that spoke.
    pub incarnation: u64,
    /// It introduced itself.
    pub handshake: bool,
    /// Batches of it were received or applied, or one is being applied now.
    pub batches: bool,
    /// It sent a heartbeat after the last batch, and that batch is applied.
    pub heartbeat: bool,
}

/// What happened on a connection of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Handshake,
    BatchReceived,
    /// Applied, or refused: nothing of it is on its way any more.
    BatchDone,
    Heartbeat,
}

#[derive(Debug, Default)]
struct Heard {
    incarnation: u64,
    handshake: bool,
    batches: bool,
    heartbeat: bool,
    in_flight: u32,
}

/// Everything heard since the last report.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    heard: Mutex<HashMap<ActorKey, Heard>>,
}

impl Beats {
    pub(crate) fn note(&self, actor: &ActorKey, incarnation: u64, sign: Sign) {
        let mut heard = self.heard.lock();
        let entry = heard.entry(actor.clone()).or_default();
        if incarnation > entry.incarnation {
            *entry = Heard { incarnation, ..Heard::default() };
        } else if incarnation < entry.incarnation {
            return;
        }
        match sign {
            Sign::Handshake => entry.handshake = true,
            Sign::BatchReceived => {
                (entry.batches, entry.heartbeat) = (true, false);
                entry.in_flight += 1;
            }
            Sign::BatchDone => {
                (entry.batches, entry.heartbeat) = (true, false);
                entry.in_flight = entry.in_flight.saturating_sub(1);
            }
            Sign::Heartbeat => entry.heartbeat = true,
        }
    }

    /// Takes what is to be reported now.
    pub(crate) fn take(&self) -> Vec<Beat> {
        let mut heard = self.heard.lock();
        let mut report = Vec::new();
        heard.retain(|key, entry| {
            if report.len() == ACTORS_PER_REPORT_MAX {
                return true;
            }
            let idle = entry.in_flight == 0;
            report.push(Beat {
                cluster: key.cluster.clone(),
                actor: key.actor.clone(),
                incarnation: entry.incarnation,
                handshake: std::mem::take(&mut entry.handshake),
                batches: std::mem::take(&mut entry.batches) || !idle,
                heartbeat: idle && entry.heartbeat,
            });
            !idle
        });
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ActorKey {
        ActorKey { cluster: "eu".into(), actor: "n1@h".into() }
    }

    fn only(beats: &Beats) -> Beat {
        let mut report = beats.take();
        assert_eq!(report.len(), 1);
        report.remove(0)
    }

    #[test]
    fn a_heartbeat_waits_until_the_batch_before_it_is_applied() {
        let beats = Beats::default();
        beats.note(&key(), 1, Sign::BatchReceived);
        beats.note(&key(), 1, Sign::Heartbeat);
        let first = only(&beats);
        assert!(first.batches && !first.heartbeat);
        beats.note(&key(), 1, Sign::BatchDone);
        let second = only(&beats);
        assert!(second.batches && !second.heartbeat, "a batch came after the heartbeat");
        beats.note(&key(), 1, Sign::Heartbeat);
        assert!(only(&beats).heartbeat);
        assert_eq!(beats.take(), []);
    }

    #[test]
    fn a_newer_run_replaces_what_was_heard_of_the_older() {
        let beats = Beats::default();
        beats.note(&key(), 1, Sign::BatchReceived);
        beats.note(&key(), 2, Sign::Handshake);
        beats.note(&key(), 1, Sign::Heartbeat);
        let beat = only(&beats);
        assert_eq!((beat.incarnation, beat.handshake, beat.heartbeat), (2, true, false));
        assert!(!beat.batches);
    }
}
