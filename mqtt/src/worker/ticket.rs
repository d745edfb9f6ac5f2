//! Tickets: who waits until every destination of a message holds it.

use spanmq_session::FlowId;

use crate::mail::{SlotKey, TicketAddress};
use crate::ports::Outcome;

/// Who is told in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// The client that published, on this worker.
    Flow { key: SlotKey, flow: FlowId },
    /// The worker of the publisher.
    Worker(TicketAddress),
    /// One message of a batch that came from outside of the workers.
    Batch { batch: u32, index: u32 },
    /// A message for a shared group, of which a member on another node was chosen.
    Given { index: u32 },
    /// A session of this worker that gave a message of a shared group back.
    GivenBack { index: u32 },
}

#[derive(Debug)]
struct Ticket {
    owner: Owner,
    /// Destinations that have not answered.
    open: u32,
    outcome: Outcome,
}

/// All open tickets of one worker.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    entries: slab::Slab<Ticket>,
}

impl Tickets {
    /// A ticket that is held once, by the caller, until it has found all destinations.
    pub(crate) fn open(&mut self, owner: Owner) -> u32 {
        let ticket = Ticket { owner, open: 1, outcome: Outcome::NoSubscribers };
        u32::try_from(self.entries.insert(ticket)).expect("fewer than 2^32 tickets")
    }

    /// One more destination.
    pub(crate) fn hold(&mut self, ticket: u32) {
        if let Some(ticket) = self.entries.get_mut(ticket as usize) {
            ticket.open += 1;
        }
    }

    /// A destination answered; the last answer yields the owner and the sum of all.
    pub(crate) fn release(&mut self, ticket: u32, outcome: Outcome) -> Option<(Owner, Outcome)> {
        let entry = self.entries.get_mut(ticket as usize)?;
        entry.outcome = sum(entry.outcome, outcome);
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return None;
        }
        let Ticket { owner, outcome, .. } = self.entries.remove(ticket as usize);
        Some((owner, outcome))
    }
}

/// A refusal by any destination refuses the whole; one that holds it makes it matched.
fn sum(a: Outcome, b: Outcome) -> Outcome {
    match (a, b) {
        (Outcome::Refused(code), _) | (_, Outcome::Refused(code)) => Outcome::Refused(code),
        (Outcome::Held, _) | (_, Outcome::Held) => Outcome::Held,
        (Outcome::NoSubscribers, Outcome::NoSubscribers) => Outcome::NoSubscribers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_told_when_the_last_destination_has_answered() {
        let mut tickets = Tickets::default();
        let ticket = tickets.open(Owner::Batch { batch: 1, index: 0 });
        tickets.hold(ticket);
        assert!(tickets.release(ticket, Outcome::NoSubscribers).is_none());
        let (_, outcome) = tickets.release(ticket, Outcome::Held).unwrap();
        assert_eq!(outcome, Outcome::Held);
        assert!(tickets.release(ticket, Outcome::Held).is_none(), "a late answer is harmless");
    }

    #[test]
    fn one_refusal_refuses_the_whole() {
        let mut tickets = Tickets::default();
        let ticket = tickets.open(Owner::Batch { batch: 1, index: 0 });
        tickets.hold(ticket);
        tickets.release(ticket, Outcome::Refused(0x97));
        let (_, outcome) = tickets.release(ticket, Outcome::Held).unwrap();
        assert_eq!(outcome, Outcome::Refused(0x97));
    }
}
