//! The links of this node under `$SYS` (LINK-SPEC O-2): `$SYS/brokers/NODE/links/LINK/status` when it
//! changes, and with `…/metrics` every `$SYS` interval.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_api::link_values;
use spanmq_api::ports::Node;
use spanmq_mqtt::BrokerHandle;
use tokio::runtime::Handle;

/// How often states are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Publishes until the runtime ends.
pub(crate) fn publish(node: Arc<dyn Node>, broker: BrokerHandle, runtime: &Handle) {
    let interval = broker.sys_interval();
    if interval.is_zero() {
        return;
    }
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD.min(interval));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut published = BTreeMap::new();
        let mut whole_at: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let whole = whole_at.is_none_or(|at| at.elapsed() >= interval);
            if whole {
                whole_at = Some(Instant::now());
            }
            let values = changes(&mut published, link_values(&*node, whole), whole);
            if !values.is_empty() {
                broker.publish_sys(values);
            }
        }
    });
}

/// The topics to be published, below `$SYS/brokers/NODE/`; `published` is what the last states were.
fn changes(
    published: &mut BTreeMap<String, String>,
    links: Vec<spanmq_api::LinkValues>,
    whole: bool,
) -> Vec<(String, String)> {
    let topic = |link: &str, what: &str| format!("links/{link}/{what}");
    let mut values = Vec::new();
    let mut present = BTreeMap::new();
    for link in links {
        if whole || published.get(&link.link) != Some(&link.status) {
            values.push((topic(&link.link, "status"), link.status.clone()));
        }
        values.extend(link.metrics.map(|metrics| (topic(&link.link, "metrics"), metrics)));
        present.insert(link.link, link.status);
    }
    for gone in published.keys().filter(|link| !present.contains_key(*link)) {
        values.push((topic(gone, "status"), String::new()));
        values.push((topic(gone, "metrics"), String::new()));
    }
    *published = present;
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(status: &str, metrics: bool) -> spanmq_api::LinkValues {
        spanmq_api::LinkValues {
            link: "eu".into(),
            status: status.into(),
            metrics: metrics.then(|| "{}".into()),
        }
    }

    #[test]
    fn a_state_is_published_when_it_changes_and_ended_with_its_link() {
        let mut published = BTreeMap::new();
        let mut step = |links: Vec<spanmq_api::LinkValues>, whole| {
            let values = changes(&mut published, links, whole).into_iter();
            values.map(|(topic, value)| format!("{topic}={value}")).collect::<Vec<_>>()
        };
        let whole = ["links/eu/status=up", "links/eu/metrics={}"];
        assert_eq!(step(vec![link("up", true)], true), whole);
        assert!(step(vec![link("up", false)], false).is_empty());
        assert_eq!(step(vec![link("down", false)], false), ["links/eu/status=down"]);
        assert_eq!(step(vec![link("up", true)], true), whole);
        assert_eq!(step(vec![], false), ["links/eu/status=", "links/eu/metrics="]);
        assert!(step(vec![], true).is_empty());
    }
}
