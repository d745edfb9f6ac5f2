//! `/livez`, `/readyz`, `/status`.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::server::Shared;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(live))
        .route("/readyz", web::get().to(ready))
        .route("/status", web::get().to(status));
}

async fn live() -> &'static str {
    "ok"
}

async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    match shared.node.ready() {
        Ok(()) => HttpResponse::Ok().body("ok"),
        Err(reason) => HttpResponse::ServiceUnavailable().body(reason),
    }
}

async fn status(shared: web::Data<Shared>) -> HttpResponse {
    let cluster = shared.node.cluster();
    HttpResponse::Ok().json(json!({
        "node": *shared.node.name(),
        "cluster": *shared.node.cluster_name(),
        "quorum": cluster.quorum,
        "failures_tolerated": cluster.failures_tolerated,
        "applied": cluster.applied,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}
