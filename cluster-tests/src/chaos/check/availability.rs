//! P13: a broker that refuses everything does not pass. Outside of a window after each begin and
//! end of a fault, publishes through nodes that no fault holds are acknowledged within a second.

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op, Operation, Outcome, faults, operations, phase};

/// Publishes below which no share is claimed.
const ENOUGH: usize = 50;
/// After lease and election.
const AFTER_US: u64 = 2_000_000;
const IN_TIME_US: u64 = 1_000_000;

pub(super) fn check(history: &[Event], lease_ms: u64) -> Vec<Violation> {
    let settle = lease_ms * 1_000 + AFTER_US;
    let counted = counted(history, settle);
    let in_time =
        |o: &&Operation<'_>| o.outcome == Outcome::Ok && o.end_us() - o.start_us() <= IN_TIME_US;
    let good = counted.iter().filter(in_time).count();
    if counted.len() < ENOUGH || good * 100 >= counted.len() * 99 {
        return Vec::new();
    }
    let bad = counted.iter().find(|o| !in_time(o));
    let at = bad.map_or(0, Operation::start_us);
    let first = bad.map_or(String::new(), |o| {
        format!(
            "; the first one: {} #{} through {}",
            o.invoke.proc,
            o.invoke.number("s"),
            o.invoke.node
        )
    });
    let text = format!(
        "{} of {} publishes outside of the faults' windows were not acknowledged within 1 s{first}",
        counted.len() - good,
        counted.len()
    );
    vec![Violation::new(Promise::P13, at, text)]
}

fn counted(history: &[Event], settle: u64) -> Vec<Operation<'_>> {
    let faults = faults(history);
    let from = phase(history, "load").unwrap_or(0);
    let until = phase(history, "drain").unwrap_or(u64::MAX);
    let excused = |o: &Operation<'_>| {
        let (start, node) = (o.start_us(), o.invoke.node.as_str());
        // Where two faults overlap nobody can tell which side is the majority.
        let going = faults.iter().filter(|(begun, ended, _)| (*begun..*ended).contains(&start));
        if going.count() > 1 {
            return true;
        }
        faults.iter().any(|(begun, ended, fault)| {
            let near = |at: u64| {
                start >= at.saturating_sub(IN_TIME_US) && start < at.saturating_add(settle)
            };
            let held = fault.value["affected"]
                .as_array()
                .is_some_and(|nodes| nodes.iter().any(|n| n == node || n == "*"));
            near(*begun) || near(*ended) || (held && start >= *begun && start < *ended)
        })
    };
    let publishes = operations(history).into_iter().filter(|o| {
        o.invoke.op == Op::Publish
            && o.invoke.number("qos") > 0
            && (from..until).contains(&o.start_us())
    });
    publishes.filter(|o| !excused(o)).collect()
}

/// Longest time between two acknowledgements of cluster `a`, the one with the faults.
pub(super) fn longest_pause_ms(history: &[Event]) -> u64 {
    let (Some(from), Some(until)) = (phase(history, "load"), phase(history, "drain")) else {
        return 0;
    };
    let mut ends: Vec<u64> = operations(history)
        .iter()
        .filter(|o| o.invoke.op == Op::Publish && o.invoke.number("qos") > 0)
        .filter(|o| o.outcome == Outcome::Ok && o.invoke.cluster() == "a")
        .map(Operation::end_us)
        .filter(|at| (from..until).contains(at))
        .collect();
    ends.sort_unstable();
    ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use serde_json::json;

    fn publishes(refused_from: u64) -> Vec<Event> {
        let mut history = vec![event(0, Kind::State, "run", Op::Phase, "load", json!(null))];
        for number in 0..100 {
            let at = 10 * number + 1;
            let kind = if at < refused_from { Kind::Ok } else { Kind::Fail };
            let value = json!({"s": number, "qos": 1});
            history.push(event(at, Kind::Invoke, "p", Op::Publish, "t", value.clone()));
            history.push(event(at + 2, kind, "p", Op::Publish, "t", value));
        }
        history.push(event(2_000, Kind::State, "run", Op::Phase, "drain", json!(null)));
        history
    }

    #[test]
    fn a_broker_that_refuses_without_need_fails() {
        assert_eq!(check(&publishes(5_000), 3_000), []);
        assert_eq!(check(&publishes(900), 3_000).len(), 1);
        assert_eq!(longest_pause_ms(&publishes(5_000)), 10);
    }

    #[test]
    fn what_a_fault_holds_up_is_excused() {
        let mut history = publishes(900);
        history.push(event(880, Kind::Nemesis, "n", Op::Fault, "1", json!({})));
        assert_eq!(check(&history, 3_000), []);
    }
}
