//! `/cluster` and `/nodes`. What only shows never needs a quorum.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::{HttpResponse, web};
use spanmq_api_model::{
    ClusterInfo, JoinTokenAnswer, JoinTokenRequest, NodeInfo, TransferLeaderRequest,
};

use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ports::{ClusterView, MemberView};
use crate::question::rfc3339;
use crate::question::{Facts, facts};
use crate::server::Shared;
use crate::table::{Table, op};

const DAY_S: u64 = 86_400;
const TOKEN_S_MAX: u64 = 3_650 * DAY_S;

pub(crate) fn endpoints(table: &mut Table) {
    table.get("/cluster", op("cluster", "Shows the cluster.").json::<ClusterInfo>(200), cluster);
    table.get("/nodes", op("cluster", "Lists all members.").list::<NodeInfo>(200), nodes);
    table.get(
        "/nodes/{name}",
        op("cluster", "Shows a member.").json::<NodeInfo>(200).fails(&[404]),
        node,
    );
    table.post(
        "/cluster/join_token",
        op("cluster", "Makes a token with which nodes join.")
            .body::<JoinTokenRequest>()
            .json::<JoinTokenAnswer>(200)
            .fails(&[409]),
        join_token,
    );
    table.delete(
        "/cluster/{node}/force_leave",
        op("cluster", "Removes a member, dead or alive; its data stays on its disk.")
            .empty(204)
            .fails(&[404, 409, 503]),
        force_leave,
    );
    table.post(
        "/cluster/transfer_leader",
        op("cluster", "Hands leadership to another voter, such as before maintenance.")
            .body::<TransferLeaderRequest>()
            .empty(204)
            .fails(&[404, 409, 503]),
        transfer_leader,
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
    let facts = facts(&*shared.node, |_| true).await;
    let view = shared.node.cluster();
    let rows = view.members.iter().map(|member| row(member, facts.get(&*member.name)));
    HttpResponse::Ok().json(rows.collect::<Vec<_>>())
}

async fn node(shared: web::Data<Shared>, name: web::Path<String>) -> ApiResult<HttpResponse> {
    let view = shared.node.cluster();
    let member = member(&view, &name)?;
    let facts = facts(&*shared.node, |of| *of == **name).await;
    Ok(HttpResponse::Ok().json(row(member, facts.get(&*member.name))))
}

fn member<'a>(view: &'a ClusterView, name: &str) -> ApiResult<&'a MemberView> {
    let member = view.members.iter().find(|member| *member.name == *name);
    member.ok_or_else(|| ApiError::not_found(format!("Node not found: {name}")))
}

async fn join_token(
    shared: web::Data<Shared>,
    Body(request): Body<JoinTokenRequest>,
) -> ApiResult<HttpResponse> {
    let valid_s = match request.expires_in {
        Some(0) => None,
        Some(long) if long > TOKEN_S_MAX => {
            let message = format!("expires_in: {long} is not between 1 and {TOKEN_S_MAX}, nor 0");
            return Err(ApiError::bad_request(message));
        }
        other => Some(other.unwrap_or(DAY_S)),
    };
    let refused = |why| ApiError::new(409, "CONFLICT", why);
    let made = shared.node.join_token(valid_s).map_err(refused)?;
    let at = |unix_s| rfc3339(UNIX_EPOCH + Duration::from_secs(unix_s));
    let own = shared.node.id();
    let view = shared.node.cluster();
    let seed = view.members.iter().find(|member| member.id == own);
    Ok(HttpResponse::Ok().json(JoinTokenAnswer {
        token: made.token,
        seed: seed.map(|member| member.cluster_addr.to_string()).unwrap_or_default(),
        expires_at: made.expires_unix_s.map_or_else(|| "infinity".to_owned(), at),
    }))
}

async fn force_leave(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    let id = member(&shared.node.cluster(), &name)?.id;
    shared.node.remove_member(id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn transfer_leader(
    shared: web::Data<Shared>,
    Body(request): Body<TransferLeaderRequest>,
) -> ApiResult<HttpResponse> {
    let view = shared.node.cluster();
    let to = match &request.node {
        Some(name) => Some(member(&view, name)?.id),
        None => None,
    };
    shared.node.transfer_leader(to).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn row(member: &MemberView, facts: Option<&Facts>) -> NodeInfo {
    let version = facts.map_or_else(|| member.version.to_string(), |facts| facts.version.clone());
    NodeInfo {
        node: member.name.to_string(),
        id: member.id,
        node_status: if member.running { "running" } else { "stopped" }.to_owned(),
        role: member.role.to_owned(),
        cluster_addr: member.cluster_addr.to_string(),
        api_addr: member.api_addr.to_string(),
        version,
        term: facts.map(|facts| facts.term),
        applied: facts.map(|facts| facts.applied),
        connections: facts.map(|facts| facts.connections),
        memory_used: facts.and_then(|facts| facts.memory_used),
        uptime: facts.map(|facts| facts.uptime_ms),
    }
}
