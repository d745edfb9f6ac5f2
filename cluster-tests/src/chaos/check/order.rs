//! P3 (and the order of P7): first receipts of a session are in publish order, per connection of
//! the publisher, topic and QoS, within one epoch of the session. A session that was taken from an
//! owner out of reach gets what that one held as one late batch, in its own order: one step back
//! per such take-over.

use std::collections::{HashMap, HashSet};

use super::sessions::Overview;
use super::{Promise, Violation};
use crate::chaos::history::Event;

/// What is in order by itself.
type Lane<'a> = (u32, &'a str, u64, &'a str, u64);

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let overview = Overview::of(history);
    let mut found = Vec::new();
    for (name, session) in &overview.sessions {
        // What a member of a group has not taken goes to another one, whenever that is (§4.8.2).
        if session.subscriptions.iter().any(|s| s.filter.starts_with("$share/")) {
            continue;
        }
        let mut seen = HashSet::new();
        let mut last: HashMap<Lane<'_>, (u64, usize)> = HashMap::new();
        for receipt in &session.receipts {
            let Some(message) = overview.messages.get(&receipt.id()) else { continue };
            if !seen.insert(receipt.id()) {
                continue;
            }
            let (publisher, number) = receipt.id();
            let lane = (receipt.epoch, publisher, message.connection, message.topic(), message.qos);
            let (before, steps_back) = last.get(&lane).copied().unwrap_or_default();
            let steps_back = steps_back + usize::from(before > number);
            last.insert(lane, (number, steps_back));
            let at = receipt.event.t_us;
            let late_batches = session.takeovers.iter().filter(|moved| **moved <= at).count();
            if before > number && steps_back > late_batches {
                let local = message.operation.invoke.cluster() == session.cluster;
                let promise = if local { Promise::P3 } else { Promise::P7 };
                let begun = message.operation.start_us();
                let hit = overview.stops.iter().any(|(from, until)| *from <= at && begun <= *until);
                let after = if hit { ", after the death or pause of a node" } else { "" };
                let text = format!(
                    "order: {name} got {publisher}#{number} on {} (QoS {}) after #{before}{after}",
                    message.topic(),
                    message.qos
                );
                found.push(Violation::new(promise, receipt.event.t_us, text));
            }
        }
    }
    found
}
