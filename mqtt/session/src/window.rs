//! The PUBLISH packets towards the client that it has not acknowledged, and their packet ids.
//!
//! Flows end in any order: each is found by its packet id, never by its place (the other way makes
//! brokers close connections that answer out of order).

use std::collections::VecDeque;

use crate::{queued::Queued, released::Released};

/// A PUBLISH without its PUBACK or PUBREC.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) packet_id: u16,
    pub(crate) queued: Queued,
}

#[derive(Debug)]
pub(crate) struct Window {
    /// In the order in which they were first sent [MQTT-4.6.0-1].
    unacked: VecDeque<Flight>,
    /// How many at the front of `unacked` were sent on the present connection.
    sent: usize,
    /// In the order in which PUBREC came [MQTT-4.6.0-4].
    released: VecDeque<Released>,
    /// How many at the front of `released` were sent on the present connection.
    released_sent: usize,
    bytes: u64,
    next_id: u16,
    /// So many ids from `next_id` on are known to be free.
    free_run: u16,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            unacked: VecDeque::new(),
            sent: 0,
            released: VecDeque::new(),
            released_sent: 0,
            bytes: 0,
            next_id: 1,
            free_run: u16::MAX,
        }
    }
}

impl Window {
    /// Flows that count against the client's receive maximum: sent on this connection and not
    /// over. A released one counts even if its PUBLISH was sent before, which errs to the safe side.
    pub(crate) fn in_use(&self) -> usize {
        self.sent + self.released.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn unacked(&self) -> &VecDeque<Flight> {
        &self.unacked
    }

    pub(crate) fn released(&self) -> &VecDeque<Released> {
        &self.released
    }

    /// All flows, of this connection or not.
    pub(crate) fn len(&self) -> usize {
        self.unacked.len() + self.released.len()
    }

    /// A connection has begun or ended: everything is to be sent again.
    pub(crate) fn restart(&mut self) {
        self.sent = 0;
        self.released_sent = 0;
        if self.unacked.is_empty() && self.unacked.capacity() > 16 {
            self.unacked = VecDeque::new();
        }
    }

    /// The next PUBREL to repeat on this connection.
    pub(crate) fn next_pubrel(&mut self) -> Option<u16> {
        let packet_id = self.released.get(self.released_sent)?.packet_id;
        self.released_sent += 1;
        Some(packet_id)
    }

    /// The next PUBLISH to repeat on this connection, if any.
    pub(crate) fn next_unsent(&self) -> Option<&Flight> {
        self.unacked.get(self.sent)
    }

    /// The place of that PUBLISH.
    pub(crate) const fn sent(&self) -> usize {
        self.sent
    }

    /// That PUBLISH was repeated.
    pub(crate) const fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// Takes a message in, under a new packet id [MQTT-2.2.1-4], as sent.
    pub(crate) fn launch(&mut self, queued: Queued) -> u16 {
        let packet_id = self.take_id();
        self.add(packet_id, queued);
        self.sent = self.unacked.len();
        packet_id
    }

    /// Takes a message in under a known packet id, as not yet sent on this connection.
    pub(crate) fn add(&mut self, packet_id: u16, queued: Queued) {
        self.bytes += queued.size();
        self.unacked.push_back(Flight { packet_id, queued });
    }

    /// Takes a flow in whose PUBREC came earlier.
    pub(crate) fn add_released(&mut self, released: Released) {
        self.released.push_back(released);
    }

    /// Flows came with ids of their own.
    pub(crate) const fn forget_free_run(&mut self) {
        self.free_run = 0;
    }

    /// An id that no flow has. There are 65,535, and the window holds fewer flows.
    fn take_id(&mut self) -> u16 {
        while self.free_run == 0 {
            self.free_run = self.run_from(self.next_id);
            if self.free_run == 0 {
                self.next_id = successor(self.next_id);
            }
        }
        let packet_id = self.next_id;
        self.next_id = successor(packet_id);
        self.free_run -= 1;
        packet_id
    }

    /// How many ids from `id` on are free: the distance to the nearest one in use.
    fn run_from(&self, id: u16) -> u16 {
        let unacked = self.unacked.iter().map(|flight| flight.packet_id);
        let used = unacked.chain(self.released.iter().map(|flow| flow.packet_id));
        used.map(|used| distance(id, used)).min().unwrap_or(u16::MAX)
    }

    pub(crate) fn find(&self, packet_id: u16) -> Option<usize> {
        // Mostly in order of the ids, so the place is known unless something ended out of order.
        let first = self.unacked.front()?.packet_id;
        let guess = usize::from(distance(first, packet_id));
        if self.unacked.get(guess).is_some_and(|flight| flight.packet_id == packet_id) {
            return Some(guess);
        }
        self.unacked.iter().position(|flight| flight.packet_id == packet_id)
    }

    /// Ends the flow at this place.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Flight> {
        let flight = self.unacked.remove(index)?;
        self.bytes -= flight.queued.size();
        if index < self.sent {
            self.sent -= 1;
        }
        Some(flight)
    }

    /// PUBREC came for the flow at this place, and PUBREL goes out now. (If others were still to be
    /// repeated before it, it would be repeated too, which does no harm.)
    pub(crate) fn release(&mut self, index: usize) -> Option<Released> {
        let flight = self.remove(index)?;
        let released = Released { packet_id: flight.packet_id, seq: flight.queued.entry.seq };
        if self.released_sent == self.released.len() {
            self.released_sent += 1;
        }
        self.released.push_back(released);
        Some(released)
    }

    pub(crate) fn find_released(&self, packet_id: u16) -> Option<usize> {
        self.released.iter().position(|flow| flow.packet_id == packet_id)
    }

    pub(crate) fn remove_released(&mut self, index: usize) -> Option<Released> {
        let released = self.released.remove(index)?;
        if index < self.released_sent {
            self.released_sent -= 1;
        }
        Some(released)
    }
}

const fn successor(packet_id: u16) -> u16 {
    if packet_id == u16::MAX { 1 } else { packet_id + 1 }
}

/// Steps of [`successor`] from one id to another.
pub(crate) const fn distance(from: u16, to: u16) -> u16 {
    if to >= from { to - from } else { to.wrapping_sub(from).wrapping_sub(1) }
}
