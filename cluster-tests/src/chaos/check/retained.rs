//! P4: after the heal all nodes hold the same retained value, and one that may stand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op, Operation, Outcome, operations};

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let mut last: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in history.iter().filter(|event| event.op == Op::Retained) {
        last.insert(&event.node, event);
    }
    let writes: Vec<Operation<'_>> = operations(history)
        .into_iter()
        .filter(|o| o.invoke.op == Op::Publish && o.invoke.flag("retain"))
        .collect();
    let keys: BTreeSet<(&str, &str)> =
        writes.iter().map(|w| (w.invoke.cluster(), w.invoke.key.as_str())).collect();
    let mut found = Vec::new();
    for (cluster, key) in keys {
        let here: Vec<&Event> =
            last.values().filter(|event| event.cluster() == cluster).copied().collect();
        let Some(first) = here.first() else { continue };
        let differs = here.iter().find(|event| event.value[key] != first.value[key]);
        if let Some(other) = differs {
            let text = format!(
                "retained {key} is {} on {} and {} on {}",
                first.value[key], first.node, other.value[key], other.node
            );
            found.push(Violation::new(Promise::P4, other.t_us, text));
        }
        let of_key: Vec<_> = writes.iter().filter(|w| w.invoke.key == key).collect();
        let value = &first.value[key];
        if !admissible(value, &of_key) {
            let text = format!(
                "retained {key} is {value}, although a later write was acknowledged, or nobody wrote it"
            );
            found.push(Violation::new(Promise::P4, first.t_us, text));
        }
    }
    found
}

/// Some write of this value has no acknowledged write that began after it had ended.
fn admissible(value: &Value, writes: &[&Operation<'_>]) -> bool {
    let wrote = |write: &&&Operation<'_>| {
        let invoke = write.invoke;
        if value.is_null() {
            return invoke.flag("clear");
        }
        !invoke.flag("clear")
            && value["p"] == invoke.proc.as_str()
            && value["s"] == invoke.value["s"]
    };
    let overwritten = |write: &&Operation<'_>| {
        writes.iter().any(|w| {
            w.outcome == Outcome::Ok && w.invoke.number("qos") > 0 && w.start_us() > write.end_us()
        })
    };
    let nothing_certain =
        !writes.iter().any(|w| w.outcome == Outcome::Ok && w.invoke.number("qos") > 0);
    (value.is_null() && nothing_certain)
        || writes.iter().filter(wrote).any(|write| !overwritten(write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use serde_json::json;

    fn write(at: u64, number: u64, outcome: Kind, clear: bool) -> [Event; 2] {
        let value = json!({"s": number, "qos": 1, "retain": true, "clear": clear});
        [
            event(at, Kind::Invoke, "p", Op::Publish, "r/1", value),
            event(at + 1, outcome, "p", Op::Publish, "r/1", json!({"s": number})),
        ]
    }

    fn seen(node: &str, value: Value) -> Event {
        event(99, Kind::State, "observer", Op::Retained, "", json!({"r/1": value})).on(node)
    }

    #[test]
    fn the_last_acknowledged_write_stands_everywhere() {
        let mut history: Vec<Event> =
            [write(1, 1, Kind::Ok, false), write(3, 2, Kind::Ok, false)].concat();
        history.extend([
            seen("a/n1", json!({"p": "p", "s": 2})),
            seen("a/n2", json!({"p": "p", "s": 2})),
        ]);
        assert_eq!(check(&history), []);
        history[5].value = json!({"r/1": {"p": "p", "s": 1}});
        assert_eq!(check(&history).len(), 1, "the nodes differ");
        history[4].value = json!({"r/1": {"p": "p", "s": 1}});
        assert_eq!(check(&history).len(), 1, "the nodes agree on an old value");
    }

    #[test]
    fn a_write_of_unknown_outcome_may_stand_or_not() {
        for value in [1, 2] {
            let mut history: Vec<Event> =
                [write(1, 1, Kind::Ok, false), write(3, 2, Kind::Info, false)].concat();
            history.push(seen("a/n1", json!({"p": "p", "s": value})));
            assert_eq!(check(&history), []);
        }
    }

    #[test]
    fn a_cleared_value_is_gone_and_stays_so() {
        let mut history: Vec<Event> =
            [write(1, 1, Kind::Ok, false), write(3, 2, Kind::Ok, true)].concat();
        history.push(seen("a/n1", Value::Null));
        assert_eq!(check(&history), []);
        history[4].value = json!({"r/1": {"p": "p", "s": 1}});
        assert_eq!(check(&history).len(), 1);
    }
}
