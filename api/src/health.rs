//! `/livez`, `/readyz`, `/status`: never need a quorum.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use spanmq_api_model::{NodeStatus, Readiness, ReadyQuery};

use crate::server::Shared;
use crate::table::{Table, op};

pub(crate) fn endpoints(table: &mut Table) {
    table.get("/livez", op("health", "Whether the process answers.").open().text(200), live);
    table.get(
        "/readyz",
        op("health", "Whether the node serves clients; ?verbose says why not.")
            .open()
            .query::<ReadyQuery>()
            .text(200)
            .json::<Readiness>(200)
            .text(503)
            .json::<Readiness>(503),
        ready,
    );
    table.get(
        "/status",
        op("health", "The node and the cluster in short.").json::<NodeStatus>(200),
        status,
    );
}

async fn live() -> &'static str {
    "ok"
}

/// `?verbose` names states only, nothing that a stranger could use.
async fn ready(shared: web::Data<Shared>, query: web::Query<ReadyQuery>) -> HttpResponse {
    let ready = shared.node.ready();
    let mut response = match &ready {
        Ok(()) => HttpResponse::Ok(),
        Err(_) => HttpResponse::ServiceUnavailable(),
    };
    if query.verbose.is_some() {
        let cluster = shared.node.cluster();
        let word = |good: bool, bad: &str| if good { "ok".to_owned() } else { bad.to_owned() };
        let mut checks = BTreeMap::new();
        checks.insert("quorum".to_owned(), word(cluster.quorum, "no majority is reachable"));
        checks.insert("leader".to_owned(), word(cluster.leader.is_some(), "no leader is known"));
        let serving = ready.as_ref().err().map_or_else(|| "ok".to_owned(), Clone::clone);
        checks.insert("serving".to_owned(), serving);
        return response.json(Readiness { ready: ready.is_ok(), checks });
    }
    let text = ready.err().unwrap_or_else(|| "ok".to_owned());
    response.content_type("text/plain; charset=utf-8").body(text)
}

async fn status(shared: web::Data<Shared>) -> HttpResponse {
    let cluster = shared.node.cluster();
    HttpResponse::Ok().json(NodeStatus {
        node: shared.node.name().to_string(),
        cluster: shared.node.cluster_name().to_string(),
        quorum: cluster.quorum,
        failures_tolerated: cluster.failures_tolerated,
        applied: cluster.applied,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
