//! Reading links, their state and their metrics.

use std::sync::Arc;

use actix_web::http::header::ETAG;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use spanmq_api_model::LinkOptions;
use spanmq_link_protocol::config::{self, LinkConfig, ParseContext, Reveal, parse_stored};
use spanmq_link_protocol::status::{
    Dialect, LinkStatus, MetricsReport, NodeLinkState, NodeMetrics, ReasonReport, roll_up,
};
use spanmq_state::Link;

use super::{dialect, is_local};
use crate::error::{ApiError, ApiResult};
use crate::question;
use crate::server::Shared;

pub(super) const NOT_FOUND: &str = "Cluster link not found";

pub(super) async fn list(
    shared: web::Data<Shared>,
    options: web::Query<LinkOptions>,
) -> ApiResult<HttpResponse> {
    let stale = fresh(&shared, &options).await;
    let links = all(&shared);
    let names: Vec<String> = links.iter().map(|link| link.name.to_string()).collect();
    let states = question::links::link_states(&*shared.node, &names).await;
    let dialect = dialect(&options, &shared);
    let objects: ApiResult<Vec<Value>> = links
        .iter()
        .zip(states)
        .map(|(link, nodes)| object(&shared, link, nodes, dialect))
        .collect();
    let mut response = HttpResponse::Ok();
    if stale {
        response.insert_header(("x-spanmq-stale", shared.node.cluster().applied.to_string()));
    }
    Ok(response.json(objects?))
}

pub(super) async fn one_emqx(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    options: web::Query<LinkOptions>,
) -> ApiResult<HttpResponse> {
    one(&shared, &name, &options, Dialect::Emqx).await
}

pub(super) async fn one_document(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    options: web::Query<LinkOptions>,
) -> ApiResult<HttpResponse> {
    let dialect = dialect(&options, &shared);
    one(&shared, &name, &options, dialect).await
}

async fn one(
    shared: &Shared,
    name: &str,
    options: &LinkOptions,
    dialect: Dialect,
) -> ApiResult<HttpResponse> {
    let stale = fresh(shared, options).await;
    let link = get(shared, name).ok_or_else(|| ApiError::not_found(NOT_FOUND))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, format!("\"{}\"", link.revision)));
    if stale {
        response.insert_header(("x-spanmq-stale", shared.node.cluster().applied.to_string()));
    }
    Ok(response.json(shown(shared, &link, dialect).await?))
}

/// Waits for what the leader has applied. Without a quorum the local state is shown, marked stale:
/// status and metrics never need a quorum.
async fn fresh(shared: &Shared, options: &LinkOptions) -> bool {
    !is_local(options) && shared.node.barrier().await.is_err()
}

/// The link object with the present state of all nodes.
pub(super) async fn shown(shared: &Shared, link: &Link, dialect: Dialect) -> ApiResult<Value> {
    let name = link.name.to_string();
    let mut states = question::links::link_states(&*shared.node, std::slice::from_ref(&name)).await;
    object(shared, link, states.pop().unwrap_or_default(), dialect)
}

fn object(
    shared: &Shared,
    link: &Link,
    nodes: Vec<NodeLinkState>,
    dialect: Dialect,
) -> ApiResult<Value> {
    let parsed = parsed(shared, link)?;
    let mut object = parsed.to_json(Reveal::Redacted);
    let LinkStatus { status, node_status, replication_status, reason, since, warnings } =
        roll_up(nodes, dialect);
    let extra = json!({
        "enable": link.enable,
        "ps_actor_incarnation": link.counter,
        "paused": link.paused,
        "revision": link.revision,
        "status": status,
        "node_status": node_status,
        "replication_status": replication_status,
        "reason": reason,
        "since": since,
        "warnings": all_warnings(&parsed, &warnings),
    });
    if let (Some(object), Value::Object(extra)) = (object.as_object_mut(), extra) {
        object.extend(extra.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Ok(object)
}

/// Of the configuration, then of what the nodes see.
fn all_warnings(link: &LinkConfig, seen: &[ReasonReport]) -> Vec<Value> {
    let configured = config::warnings(link);
    let configured = configured.iter().map(|w| json!({ "code": w.code, "message": w.message }));
    configured.chain(seen.iter().map(|warning| json!(warning))).collect()
}

/// The stored configuration, checked.
pub(super) fn parsed(shared: &Shared, link: &Link) -> ApiResult<LinkConfig> {
    let damaged = |why: &dyn std::fmt::Display| {
        ApiError::internal(format!("The stored link {} cannot be read: {why}", link.name))
    };
    let value = serde_json::from_str(link.config.reveal()).map_err(|error| damaged(&error))?;
    let local_cluster = shared.node.cluster_name();
    parse_stored(&value, ParseContext { local_cluster: &local_cluster })
        .map_err(|_| damaged(&"it was written by a newer version"))
}

pub(super) fn get(shared: &Shared, name: &str) -> Option<Arc<Link>> {
    let mut found = None;
    shared.node.read(&mut |state| found = state.links().get(name).cloned());
    found
}

pub(super) fn all(shared: &Shared) -> Vec<Arc<Link>> {
    let mut links = Vec::new();
    shared.node.read(&mut |state| links = state.links().list().cloned().collect());
    links
}

pub(super) async fn metrics_emqx(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(metrics(&shared, &name).await?))
}

pub(super) async fn metrics_document(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(metrics(&shared, &name).await?.to_document_json()))
}

async fn metrics(shared: &Shared, name: &str) -> ApiResult<MetricsReport> {
    get(shared, name).ok_or_else(|| ApiError::not_found(NOT_FOUND))?;
    let nodes = question::links::link_metrics(&*shared.node, name).await;
    let rows = nodes.into_iter().map(|(node, metrics)| NodeMetrics { node, metrics });
    Ok(MetricsReport::of_nodes(rows.collect()))
}
