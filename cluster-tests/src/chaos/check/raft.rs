//! P9 and P10 from samples of the nodes' own state: one leader a term, equal index means equal
//! state, nothing goes back, and a cluster keeps its identity.

use std::collections::HashMap;

use super::{Promise, Violation};
use crate::chaos::history::{Event, Op};

/// More of one kind say no more.
const EXAMPLES: usize = 5;

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let samples: Vec<&Event> = history.iter().filter(|event| event.op == Op::Raft).collect();
    let mut found = Vec::new();
    for part in [leaders(&samples), digests(&samples), progress(&samples), identity(&samples)] {
        found.extend(part.into_iter().take(EXAMPLES));
    }
    found
}

fn leaders(samples: &[&Event]) -> Vec<Violation> {
    let mut known: HashMap<(&str, u64), &str> = HashMap::new();
    let mut found = Vec::new();
    for sample in samples.iter().filter(|sample| sample.value["role"] == "leader") {
        let term = sample.number("term");
        let leader = known.entry((sample.cluster(), term)).or_insert(&sample.node);
        if *leader != sample.node {
            let text = format!("two leaders in term {term}: {leader} and {}", sample.node);
            found.push(Violation::new(Promise::P9, sample.t_us, text));
        }
    }
    found
}

fn digests(samples: &[&Event]) -> Vec<Violation> {
    let mut known: HashMap<(&str, u64), &Event> = HashMap::new();
    let mut found = Vec::new();
    for sample in samples.iter().filter(|sample| sample.value["digest"].is_string()) {
        let applied = sample.number("applied");
        let first = known.entry((sample.cluster(), applied)).or_insert(sample);
        if first.value["digest"] != sample.value["digest"] {
            let text = format!(
                "state at index {applied} is {} on {} and {} on {}",
                first.value["digest"], first.node, sample.value["digest"], sample.node
            );
            found.push(Violation::new(Promise::P9, sample.t_us, text));
        }
    }
    found
}

/// The term of a member never goes back; what is applied does not within one run of the node.
fn progress(samples: &[&Event]) -> Vec<Violation> {
    let mut before: HashMap<(&str, u64), &Event> = HashMap::new();
    let mut found = Vec::new();
    for sample in samples {
        let member = (sample.node.as_str(), sample.number("id"));
        let earlier = before.insert(member, sample);
        let mut tell = |text: String| found.push(Violation::new(Promise::P9, sample.t_us, text));
        if sample.number("applied") > sample.number("committed") {
            tell(format!("{} applied more than is committed: {}", sample.node, sample.value));
        }
        if sample.number("purged") > sample.number("applied") {
            tell(format!("{} purged more than it applied: {}", sample.node, sample.value));
        }
        let Some(earlier) = earlier else { continue };
        let same_run = earlier.value["incarnation"] == sample.value["incarnation"];
        let fields: &[&str] = if same_run { &["term", "applied", "committed"] } else { &["term"] };
        for field in fields {
            let (was, is) = (earlier.number(field), sample.number(field));
            if is < was {
                tell(format!("{field} of {} went back from {was} to {is}", sample.node));
            }
        }
    }
    found
}

fn identity(samples: &[&Event]) -> Vec<Violation> {
    let mut known: HashMap<&str, &Event> = HashMap::new();
    let mut found = Vec::new();
    for sample in samples.iter().filter(|sample| sample.value["cluster_id"].is_string()) {
        let first = known.entry(sample.cluster()).or_insert(sample);
        if first.value["cluster_id"] != sample.value["cluster_id"] {
            let text = format!(
                "cluster {} is two: {} says {}, {} says {}",
                sample.cluster(),
                first.node,
                first.value["cluster_id"],
                sample.node,
                sample.value["cluster_id"]
            );
            found.push(Violation::new(Promise::P10, sample.t_us, text));
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

    fn sample(node: &str, changes: Value) -> Event {
        let mut value = json!({
            "id": 1, "role": "follower", "term": 2, "applied": 9, "committed": 9, "purged": 3,
            "digest": "aa", "incarnation": 1, "cluster_id": "c",
        });
        if let (Some(value), Value::Object(changes)) = (value.as_object_mut(), changes) {
            value.extend(changes);
        }
        event(1, Kind::State, "observer", Op::Raft, "", value).on(node)
    }

    fn found(history: &[Event]) -> Vec<Promise> {
        check(history).iter().map(|v| v.promise).collect()
    }

    #[test]
    fn nodes_that_agree_are_fine_and_so_is_a_restart() {
        let restarted = json!({"incarnation": 2, "applied": 7, "digest": "07"});
        let history = [
            sample("a/n1", json!({"role": "leader"})),
            sample("a/n2", json!({})),
            sample("a/n2", restarted),
            sample("b/n1", json!({"role": "leader", "digest": "bb", "cluster_id": "d"})),
        ];
        assert_eq!(found(&history), []);
    }

    #[test]
    fn each_contradiction_is_found() {
        let leader = json!({"role": "leader"});
        let two = [sample("a/n1", leader.clone()), sample("a/n2", leader)];
        assert_eq!(found(&two), [Promise::P9]);
        let differs = [sample("a/n1", json!({})), sample("a/n2", json!({"digest": "bb"}))];
        assert_eq!(found(&differs), [Promise::P9]);
        let back = [sample("a/n1", json!({})), sample("a/n1", json!({"term": 1}))];
        assert_eq!(found(&back), [Promise::P9]);
        let early = [sample("a/n1", json!({"committed": 8}))];
        assert_eq!(found(&early), [Promise::P9]);
        let split = [sample("a/n1", json!({})), sample("a/n2", json!({"cluster_id": "d"}))];
        assert_eq!(found(&split), [Promise::P10]);
    }
}
