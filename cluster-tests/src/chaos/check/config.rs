//! P6: the configuration of a link is linearizable through any node.
//!
//! With revisions (which are Raft indexes) a few comparisons decide it. Where an answer carries
//! none (404, 204), a search over each name's operations does.

use std::collections::{BTreeMap, HashSet};

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op, Operation, Outcome, operations};

/// Operations of one name that the search looks at; the history's workloads stay below.
const SEARCHED_MAX: usize = 300;
/// States that the search visits before it gives up without a verdict.
const STATES_MAX: usize = 200_000;

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let mut by_name: BTreeMap<(&str, &str), Vec<Operation<'_>>> = BTreeMap::new();
    for operation in operations(history) {
        if matches!(
            operation.invoke.op,
            Op::LinkCreate | Op::LinkUpdate | Op::LinkDelete | Op::LinkRead
        ) {
            let id = (operation.invoke.cluster(), operation.invoke.key.as_str());
            by_name.entry(id).or_default().push(operation);
        }
    }
    let mut found = Vec::new();
    for ((_, name), operations) in &by_name {
        found.extend(revisions(name, operations));
        found.extend(search(name, operations));
    }
    found
}

fn revisions(name: &str, operations: &[Operation<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut values: BTreeMap<u64, &serde_json::Value> = BTreeMap::new();
    let mut ended: Vec<(u64, u64)> = Vec::new();
    for operation in operations.iter().filter(|o| o.outcome == Outcome::Ok) {
        let Some((end, revision)) = operation.end.and_then(|e| Some((e, e.rev?))) else { continue };
        let value = &end.value["value"];
        let known = values.entry(revision).or_insert(value);
        if *known != value {
            let text = format!("link {name}: revision {revision} is {known} and {value}");
            found.push(Violation::new(Promise::P6, end.t_us, text));
        }
        ended.push((end.t_us, revision));
    }
    ended.sort_unstable();
    // The highest revision among all that had ended by then.
    let mut highest = 0;
    for (_, revision) in &mut ended {
        highest = highest.max(*revision);
        *revision = highest;
    }
    for operation in operations.iter().filter(|o| o.outcome == Outcome::Ok) {
        let Some((end, revision)) = operation.end.and_then(|e| Some((e, e.rev?))) else { continue };
        let before = ended.partition_point(|(at, _)| *at < operation.start_us());
        let Some((_, least)) = before.checked_sub(1).and_then(|at| ended.get(at)) else { continue };
        let writes = operation.invoke.op != Op::LinkRead;
        if revision < *least || (writes && revision == *least) {
            let text = format!(
                "link {name}: {:?} of {} through {} has revision {revision}, though {least} had been answered before it began",
                operation.invoke.op, operation.invoke.proc, end.node
            );
            found.push(Violation::new(Promise::P6, end.t_us, text));
        }
    }
    found
}

/// What a name holds: nothing, or a value.
type Register = Option<u64>;

/// One step of the search: what must hold before, and what holds after.
fn step(operation: &Operation<'_>, register: Register) -> Option<Register> {
    let input = operation.invoke.value["value"].as_u64();
    let done = operation.outcome != Outcome::Fail;
    match operation.invoke.op {
        // Refused because it existed, or because it did not: both say what was there.
        Op::LinkCreate if done => register.is_none().then_some(input),
        Op::LinkCreate => register.is_some().then_some(register),
        Op::LinkUpdate if done => register.is_some().then_some(input),
        Op::LinkUpdate => register.is_none().then_some(register),
        Op::LinkDelete if done => register.is_some().then_some(None),
        Op::LinkDelete => register.is_none().then_some(register),
        _ => {
            let end = operation.end?;
            let seen = if done { end.value["value"].as_u64() } else { None };
            (seen == register).then_some(register)
        }
    }
}

/// Wing and Gong's search with a memory of visited states. Unknown writes may have happened at any
/// time after they began, or never; unknown reads say nothing.
fn search(name: &str, operations: &[Operation<'_>]) -> Option<Violation> {
    let open: Vec<&Operation<'_>> = operations
        .iter()
        .filter(|o| o.outcome != Outcome::Unknown || o.invoke.op != Op::LinkRead)
        .take(SEARCHED_MAX)
        .collect();
    let certain = open.iter().filter(|o| o.outcome != Outcome::Unknown).count();
    let mut visited: HashSet<(Vec<u64>, Register)> = HashSet::new();
    let mut stack = vec![(vec![0_u64; open.len().div_ceil(64)], None::<u64>, 0_usize)];
    let mut furthest = 0;
    while let Some((taken, register, done)) = stack.pop() {
        furthest = furthest.max(done);
        if done == certain {
            return None;
        }
        if visited.len() > STATES_MAX || !visited.insert((taken.clone(), register)) {
            if visited.len() > STATES_MAX {
                return None;
            }
            continue;
        }
        let is_taken = |at: usize| taken[at / 64] >> (at % 64) & 1 == 1;
        // Nothing may come before an operation that had ended before it began.
        let bound = (0..open.len()).filter(|at| !is_taken(*at)).map(|at| open[at].end_us()).min();
        for at in (0..open.len()).filter(|at| !is_taken(*at)) {
            if Some(open[at].start_us()) > bound {
                continue;
            }
            if let Some(next) = step(open[at], register) {
                let mut with = taken.clone();
                with[at / 64] |= 1 << (at % 64);
                let counted = usize::from(open[at].outcome != Outcome::Unknown);
                stack.push((with, next, done + counted));
            }
        }
    }
    let at_us = operations.last().map_or(0, Operation::start_us);
    let text = format!(
        "link {name}: no order explains its {} operations; {furthest} of {certain} can be put in one",
        open.len()
    );
    Some(Violation::new(Promise::P6, at_us, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use serde_json::json;

    fn done(at: u64, until: u64, proc: &str, op: Op, value: u64, rev: u64) -> [Event; 2] {
        let value = json!({"value": value});
        [
            event(at, Kind::Invoke, proc, op, "x", value.clone()),
            event(until, Kind::Ok, proc, op, "x", value).rev(rev),
        ]
    }

    fn sorted(parts: &[[Event; 2]]) -> Vec<Event> {
        let mut history = parts.concat();
        history.sort_by_key(|event| event.t_us);
        history
    }

    #[test]
    fn reads_and_writes_in_order_are_fine() {
        let history = sorted(&[
            done(1, 2, "p", Op::LinkCreate, 1, 10),
            done(3, 6, "p", Op::LinkUpdate, 2, 11),
            done(4, 5, "q", Op::LinkRead, 1, 10),
            done(7, 8, "q", Op::LinkRead, 2, 11),
        ]);
        assert_eq!(check(&history), []);
    }

    #[test]
    fn a_stale_read_is_found_by_its_revision_and_by_the_search() {
        let history = sorted(&[
            done(1, 2, "p", Op::LinkCreate, 1, 10),
            done(3, 4, "p", Op::LinkUpdate, 2, 11),
            done(5, 6, "q", Op::LinkRead, 1, 10),
        ]);
        assert_eq!(check(&history).len(), 2);
    }

    #[test]
    fn a_revision_has_one_value() {
        let history =
            sorted(&[done(1, 4, "p", Op::LinkCreate, 1, 10), done(2, 5, "q", Op::LinkRead, 2, 10)]);
        assert!(check(&history).iter().any(|v| v.text.contains("revision 10 is")));
    }

    #[test]
    fn two_creates_cannot_both_succeed() {
        let history = sorted(&[
            done(1, 5, "p", Op::LinkCreate, 1, 10),
            done(2, 6, "q", Op::LinkCreate, 2, 11),
        ]);
        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_come_late_or_never() {
        for read in [(1, 10), (2, 11)] {
            let mut history = sorted(&[done(1, 2, "p", Op::LinkCreate, 1, 10)]);
            history.push(event(3, Kind::Invoke, "p", Op::LinkUpdate, "x", json!({"value": 2})));
            history.push(event(4, Kind::Info, "p", Op::LinkUpdate, "x", json!(null)));
            history.extend(done(5, 6, "q", Op::LinkRead, read.0, read.1));
            assert_eq!(check(&history), []);
        }
    }
}
