use std::sync::Arc;

use spanmq_topic::SharedFilter;

use super::Session;
use crate::{JournalOp, QoS, Redispatch, queued::Queued};

impl Session {
    /// Gives back what this session was picked for as member of shared groups and has not
    /// acknowledged: all that waits in memory, and QoS 1 in flight. QoS 2 in flight stays: it may
    /// only go to this client [MQTT-4.8.2-4] [MQTT-4.8.2-5]. What waits in the store stays too.
    ///
    /// Call it when the connection or the session has ended, with `elsewhere` telling whether the
    /// group has another member now. Only messages of such groups are given back.
    pub fn reclaim_shared(
        &mut self,
        mut elsewhere: impl FnMut(&SharedFilter) -> bool,
        out: &mut Vec<Redispatch>,
        ops: &mut Vec<JournalOp>,
    ) {
        self.reclaim_in_flight(&mut elsewhere, out, ops);
        let journaled = self.is_persistent();
        self.inbox.retain(|queued| {
            let Some(redispatch) = redispatch(queued, &mut elsewhere) else { return true };
            out.push(redispatch);
            if journaled && queued.entry.qos.is_acknowledged() {
                ops.push(JournalOp::Dropped { seq: queued.entry.seq });
            }
            false
        });
    }

    fn reclaim_in_flight(
        &mut self,
        elsewhere: &mut impl FnMut(&SharedFilter) -> bool,
        out: &mut Vec<Redispatch>,
        ops: &mut Vec<JournalOp>,
    ) {
        let mut index = 0;
        while let Some(flight) = self.window.unacked().get(index) {
            let queued = Some(&flight.queued).filter(|queued| queued.entry.qos == QoS::AtLeastOnce);
            match queued.and_then(|queued| redispatch(queued, elsewhere)) {
                Some(redispatch) => {
                    out.push(redispatch);
                    self.end_flight(index, ops);
                }
                None => index += 1,
            }
        }
    }
}

fn redispatch(
    queued: &Queued,
    elsewhere: &mut impl FnMut(&SharedFilter) -> bool,
) -> Option<Redispatch> {
    let filter = queued.entry.shared.as_ref().filter(|shared| elsewhere(shared))?;
    Some(Redispatch {
        filter: Arc::clone(filter),
        message: Arc::clone(&queued.message),
        qos: queued.entry.qos,
    })
}
