//! P12: how long after the heal everything works again, times the slowness of the machine.

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op, phase};

/// What must come back, and within which time.
const LIMITS_MS: [(&str, u64); 4] =
    [("leader", 3_000), ("clients", 5_000), ("link", 10_000), ("routes", 15_000)];

pub(super) fn check(history: &[Event], slowness: f64) -> Vec<Violation> {
    let Some(heal) = phase(history, "heal") else { return Vec::new() };
    let came = times(history);
    let mut found = Vec::new();
    for (what, limit) in LIMITS_MS {
        let awaited = history.iter().any(|e| e.op == Op::Recovered && e.key == what);
        if !awaited {
            continue;
        }
        let limit = (limit as f64 * slowness) as u64;
        let took = came.iter().find(|(name, _)| name == what).map(|(_, ms)| *ms);
        if took.is_none_or(|ms| ms > limit) {
            let took = took.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"));
            let text = format!("{what} came back after {took}; the limit is {limit} ms");
            found.push(Violation::new(Promise::P12, heal, text));
        }
    }
    found
}

/// What came back, and how long after the heal.
pub(super) fn times(history: &[Event]) -> Vec<(String, u64)> {
    let Some(heal) = phase(history, "heal") else { return Vec::new() };
    let events = history.iter().filter(|e| e.op == Op::Recovered && e.flag("done"));
    events.map(|e| (e.key.clone(), e.t_us.saturating_sub(heal) / 1_000)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use serde_json::json;

    #[test]
    fn what_is_late_or_never_comes_is_told_and_slowness_counts() {
        let mut history = vec![
            event(1_000, Kind::State, "run", Op::Phase, "heal", json!(null)),
            event(4_500, Kind::State, "run", Op::Recovered, "leader", json!({"done": true})),
        ];
        assert_eq!(check(&history, 1.0).len(), 1);
        assert_eq!(check(&history, 1.5), []);
        history.push(event(
            9_000,
            Kind::State,
            "run",
            Op::Recovered,
            "link",
            json!({"done": false}),
        ));
        assert_eq!(check(&history, 1.5).len(), 1);
    }
}
