use std::sync::Arc;

use spanmq_topic::SharedFilter;

use super::Session;
use crate::{JournalOp, Message, QoS, Redispatch, queued::Queued};

impl Session {
    /// Gives back what this session was picked for as member of shared groups and has not
    /// acknowledged: all that waits in memory, and QoS 1 in flight. QoS 2 in flight stays: it may
    /// only go to this client [MQTT-4.8.2-4] [MQTT-4.8.2-5]. What waits in the store stays too.
    ///
    /// Call it when the connection or the session has ended, with `elsewhere` telling whether a
    /// message can go to another member of its group now. Only such messages are given back, each
    /// with the entry that ends it in the journal: write it when the other member has the message.
    pub fn reclaim_shared(
        &mut self,
        mut elsewhere: impl FnMut(&SharedFilter, &Message, QoS) -> bool,
        out: &mut Vec<Redispatch>,
    ) {
        self.reclaim_in_flight(&mut elsewhere, out);
        let journaled = self.is_persistent();
        self.inbox.retain(|queued| {
            let Some(mut redispatch) = redispatch(queued, &mut elsewhere) else { return true };
            if journaled && queued.entry.qos.is_acknowledged() {
                redispatch.op = Some(JournalOp::Dropped { seq: queued.entry.seq });
            }
            out.push(redispatch);
            false
        });
    }

    fn reclaim_in_flight(
        &mut self,
        elsewhere: &mut impl FnMut(&SharedFilter, &Message, QoS) -> bool,
        out: &mut Vec<Redispatch>,
    ) {
        let mut index = 0;
        let mut ops = Vec::new();
        while let Some(flight) = self.window.unacked().get(index) {
            let queued = Some(&flight.queued).filter(|queued| queued.entry.qos == QoS::AtLeastOnce);
            match queued.and_then(|queued| redispatch(queued, elsewhere)) {
                Some(redispatch) => {
                    self.end_flight(index, &mut ops);
                    out.push(Redispatch { op: ops.pop(), ..redispatch });
                }
                None => index += 1,
            }
        }
    }
}

fn redispatch(
    queued: &Queued,
    elsewhere: &mut impl FnMut(&SharedFilter, &Message, QoS) -> bool,
) -> Option<Redispatch> {
    let shared = queued.entry.shared.as_ref();
    let filter = shared.filter(|shared| elsewhere(shared, &queued.message, queued.entry.qos))?;
    Some(Redispatch {
        filter: Arc::clone(filter),
        message: Arc::clone(&queued.message),
        qos: queued.entry.qos,
        op: None,
    })
}
