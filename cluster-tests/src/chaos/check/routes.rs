//! P5: route tables of all nodes equal the subscriptions that live.

use std::collections::{BTreeMap, BTreeSet};

use super::{Promise, Violation};
use crate::chaos::history::{Event, Kind, Op};

/// At most so many entries of each sort are listed per node.
const EXAMPLES: usize = 5;

/// A route: filter and node.
type Route<'a> = (&'a str, &'a str);

#[derive(Default)]
struct Holder<'a> {
    node: &'a str,
    persistent: bool,
    /// Filter → whether it certainly stands.
    filters: BTreeMap<&'a str, bool>,
    /// A CONNECT whose outcome is not known may have moved the session.
    perhaps: Option<&'a str>,
}

pub(super) fn check(history: &[Event]) -> Vec<Violation> {
    let mut last: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in history.iter().filter(|event| event.op == Op::Routes) {
        last.insert(&event.node, event);
    }
    // As things were when the tables were read; afterwards everybody goes home.
    let read = history.iter().rposition(|event| event.op == Op::Routes).unwrap_or(0);
    let (must, may) = truth(&history[..read]);
    let mut found = Vec::new();
    for (node, event) in last {
        let Some(table) = event.value.as_object() else { continue };
        let mut here: BTreeSet<Route<'_>> = BTreeSet::new();
        for (filter, nodes) in table {
            let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
            here.extend(nodes.iter().filter_map(|n| Some((filter.as_str(), n.as_str()?))));
        }
        let own = |route: &&Route<'_>| route.1.split('/').next() == Some(event.cluster());
        let stale: Vec<_> = here.difference(&may).collect();
        let missing: Vec<_> = must.iter().filter(own).filter(|r| !here.contains(*r)).collect();
        for (what, routes) in [("stale", stale), ("missing", missing)] {
            if let Some(examples) = listed(&routes) {
                let text = format!("{} {what} routes on {node}: {examples}", routes.len());
                found.push(Violation::new(Promise::P5, event.t_us, text));
            }
        }
    }
    found
}

fn listed(routes: &[&Route<'_>]) -> Option<String> {
    let shown: Vec<String> =
        routes.iter().take(EXAMPLES).map(|(filter, node)| format!("{filter} at {node}")).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

/// Routes that must be there, and routes that may be.
fn truth(history: &[Event]) -> (BTreeSet<Route<'_>>, BTreeSet<Route<'_>>) {
    let mut holders: BTreeMap<&str, Holder<'_>> = BTreeMap::new();
    for event in history {
        holders.entry(&event.proc).or_default().take(event);
    }
    let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
    for holder in holders.values() {
        for (filter, certain) in &holder.filters {
            may.insert((*filter, holder.node));
            may.extend(holder.perhaps.map(|node| (*filter, node)));
            if *certain && holder.perhaps.is_none() {
                must.insert((*filter, holder.node));
            }
        }
    }
    (must, may)
}

impl<'a> Holder<'a> {
    fn take(&mut self, event: &'a Event) {
        match (event.op, event.kind) {
            (Op::Connect, Kind::Invoke) => self.perhaps = Some(&event.node),
            (Op::Connect, Kind::Ok) => {
                self.perhaps = None;
                self.node = &event.node;
                self.persistent = event.flag("persistent");
                if !event.flag("present") {
                    self.filters.clear();
                }
            }
            (Op::Connect, Kind::Fail) => self.perhaps = None,
            (Op::Subscribe, Kind::Invoke) => {
                self.filters.entry(&event.key).or_insert(false);
            }
            (Op::Subscribe, Kind::Ok) => {
                self.filters.insert(&event.key, true);
            }
            (Op::Unsubscribe, Kind::Invoke) => {
                if let Some(certain) = self.filters.get_mut(event.key.as_str()) {
                    *certain = false;
                }
            }
            (Op::Unsubscribe, Kind::Ok) => {
                self.filters.remove(event.key.as_str());
            }
            (Op::Disconnect, _) if !self.persistent => self.filters.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::build::event;
    use serde_json::{Value, json};

    fn table(value: Value) -> Event {
        event(99, Kind::State, "observer", Op::Routes, "", value)
    }

    fn subscriber(persistent: bool) -> Vec<Event> {
        let connected = json!({"persistent": persistent, "present": false});
        vec![
            event(1, Kind::Ok, "s", Op::Connect, "", connected),
            event(2, Kind::Ok, "s", Op::Subscribe, "t", json!(null)),
        ]
    }

    #[test]
    fn live_subscriptions_are_routes_and_nothing_else_is() {
        let mut history = subscriber(true);
        history.push(table(json!({"t": ["a/n1"]})));
        assert_eq!(check(&history), []);
        history[2].value = json!({"t": ["a/n1", "a/n2"], "u": ["a/n1"]});
        assert_eq!(check(&history).len(), 1, "two stale ones in one line");
        history[2].value = json!({});
        assert_eq!(check(&history).len(), 1, "missing");
    }

    #[test]
    fn a_clean_session_takes_its_routes_along_and_a_persistent_one_does_not() {
        for (persistent, expected) in [(false, json!({})), (true, json!({"t": ["a/n1"]}))] {
            let mut history = subscriber(persistent);
            history.push(event(3, Kind::Info, "s", Op::Disconnect, "", json!(null)));
            history.push(table(expected));
            assert_eq!(check(&history), []);
        }
    }

    #[test]
    fn an_unanswered_subscribe_may_have_a_route() {
        for value in [json!({"t": ["a/n1"]}), json!({"t": ["a/n1"], "u": ["a/n1"]})] {
            let mut history = subscriber(true);
            history.push(event(3, Kind::Invoke, "s", Op::Subscribe, "u", json!(null)));
            history.push(table(value));
            assert_eq!(check(&history), []);
        }
    }
}
