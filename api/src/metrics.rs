//! `/metrics` and `/stats`: the numbers of all nodes as JSON. Metrics only grow, stats go up and down.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use spanmq_api_model::{AggregateQuery, NodeNumbers};

use crate::error::ApiResult;
use crate::ports::Node;
use crate::question::{Question, gather};
use crate::server::Shared;
use crate::table::{Table, op};

/// Numbers of the broker that go up and down; the rest only grows.
pub(crate) const GAUGES: [&str; 5] =
    ["connections", "connections_pending", "clients", "sessions", "subscriptions"];

type Numbers = BTreeMap<String, i64>;

pub(crate) fn endpoints(table: &mut Table) {
    table.get(
        "/metrics",
        op("monitoring", "Counters of the MQTT side since the start of each node.")
            .query::<AggregateQuery>()
            .list::<NodeNumbers>(200)
            .fails(&[400]),
        metrics,
    );
    table.get(
        "/stats",
        op("monitoring", "Numbers of the present moment, of each node.")
            .query::<AggregateQuery>()
            .list::<NodeNumbers>(200)
            .fails(&[400]),
        stats,
    );
}

/// All numbers of this node; asked by others too.
pub(crate) fn local(node: &dyn Node) -> Numbers {
    let mut numbers = Numbers::new();
    node.broker().metrics().visit(|name, value| {
        numbers.insert(name.to_owned(), value);
    });
    numbers
}

async fn metrics(
    shared: web::Data<Shared>,
    query: web::Query<AggregateQuery>,
) -> ApiResult<HttpResponse> {
    let rows = rows(&shared, |name| !GAUGES.contains(&name)).await;
    Ok(answer(rows, query.aggregate == Some(true)))
}

async fn stats(
    shared: web::Data<Shared>,
    query: web::Query<AggregateQuery>,
) -> ApiResult<HttpResponse> {
    let mut rows = rows(&shared, |name| GAUGES.contains(&name)).await;
    // The replicated numbers are the same everywhere: with a sum they would count several times.
    let replicated = replicated(&*shared.node);
    if query.aggregate == Some(true) {
        let mut sum = sum(rows);
        sum.numbers.extend(replicated);
        return Ok(HttpResponse::Ok().json([sum]));
    }
    rows.iter_mut().filter(|row| row.reachable).for_each(|row| {
        row.numbers.extend(replicated.clone());
    });
    Ok(HttpResponse::Ok().json(rows))
}

async fn rows(shared: &Shared, wanted: impl Fn(&str) -> bool) -> Vec<NodeNumbers> {
    let (found, silent) = gather::<Numbers>(&*shared.node, &Question::Numbers, None).await;
    let reachable = found.into_iter().map(|(node, mut numbers)| {
        numbers.retain(|name, _| wanted(name));
        NodeNumbers { node: Some(node), reachable: true, numbers }
    });
    let silent = silent.into_iter().map(|node| NodeNumbers {
        node: Some(node),
        reachable: false,
        numbers: Numbers::new(),
    });
    let mut rows: Vec<NodeNumbers> = reachable.chain(silent).collect();
    rows.sort_by(|a, b| a.node.cmp(&b.node));
    rows
}

fn answer(rows: Vec<NodeNumbers>, aggregate: bool) -> HttpResponse {
    match aggregate {
        true => HttpResponse::Ok().json([sum(rows)]),
        false => HttpResponse::Ok().json(rows),
    }
}

fn sum(rows: Vec<NodeNumbers>) -> NodeNumbers {
    let mut sum = NodeNumbers { node: None, reachable: true, numbers: Numbers::new() };
    for row in rows {
        sum.reachable &= row.reachable;
        for (name, value) in row.numbers {
            *sum.numbers.entry(name).or_default() += value;
        }
    }
    sum
}

/// Sizes of the replicated state, as this node has it.
pub(crate) fn replicated(node: &dyn Node) -> Numbers {
    let mut numbers = Numbers::new();
    node.read(&mut |state| {
        let remote = state.remotes().peers().map(|(_, peer)| peer.routes()).sum::<u64>();
        let counts = [
            ("routes", state.routes().filters()),
            ("cluster_sessions", state.sessions().count()),
            ("retained_messages", state.retained().count()),
            ("retained_bytes", state.retained().bytes()),
            ("links", state.links().list().len() as u64),
            ("learnt_routes", remote),
            ("alarms", state.alarms().standing().len() as u64),
        ];
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        numbers = counts.map(|(name, count)| (name.to_owned(), signed(count))).into();
    });
    numbers
}
