//! Creating, changing, deleting links: validated here, decided by the replicated state.

use std::time::Duration;

use actix_web::http::header::IF_MATCH;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use spanmq_api_model::LinkOptions;
use spanmq_link_protocol::config::{
    LinkConfig, ParseContext, PathBase, Reveal, ValidationError, all_errors_text, check_list,
    first_error_text, keep_stored_secrets, parse_create, parse_update,
};
use spanmq_link_protocol::status::Dialect;
use spanmq_linking::Linking;
use spanmq_state::command::{LinkCommand, LinkReply, LinkSpec};
use spanmq_state::{Command, Reply, Revision, SecretText};

use super::{dialect, read};
use crate::auth::Caller;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::question;
use crate::server::Shared;

/// Longest wait for the pool of a link, whatever its `start_timeout`: callers have time limits too.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// An unconditional change that meets a newer revision is made again at most so often.
const ATTEMPTS_MAX: usize = 32;

pub(super) async fn create(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    options: web::Query<LinkOptions>,
    body: Body<Value>,
) -> ApiResult<HttpResponse> {
    let link = parse_new(&shared, &body.0)?;
    check_files(&link, PathBase::Create)?;
    let created = propose(&shared, &caller, "Create", LinkCommand::Create(spec(&link))).await?;
    settled(&shared, &link, created).await;
    let shown = show(&shared, &link.name, dialect(&options, &shared)).await?;
    Ok(HttpResponse::Created().json(shown))
}

/// An object: upsert by name. An array: the whole list (4.3).
pub(super) async fn upsert_or_replace(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    options: web::Query<LinkOptions>,
    request: HttpRequest,
    body: Body<Value>,
) -> ApiResult<HttpResponse> {
    let dialect = dialect(&options, &shared);
    shared.node.barrier().await?;
    if let Value::Array(list) = &body.0 {
        return replace(&shared, &caller, list, dialect).await;
    }
    let name = body.0.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if read::get(&shared, &name).is_some() {
        return update(&shared, &caller, &name, &request, &body.0, dialect).await;
    }
    let link = parse_new(&shared, &body.0)?;
    check_files(&link, PathBase::Create)?;
    let created = propose(&shared, &caller, "Create", LinkCommand::Create(spec(&link))).await?;
    settled(&shared, &link, created).await;
    Ok(HttpResponse::Created().json(show(&shared, &name, dialect).await?))
}

async fn replace(
    shared: &Shared,
    caller: &Caller,
    list: &[Value],
    dialect: Dialect,
) -> ApiResult<HttpResponse> {
    let mut links = Vec::with_capacity(list.len());
    let local_cluster = shared.node.cluster_name();
    let context = ParseContext { local_cluster: &local_cluster };
    for (position, item) in list.iter().enumerate() {
        let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
        let item = with_stored_secrets(shared, name, item)?;
        let parsed = parse_create(&item, context);
        let base = PathBase::Saving { position };
        let link = parsed.map_err(|errors| refuse(&all_errors_text(&errors, base)))?;
        check_files(&link, base)?;
        links.push(link);
    }
    check(&links)?;
    let before: Vec<_> = read::all(shared).iter().map(|link| link.name.clone()).collect();
    let specs = links.iter().map(spec).collect();
    let command = LinkCommand::ReplaceAll { links: specs, expected: None };
    let replaced = propose(shared, caller, "Update", command).await?;
    let stored = read::all(shared);
    let gone = before.iter().filter(|name| !links.iter().any(|link| *link.name == ***name));
    join(
        join_all(links.iter().filter_map(|link| {
            let of = stored.iter().find(|of| *of.name == *link.name)?;
            Some(settled(shared, link, of.revision))
        })),
        join_all(gone.map(|name| stopped(shared, name, replaced))),
    )
    .await;
    let mut shown = Vec::new();
    for link in stored {
        shown.push(read::shown(shared, &link, dialect).await?);
    }
    Ok(HttpResponse::Ok().json(shown))
}

pub(super) async fn update_emqx(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
    request: HttpRequest,
    body: Body<Value>,
) -> ApiResult<HttpResponse> {
    update(&shared, &caller, &name, &request, &body.0, Dialect::Emqx).await
}

pub(super) async fn update_document(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
    options: web::Query<LinkOptions>,
    request: HttpRequest,
    body: Body<Value>,
) -> ApiResult<HttpResponse> {
    let dialect = dialect(&options, &shared);
    update(&shared, &caller, &name, &request, &body.0, dialect).await
}

async fn update(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    request: &HttpRequest,
    body: &Value,
    dialect: Dialect,
) -> ApiResult<HttpResponse> {
    let wanted = if_match(request)?;
    shared.node.barrier().await?;
    // `******` stands for the secret as it was read: the change is tied to that revision and,
    // unless the caller named one, made again on the newer one.
    for _ in 0..ATTEMPTS_MAX {
        let stored = read::get(shared, name).ok_or_else(|| ApiError::not_found(read::NOT_FOUND))?;
        let link = parse_change(shared, name, body)?;
        let expected = Some(wanted.unwrap_or(stored.revision));
        let command = LinkCommand::Update { spec: spec(&link), expected };
        match propose(shared, caller, "Update", command).await {
            Err(refusal) if refusal.status == 412 && wanted.is_none() => {}
            Err(refusal) => return Err(refusal),
            Ok(changed) => {
                settled(shared, &link, changed).await;
                return Ok(HttpResponse::Ok().json(show(shared, name, dialect).await?));
            }
        }
    }
    Err(ApiError::unavailable("Update link failed: others change it all the time; try again"))
}

pub(super) async fn delete(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
    request: HttpRequest,
) -> ApiResult<HttpResponse> {
    let command = LinkCommand::Delete { name: name.as_str().into(), expected: if_match(&request)? };
    let deleted = propose(&shared, &caller, "Delete", command).await?;
    stopped(&shared, &name, deleted).await;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn pause(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    set_paused(&shared, &caller, &name, true).await
}

pub(super) async fn resume(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    set_paused(&shared, &caller, &name, false).await
}

async fn set_paused(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    paused: bool,
) -> ApiResult<HttpResponse> {
    let command = LinkCommand::SetPaused { name: name.into(), paused };
    let changed = propose(shared, caller, "Update", command).await?;
    if let Some(link) = read::get(shared, name) {
        settled(shared, &read::parsed(shared, &link)?, changed).await;
    }
    Ok(HttpResponse::Ok().json(show(shared, name, Dialect::Emqx).await?))
}

/// Zeroes the counters on all running nodes.
pub(super) async fn reset_metrics(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    read::get(&shared, &name).ok_or_else(|| ApiError::not_found(read::NOT_FOUND))?;
    let failed = question::links::reset_link_metrics(&*shared.node, &name).await;
    if failed.is_empty() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let nodes: Vec<Value> = failed.iter().map(|node| json!({ "node": node })).collect();
    Ok(HttpResponse::InternalServerError().json(json!({
        "code": "INTERNAL_ERROR",
        "message": format!("The metrics were not reset on {}", failed.join(", ")),
        "nodes": nodes,
    })))
}

/// The answer shows what came of it on this node, if that is known within `start_timeout` (C-16).
async fn settled(shared: &Shared, link: &LinkConfig, revision: Revision) {
    let limit = link.resource_opts.start_timeout.as_duration().min(SETTLE_MAX);
    shared.node.linking().settled(&link.name, revision, limit).await;
}

/// As [`settled`], for a link that was deleted.
async fn stopped(shared: &Shared, name: &str, revision: Revision) {
    shared.node.linking().gone(name, revision, SETTLE_MAX).await;
}

async fn show(shared: &Shared, name: &str, dialect: Dialect) -> ApiResult<Value> {
    let link = read::get(shared, name).ok_or_else(|| ApiError::not_found(read::NOT_FOUND))?;
    read::shown(shared, &link, dialect).await
}

fn refuse(text: &str) -> ApiError {
    ApiError::bad_request(text)
}

pub(super) fn parse_new(shared: &Shared, body: &Value) -> ApiResult<LinkConfig> {
    let local_cluster = shared.node.cluster_name();
    parse_create(body, ParseContext { local_cluster: &local_cluster })
        .map_err(|errors| refuse(&all_errors_text(&errors, PathBase::Create)))
}

/// Certificates and key of a link that is to run must be usable, as far as this node can see (C-10).
fn check_files(link: &LinkConfig, base: PathBase) -> ApiResult<()> {
    if !(link.enable && link.ssl.enable) {
        return Ok(());
    }
    Linking::check_tls(link).map_err(|reason| {
        let body = json!({ "reason": "bad_ssl_config", "cause": reason.to_string() });
        let body = body.as_object().cloned().unwrap_or_default();
        let error = ValidationError { path: Some(vec!["ssl".to_owned()]), body };
        refuse(&all_errors_text(&[error], base))
    })
}

/// PUT replaces the entry; the path's name wins (C-4), `******` keeps the stored secret.
fn parse_change(shared: &Shared, name: &str, body: &Value) -> ApiResult<LinkConfig> {
    let link = read::get(shared, name).ok_or_else(|| ApiError::not_found(read::NOT_FOUND))?;
    let position = read::all(shared).iter().position(|l| *l.name == *name).unwrap_or(0);
    let stored = read::parsed(shared, &link)?;
    let local_cluster = shared.node.cluster_name();
    let base = PathBase::Update { position };
    let link = parse_update(body, &stored, ParseContext { local_cluster: &local_cluster })
        .map_err(|errors| refuse(&first_error_text(&errors, base)))?;
    check_files(&link, base)?;
    Ok(link)
}

pub(super) fn with_stored_secrets(shared: &Shared, name: &str, body: &Value) -> ApiResult<Value> {
    let mut body = body.clone();
    if let Some(link) = read::get(shared, name) {
        let stored = read::parsed(shared, &link)?.to_json(Reveal::Stored);
        keep_stored_secrets(&mut body, &stored);
    }
    Ok(body)
}

fn check(links: &[LinkConfig]) -> ApiResult<()> {
    let errors: Vec<ValidationError> = check_list(links);
    match errors.is_empty() {
        true => Ok(()),
        false => Err(refuse(&all_errors_text(&errors, PathBase::Saving { position: 0 }))),
    }
}

fn spec(link: &LinkConfig) -> LinkSpec {
    LinkSpec {
        name: link.name.as_str().into(),
        server: link.server.as_text().into(),
        clientid: link.clientid.as_str().into(),
        enable: link.enable,
        config: SecretText::new(link.to_json(Reveal::Stored).to_string()),
        counter: link.ps_actor_incarnation,
    }
}

fn if_match(request: &HttpRequest) -> ApiResult<Option<Revision>> {
    let Some(value) = request.headers().get(IF_MATCH) else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    revision
        .map(Some)
        .ok_or_else(|| ApiError::bad_request("If-Match wants the ETag of an earlier answer"))
}

/// `what` begins the message of other failures.
async fn propose(
    shared: &Shared,
    caller: &Caller,
    what: &str,
    command: LinkCommand,
) -> ApiResult<Revision> {
    if shared.config.links_are_of_the_file {
        let message = format!(
            "{what} link failed: `cluster.links_source` is `file`. Change `cluster.links` in the \
             configuration file of all nodes and start them again."
        );
        return Err(ApiError::new(409, "CONFLICT", message));
    }
    let named = name_of(&command);
    let applied = shared.node.propose(vec![Command::Link(command)]).await?;
    let reply = match applied.replies.into_iter().next() {
        Some(Reply::Link(reply)) => reply,
        _ => return Err(ApiError::internal(format!("{what} link failed: no reply"))),
    };
    tracing::info!(
        operation = what,
        link = named,
        by = caller.name,
        ?reply,
        "link changed over REST"
    );
    match reply {
        LinkReply::Done { revision, .. } | LinkReply::Unchanged { revision } => Ok(revision),
        LinkReply::AlreadyExists { .. } => {
            Err(ApiError::new(400, "ALREADY_EXISTS", "Cluster link already exists"))
        }
        LinkReply::NotFound { .. } => Err(ApiError::not_found(read::NOT_FOUND)),
        LinkReply::Conflict { revision } => Err(ApiError::new(
            412,
            "PRECONDITION_FAILED",
            format!("The link was changed meanwhile; its revision is {revision}. Read it again."),
        )),
        LinkReply::SameConnection { other } => Err(refuse(&format!(
            "{what} link failed: link {other} has the same server and clientid; give this one another clientid"
        ))),
        LinkReply::Duplicate { name } => {
            Err(refuse(&format!("{what} link failed: the name {name} is twice in the list")))
        }
        LinkReply::LinkToSelf => Err(refuse(&format!(
            "{what} link failed: cluster_link_to_self: the name is this cluster's own; use the remote cluster's name"
        ))),
        LinkReply::TooMany { limit } => {
            Err(refuse(&format!("{what} link failed: there are {limit} links already")))
        }
    }
}

fn name_of(command: &LinkCommand) -> String {
    match command {
        LinkCommand::Create(spec) | LinkCommand::Update { spec, .. } => spec.name.to_string(),
        LinkCommand::Delete { name, .. }
        | LinkCommand::SetEnabled { name, .. }
        | LinkCommand::SetPaused { name, .. } => name.to_string(),
        LinkCommand::ReplaceAll { .. } => "*".to_owned(),
    }
}
