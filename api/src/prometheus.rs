//! `/prometheus/stats`: this node's numbers in the text format 0.0.4. Prefix `spanmq_`, counters end
//! in `_total`, base units; no client ids or topics as labels, so their number stays small.

mod links;
mod text;

use actix_web::{HttpResponse, web};

use crate::metrics::{GAUGES, local, replicated};
use crate::ports::Node;
use crate::server::Shared;
use crate::table::{Table, op};
use text::{Kind, Text};

/// Numbers of the broker that are one metric with a label: (prefix, metric, label, help).
const FAMILIES: [(&str, &str, &str, &str); 4] = [
    (
        "messages_dropped_",
        "messages_dropped_total",
        "reason",
        "Messages that did not reach a session.",
    ),
    ("refused_", "connections_refused_total", "reason", "Connections refused before CONNECT."),
    ("closed_", "connections_closed_total", "reason", "Connections closed by the broker."),
    ("connects_", "connects_total", "result", "CONNECT packets by their answer."),
];

pub(crate) fn endpoints(table: &mut Table) {
    table.get(
        "/prometheus/stats",
        op("monitoring", "Numbers of this node for Prometheus.").text(200),
        stats,
    );
}

async fn stats(shared: web::Data<Shared>) -> HttpResponse {
    let mut text = Text::default();
    broker(&mut text, &*shared.node);
    cluster(&mut text, &shared);
    links::write(&mut text, &*shared.node);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text.finish())
}

fn broker(text: &mut Text, node: &dyn Node) {
    for (name, value) in local(node) {
        if GAUGES.contains(&name.as_str()) {
            text.add(Kind::Gauge, &name, "See /stats of the API.", &[], value as f64);
            continue;
        }
        let family = FAMILIES.iter().find(|(prefix, ..)| name.starts_with(prefix));
        match family {
            Some((prefix, metric, label, help)) => {
                let labels = [(*label, name.trim_start_matches(prefix))];
                text.add(Kind::Counter, metric, help, &labels, value as f64);
            }
            None => {
                let metric = format!("{name}_total");
                text.add(Kind::Counter, &metric, "See /metrics of the API.", &[], value as f64);
            }
        }
    }
}

fn cluster(text: &mut Text, shared: &Shared) {
    let view = shared.node.cluster();
    let gauge = |text: &mut Text, name: &str, help: &str, value: f64| {
        text.add(Kind::Gauge, name, help, &[], value);
    };
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.add(Kind::Gauge, "build_info", "The build; always 1.", &version, 1.0);
    let up = shared.started.elapsed().as_secs_f64();
    gauge(text, "uptime_seconds", "Since the API of this node started.", up);
    let quorum = f64::from(u8::from(view.quorum));
    gauge(text, "cluster_quorum", "1 while a majority is reachable.", quorum);
    let tolerated = view.failures_tolerated as f64;
    gauge(text, "cluster_failures_tolerated", "Further failures survived.", tolerated);
    for (state, running) in [("running", true), ("stopped", false)] {
        let count = view.members.iter().filter(|member| member.running == running).count();
        let help = "Members by what this node sees of them.";
        text.add(Kind::Gauge, "cluster_members", help, &[("state", state)], count as f64);
    }
    let leads = f64::from(u8::from(view.leader == Some(shared.node.id())));
    gauge(text, "raft_leader", "1 on the leader.", leads);
    gauge(text, "raft_term", "Raft term.", view.term as f64);
    gauge(text, "raft_applied_index", "Raft index applied here.", view.applied as f64);
    for (name, value) in replicated(&*shared.node) {
        gauge(text, &name, "Size of the replicated state.", value as f64);
    }
}
