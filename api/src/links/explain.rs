//! What happens to a message of a topic: which local filters match, and what each link does with it.

use actix_web::{HttpResponse, web};
use spanmq_api_model::{ExplainQuery, Explanation, LinkExplanation};
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::inbound::may_cross;
use spanmq_state::{Link, State};
use spanmq_topic::matches;

use super::read;
use crate::error::{ApiError, ApiResult};
use crate::server::Shared;

/// Filters shown per list.
const SHOWN_MAX: usize = 100;

pub(super) async fn explain(
    shared: web::Data<Shared>,
    query: web::Query<ExplainQuery>,
) -> ApiResult<HttpResponse> {
    let topic = query.into_inner().topic;
    spanmq_topic::check_name(&topic)
        .map_err(|error| ApiError::bad_request(format!("topic: {topic:?}: {error}")))?;
    let links = read::all(&shared);
    let mut parsed = Vec::new();
    for link in &links {
        parsed.push((link.clone(), read::parsed(&shared, link)?));
    }
    let mut state = None;
    shared.node.read(&mut |now| state = Some(now.clone()));
    let state = state.ok_or_else(|| ApiError::internal("The state cannot be read"))?;
    // All filters are looked at: beside the HTTP workers, on a copy that shares the tables.
    let answer = web::block(move || Explanation {
        local: local(&state, &topic),
        links: parsed.iter().map(|(link, config)| one(&state, link, config, &topic)).collect(),
        topic,
    });
    let answer = answer.await.map_err(|_| ApiError::internal("The routes cannot be read"))?;
    Ok(HttpResponse::Ok().json(answer))
}

fn local(state: &State, topic: &str) -> Vec<String> {
    let all = state.routes().iter().map(|(filter, _)| filter);
    sorted(all.filter(|filter| matches(topic, filter)).map(ToString::to_string))
}

fn sorted(filters: impl Iterator<Item = String>) -> Vec<String> {
    let mut filters: Vec<String> = filters.take(SHOWN_MAX).collect();
    filters.sort_unstable();
    filters
}

fn one(state: &State, link: &Link, config: &LinkConfig, topic: &str) -> LinkExplanation {
    let peer = state.remotes().peer(&link.name);
    let learnt = peer.into_iter().flat_map(|peer| peer.filters());
    let matching = sorted(learnt.filter(|f| matches(topic, f)).map(ToString::to_string));
    let wanted = config.topics.iter().filter(|filter| matches(topic, filter.as_str()));
    let reserved = !may_cross(topic);
    let held = peer.is_some_and(|peer| peer.held_since_ms().is_some());
    let because = match () {
        () if reserved => "of the topics that begin with $ only $SYS/ can leave the cluster",
        () if !link.enable => "the link is disabled here",
        () if peer.is_none() => "the remote has not told us any route yet",
        () if matching.is_empty() => "no filter that the remote asked for matches",
        () if link.paused => "the remote asked for it; the link is paused, so it is kept",
        () if held => "the remote asked for it and is silent now, so it is kept",
        () => "the remote asked for it",
    };
    LinkExplanation {
        name: link.name.to_string(),
        forwarded: link.enable && !reserved && !matching.is_empty(),
        matching,
        wanted: wanted.map(|filter| filter.as_str().to_owned()).collect(),
        because: because.to_owned(),
    }
}
