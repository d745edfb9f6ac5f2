//! `/cluster` and `/nodes`: never need a quorum.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::ports::{ClusterView, MemberView};
use crate::server::Shared;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/cluster", web::get().to(cluster))
        .route("/nodes", web::get().to(nodes))
        .route("/nodes/{name}", web::get().to(node));
}

async fn cluster(shared: web::Data<Shared>) -> HttpResponse {
    let view = shared.node.cluster();
    let nodes: Vec<&str> = view.members.iter().map(|member| &*member.name).collect();
    HttpResponse::Ok().json(json!({
        "name": *shared.node.cluster_name(),
        "nodes": nodes,
        "self": *shared.node.name(),
        "leader": leader(&view),
        "term": view.term,
        "applied": view.applied,
        "quorum": view.quorum,
        "failures_tolerated": view.failures_tolerated,
    }))
}

fn leader(view: &ClusterView) -> Option<&str> {
    view.members.iter().find(|m| Some(m.id) == view.leader).map(|m| &*m.name)
}

async fn nodes(shared: web::Data<Shared>) -> HttpResponse {
    let view = shared.node.cluster();
    HttpResponse::Ok().json(view.members.iter().map(row).collect::<Vec<_>>())
}

async fn node(shared: web::Data<Shared>, name: web::Path<String>) -> ApiResult<HttpResponse> {
    let view = shared.node.cluster();
    let member = view.members.iter().find(|member| *member.name == **name);
    let member = member.ok_or_else(|| ApiError::not_found(format!("Node not found: {name}")))?;
    Ok(HttpResponse::Ok().json(row(member)))
}

fn row(member: &MemberView) -> Value {
    json!({
        "node": *member.name,
        "id": member.id,
        "node_status": if member.running { "running" } else { "stopped" },
        "role": member.role,
        "cluster_addr": *member.cluster_addr,
        "api_addr": *member.api_addr,
        "version": *member.version,
    })
}
