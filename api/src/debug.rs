//! `/debug`: what the chaos suite asks of a node (feature `testing`, never in a release).
//!
//! Not part of the documented API: these paths are not in the table and not in the document.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clients::node_name;
use crate::error::ApiError;
use crate::server::Shared;

pub(crate) fn install(config: &mut ServiceConfig) {
    config
        .route("/debug/state", web::get().to(state))
        .route("/debug/routes", web::get().to(routes))
        .route("/debug/sessions", web::get().to(sessions))
        .route("/debug/snapshot", web::post().to(snapshot))
        .route("/debug/fail-points/{name}", web::put().to(set_fail_point));
}

/// Raft as this node sees it, with the digest of its state at the applied index.
async fn state(shared: web::Data<Shared>) -> impl Responder {
    HttpResponse::Ok().json(shared.node.debug_state())
}

/// The whole route table of this node: filter, or `$share/group/filter`, to nodes.
async fn routes(shared: web::Data<Shared>) -> impl Responder {
    let mut table = Map::new();
    shared.node.read(&mut |state| {
        let name = |node: &u64| json!(node_name(state, *node));
        for (filter, entry) in state.routes().iter() {
            if !entry.nodes().is_empty() {
                table.insert(filter.to_string(), entry.nodes().iter().map(name).collect());
            }
            for group in entry.groups() {
                let members: Value = group.members.iter().map(|(node, _)| name(node)).collect();
                table.insert(format!("$share/{}/{filter}", group.group), members);
            }
        }
    });
    HttpResponse::Ok().json(table)
}

/// How many sessions the directory of this node holds.
async fn sessions(shared: web::Data<Shared>) -> impl Responder {
    let mut count = 0;
    shared.node.read(&mut |state| count = state.sessions().count());
    HttpResponse::Ok().json(json!({ "sessions": count }))
}

/// Takes a snapshot now and purges the log behind it.
async fn snapshot(shared: web::Data<Shared>) -> Result<HttpResponse, ApiError> {
    shared.node.debug_snapshot().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `actions` in the grammar of the `fail` crate: `off`, `1*panic`, `10%sleep(100)`, …
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailPoint {
    actions: String,
}

/// Sets what happens where the code passes a fail point, named `area::step`.
async fn set_fail_point(
    name: web::Path<String>,
    point: web::Json<FailPoint>,
) -> Result<HttpResponse, ApiError> {
    fail::cfg(name.as_str(), &point.actions)
        .map_err(|error| ApiError::bad_request(format!("actions: {error}")))?;
    Ok(HttpResponse::NoContent().finish())
}
