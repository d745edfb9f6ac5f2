//! The shortest journal of a session, made from a longer one.

use std::collections::HashSet;

use spanmq_session::{JournalOp, MessageId};

/// Leaves out what later ops have undone. Also drops ops that make no sense without others that
/// are missing, because a full disk refused them: what is left always replays.
///
/// `taken` are the messages of QoS 2 publishes not answered yet that the session has had: that is
/// kept, also when the delivery is over, because the publisher may repeat them.
///
/// Empty when the session's meta data is not there.
pub(super) fn reduce(ops: Vec<JournalOp>, taken: HashSet<MessageId>) -> Vec<JournalOp> {
    let Some(meta) = ops.iter().rev().find(|op| matches!(op, JournalOp::Meta(_))).cloned() else {
        return Vec::new();
    };
    let over = finished(&ops);
    let mut reduced = vec![meta];
    let mut waiting = HashSet::new();
    let mut packet_ids = HashSet::new();
    for op in ops {
        let keep = match &op {
            JournalOp::Enqueued(entry) => {
                !over.ended.contains(&entry.seq)
                    && !over.released.contains(&entry.seq)
                    && waiting.insert(entry.seq)
            }
            JournalOp::InFlight { seq, packet_id } => {
                waiting.remove(seq) && *packet_id != 0 && packet_ids.insert(*packet_id)
            }
            JournalOp::Released { seq, packet_id } => {
                !over.ended.contains(seq) && *packet_id != 0 && packet_ids.insert(*packet_id)
            }
            _ => false,
        };
        if keep {
            reduced.push(op);
        }
    }
    reduced.extend(over.subscriptions);
    reduced.extend(over.received);
    reduced.extend(over.begun);
    reduced.extend(took(taken));
    reduced
}

/// The ops that say what a session has had.
pub(super) fn took(taken: HashSet<MessageId>) -> impl Iterator<Item = JournalOp> {
    let mut taken: Vec<_> = taken.into_iter().collect();
    taken.sort_unstable();
    taken.into_iter().map(|message| JournalOp::Took { message })
}

/// What the ops come to in the end.
#[derive(Default)]
struct Finished {
    ended: HashSet<u64>,
    released: HashSet<u64>,
    subscriptions: Vec<JournalOp>,
    received: Vec<JournalOp>,
    begun: Vec<JournalOp>,
}

impl Finished {
    fn end_routing(&mut self, packet_id: u16) {
        self.begun.retain(
            |kept| !matches!(kept, JournalOp::Qos2Begun { packet_id: of, .. } if *of == packet_id),
        );
    }
}

fn finished(ops: &[JournalOp]) -> Finished {
    let mut found = Finished::default();
    let same = |kept: &JournalOp, of: &spanmq_topic::Subscription| match kept {
        JournalOp::Subscribed { filter, .. } => filter == of,
        _ => false,
    };
    for op in ops {
        match op {
            JournalOp::Acked { seq, .. } | JournalOp::Dropped { seq } => {
                found.ended.insert(*seq);
            }
            JournalOp::Released { seq, .. } => {
                found.released.insert(*seq);
            }
            JournalOp::Subscribed { filter, .. } => {
                found.subscriptions.retain(|kept| !same(kept, filter));
                found.subscriptions.push(op.clone());
            }
            JournalOp::Unsubscribed(filter) => {
                found.subscriptions.retain(|kept| !same(kept, filter));
            }
            JournalOp::Qos2Begun { packet_id, .. } => {
                found.end_routing(*packet_id);
                found.begun.push(op.clone());
            }
            JournalOp::Qos2Received { packet_id } => {
                found.end_routing(*packet_id);
                found.received.push(op.clone());
            }
            JournalOp::Qos2Done { packet_id } => {
                found.end_routing(*packet_id);
                found.received.retain(|kept| {
                    !matches!(kept, JournalOp::Qos2Received { packet_id: of } if of == packet_id)
                });
            }
            JournalOp::Meta(_)
            | JournalOp::Enqueued(_)
            | JournalOp::InFlight { .. }
            | JournalOp::Took { .. } => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanmq_session::{Entry, QoS, SessionExpiry, SessionMeta, SubscriptionIds};

    fn reduce(ops: Vec<JournalOp>) -> Vec<JournalOp> {
        super::reduce(ops, HashSet::new())
    }

    fn meta() -> JournalOp {
        let expiry = SessionExpiry::After(60);
        JournalOp::Meta(SessionMeta { epoch: 1, owner: None, expiry, offline_since_ms: None })
    }

    fn enqueued(seq: u64) -> JournalOp {
        JournalOp::Enqueued(Entry {
            seq,
            message: MessageId([seq as u8; 16]),
            size: 1,
            qos: QoS::AtLeastOnce,
            retain: false,
            ids: SubscriptionIds::None,
            shared: None,
        })
    }

    #[test]
    fn acknowledged_messages_leave_nothing_behind() {
        let flight = JournalOp::InFlight { seq: 1, packet_id: 1 };
        let acked = JournalOp::Acked { seq: 1, packet_id: 1 };
        let ops = vec![meta(), enqueued(1), flight, enqueued(2), acked, meta()];
        assert_eq!(reduce(ops), [meta(), enqueued(2)]);
    }

    #[test]
    fn a_released_flow_keeps_its_packet_id_only() {
        let flight = JournalOp::InFlight { seq: 1, packet_id: 7 };
        let released = JournalOp::Released { seq: 1, packet_id: 7 };
        let ops = vec![meta(), enqueued(1), flight, released.clone()];
        assert_eq!(reduce(ops), [meta(), released]);
    }

    #[test]
    fn ops_whose_beginning_is_missing_are_left_out() {
        let flight = JournalOp::InFlight { seq: 5, packet_id: 7 };
        assert_eq!(reduce(vec![meta(), flight.clone(), enqueued(6)]), [meta(), enqueued(6)]);
        assert!(reduce(vec![flight, enqueued(6)]).is_empty());
    }

    #[test]
    fn what_a_publisher_may_repeat_is_remembered_until_it_cannot() {
        let took = JournalOp::Took { message: MessageId([1; 16]) };
        let flight = JournalOp::InFlight { seq: 1, packet_id: 1 };
        let ops = vec![meta(), enqueued(1), flight, JournalOp::Acked { seq: 1, packet_id: 1 }];
        let taken = HashSet::from([MessageId([1; 16])]);
        let once = super::reduce(ops, taken.clone());
        assert_eq!(once, [meta(), took]);
        assert_eq!(super::reduce(once.clone(), taken), once);
        assert_eq!(reduce(once), [meta()]);
    }

    #[test]
    fn a_begun_flow_stays_until_it_is_answered() {
        let begun = JournalOp::Qos2Begun { packet_id: 3, message: MessageId([1; 16]) };
        assert_eq!(reduce(vec![meta(), begun.clone()]), [meta(), begun.clone()]);
        let received = JournalOp::Qos2Received { packet_id: 3 };
        assert_eq!(reduce(vec![meta(), begun.clone(), received.clone()]), [meta(), received]);
        assert_eq!(reduce(vec![meta(), begun, JournalOp::Qos2Done { packet_id: 3 }]), [meta()]);
    }

    #[test]
    fn what_is_reduced_twice_stays_the_same() {
        let ops = vec![
            meta(),
            enqueued(1),
            enqueued(2),
            JournalOp::InFlight { seq: 1, packet_id: 1 },
            JournalOp::Qos2Received { packet_id: 3 },
        ];
        let once = reduce(ops);
        assert_eq!(reduce(once.clone()), once);
    }
}
