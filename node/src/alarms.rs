//! Alarms of this node about its own limits (SECURITY L4, L8, L10): raised at the first hit, ended
//! after a minute without one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spanmq_mqtt::BrokerHandle;
use spanmq_mqtt::metrics::Metrics;
use spanmq_raft::RaftNode;
use spanmq_session::DropReason;
use spanmq_state::Command;
use spanmq_state::command::AlarmCommand;

use crate::wiring::peers::PeerPort;

const PERIOD: Duration = Duration::from_secs(1);
/// How long a limit must not have been hit.
const CALM: Duration = Duration::from_secs(60);

/// One limit whose hits raise an alarm.
struct Limit {
    name: &'static str,
    message: &'static str,
    /// Hits so far.
    hits: fn(&Sources) -> u64,
}

struct Sources {
    metrics: Arc<Metrics>,
    peers: Arc<PeerPort>,
    broker: BrokerHandle,
}

impl Sources {
    fn dropped(&self, reason: DropReason) -> u64 {
        self.metrics.dropped.get(reason as usize).map_or(0, |counter| counter.get())
    }
}

const LIMITS: [Limit; 6] = [
    Limit {
        name: "session_queue_full",
        message: "queues of sessions are full: a client is away or slow for too long, or \
                  mqtt.max_mqueue_len and limits.session_stored_* are too small",
        hits: |of| of.dropped(DropReason::QueueFull) + of.dropped(DropReason::Evicted),
    },
    Limit {
        name: "retained_full",
        message: "retained messages are refused: see retainer.max_payload_size and \
                  retainer.backend",
        hits: |of| of.metrics.retained_refused.get(),
    },
    Limit {
        name: "peer_queue_full",
        message: "messages for another member are refused: it has been unreachable for too long, \
                  or limits.peer_spool_bytes is too small",
        hits: |of| of.peers.refused(),
    },
    Limit {
        name: "connections_full",
        message: "connections are refused: see limits.max_connections, pending_connections, \
                  connections_per_address and the listeners' max_connections",
        hits: |of| {
            let metrics = &of.metrics;
            metrics.refused_total.get()
                + metrics.refused_pending.get()
                + metrics.refused_address.get()
        },
    },
    Limit {
        name: "worker_inbox_full",
        message: "the node has more messages to route than its cores can do",
        hits: |of| of.metrics.worker_inbox_full.get(),
    },
    Limit {
        name: "memory_high",
        message: "memory is above limits.memory_high_percent: new connections and publishes are \
                  refused",
        // Each look above the mark counts.
        hits: |of| of.broker.looks_above_memory_mark(),
    },
];

/// When a limit was hit last, and whether its alarm stands.
#[derive(Debug, Default, Clone, Copy)]
struct Watch {
    hits: u64,
    last: Option<Instant>,
    stands: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    Raise,
    End,
}

impl Watch {
    fn look(&mut self, now: Instant, hits: u64) -> Option<Change> {
        if hits > self.hits {
            self.hits = hits;
            self.last = Some(now);
        }
        let calm = self.last.is_none_or(|last| now.saturating_duration_since(last) >= CALM);
        match (self.stands, calm) {
            (false, false) => Some(Change::Raise),
            (true, true) => Some(Change::End),
            _ => None,
        }
    }
}

/// Watches until the node stops.
pub(crate) fn watch(
    raft: &RaftNode,
    broker: &BrokerHandle,
    peers: Arc<PeerPort>,
    runtime: &tokio::runtime::Handle,
) {
    let (raft, broker) = (raft.clone(), broker.clone());
    let sources = Sources { metrics: broker.metrics(), peers, broker };
    runtime.spawn(async move {
        // Those of an earlier run are ended by the first look, unless they are raised anew.
        let mut watches = LIMITS.each_ref().map(|limit| {
            let state = raft.state();
            let mut standing = state.alarms().standing();
            let stands = standing.any(|of| of.node == raft.id() && &*of.name == limit.name);
            Watch { stands, ..Watch::default() }
        });
        loop {
            tokio::time::sleep(PERIOD).await;
            for (limit, watch) in LIMITS.iter().zip(&mut watches) {
                let Some(change) = watch.look(Instant::now(), (limit.hits)(&sources)) else {
                    continue;
                };
                let command = command(limit, &change, raft.id());
                // Without a quorum nothing is stored; the next look tries again.
                if raft.propose(vec![Command::Alarm(command)]).await.is_ok() {
                    watch.stands = change == Change::Raise;
                    match change {
                        Change::Raise => {
                            tracing::warn!(alarm = limit.name, "{}", limit.message);
                        }
                        Change::End => tracing::info!(alarm = limit.name, "not hit any more"),
                    }
                }
            }
        }
    });
}

fn command(limit: &Limit, change: &Change, node: u64) -> AlarmCommand {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let name = limit.name.into();
    match change {
        Change::Raise => {
            let details = serde_json::json!({ "resource_id": limit.name, "reason": "limit" });
            let (message, details) = (limit.message.into(), details.to_string().into());
            AlarmCommand::Activate { name, node, message, details, at_ms }
        }
        Change::End => AlarmCommand::Deactivate { name, node, at_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stands_from_the_first_hit_to_a_minute_after_the_last() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        assert_eq!(watch.look(at(0), 0), None);
        assert_eq!(watch.look(at(1), 3), Some(Change::Raise));
        // It could not be stored.
        assert_eq!(watch.look(at(2), 3), Some(Change::Raise));
        watch.stands = true;
        assert_eq!(watch.look(at(50), 4), None);
        assert_eq!(watch.look(at(109), 4), None);
        assert_eq!(watch.look(at(110), 4), Some(Change::End));
        watch.stands = false;
        assert_eq!(watch.look(at(111), 4), None);
    }

    #[test]
    fn an_alarm_of_an_earlier_run_ends() {
        let mut watch = Watch { stands: true, ..Watch::default() };
        assert_eq!(watch.look(Instant::now(), 0), Some(Change::End));
    }
}
