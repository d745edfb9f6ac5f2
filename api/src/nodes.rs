//! `/cluster` and `/nodes`: never need a quorum.

use actix_web::{HttpResponse, web};
use spanmq_api_model::{ClusterInfo, NodeInfo};

use crate::error::{ApiError, ApiResult};
use crate::ports::{ClusterView, MemberView};
use crate::server::Shared;
use crate::table::{Table, op};

pub(crate) fn endpoints(table: &mut Table) {
    table.get("/cluster", op("cluster", "Shows the cluster.").json::<ClusterInfo>(200), cluster);
    table.get("/nodes", op("cluster", "Lists all members.").list::<NodeInfo>(200), nodes);
    table.get(
        "/nodes/{name}",
        op("cluster", "Shows a member.").json::<NodeInfo>(200).fails(&[404]),
        node,
    );
}

async fn cluster(shared: web::Data<Shared>) -> HttpResponse {
    let view = shared.node.cluster();
    HttpResponse::Ok().json(ClusterInfo {
        name: shared.node.cluster_name().to_string(),
        nodes: view.members.iter().map(|member| member.name.to_string()).collect(),
        this: shared.node.name().to_string(),
        leader: leader(&view),
        term: view.term,
        applied: view.applied,
        quorum: view.quorum,
        failures_tolerated: view.failures_tolerated,
    })
}

fn leader(view: &ClusterView) -> Option<String> {
    let leader = view.members.iter().find(|member| Some(member.id) == view.leader);
    leader.map(|member| member.name.to_string())
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

fn row(member: &MemberView) -> NodeInfo {
    NodeInfo {
        node: member.name.to_string(),
        id: member.id,
        node_status: if member.running { "running" } else { "stopped" }.to_owned(),
        role: member.role.to_owned(),
        cluster_addr: member.cluster_addr.to_string(),
        api_addr: member.api_addr.to_string(),
        version: member.version.to_string(),
    }
}
