//! No panic, no leak, no log storm.

use std::collections::BTreeMap;

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op};

/// Errors a minute that a node may log while faults go on.
const ERRORS_PER_MINUTE: u64 = 600;
/// What may be more after the drain than before the load, beside a fifth.
const SLACK: [(&str, u64); 3] = [("descriptors", 64), ("threads", 8), ("rss_kib", 96 * 1024)];

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let mut first: BTreeMap<(&str, u64), &Event> = BTreeMap::new();
    let mut found = Vec::new();
    for event in history.iter().filter(|event| event.op == Op::Health) {
        let mut tell = |text: String| found.push(Violation::new(Promise::Health, event.t_us, text));
        if let Some(line) = event.value["fatal"].as_str() {
            tell(format!("{}: {line}", event.node));
        }
        let errors = event.number("errors_per_minute");
        if errors > ERRORS_PER_MINUTE {
            tell(format!("{} logs {errors} errors a minute", event.node));
        }
        if event.number("pid") == 0 {
            continue;
        }
        // A restarted process is compared with itself only.
        let before = first.entry((&event.node, event.number("pid"))).or_insert(event);
        for (what, slack) in SLACK {
            let (was, is) = (before.number(what), event.number(what));
            if is > was + was / 5 + slack {
                tell(format!("{what} of {} grew from {was} to {is}", event.node));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use serde_json::{Value, json};

    fn health(value: Value) -> Event {
        event(1, Kind::State, "observer", Op::Health, "", value)
    }

    #[test]
    fn growth_panics_and_storms_are_told() {
        let start = health(json!({"pid": 7, "descriptors": 100, "threads": 20, "rss_kib": 50_000}));
        let end = health(json!({"pid": 7, "descriptors": 120, "threads": 20, "rss_kib": 90_000}));
        assert_eq!(check(&[start.clone(), end]), []);
        let leak = health(json!({"pid": 7, "descriptors": 900, "threads": 20, "rss_kib": 50_000}));
        assert_eq!(check(&[start, leak]).len(), 1);
        assert_eq!(check(&[health(json!({"fatal": "panicked at x"}))]).len(), 1);
        assert_eq!(check(&[health(json!({"errors_per_minute": 9_000}))]).len(), 1);
    }
}
