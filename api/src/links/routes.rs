//! Routes of a link: those learnt from the remote, and ours that it is told.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use spanmq_api_model::{
    LearntRouteView, LinkRoutes, LinkRoutesMeta, LinkRoutesQuery, RemoteActor, SentRouteView,
};
use spanmq_link_protocol::config::TopicList;
use spanmq_state::{LearntRoute, Peer, State};

use super::read;
use crate::clients::node_name;
use crate::error::{ApiError, ApiResult};
use crate::paging::limit_of;
use crate::question::rfc3339_ms;
use crate::server::Shared;

/// Learnt routes are looked through so many at a time.
const STEP: usize = 1_000;

/// A remote may have millions of routes: they are looked through beside the HTTP workers, on a copy
/// of the state that shares its tables.
pub(super) async fn routes(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    query: web::Query<LinkRoutesQuery>,
) -> ApiResult<HttpResponse> {
    let (page, limit) = (query.page.unwrap_or(1), limit_of(query.limit)?);
    let skip = page.checked_sub(1).and_then(|before| before.checked_mul(limit));
    let skip = skip.ok_or_else(|| ApiError::bad_request("page: use 1 and up"))?;
    let link = read::get(&shared, &name).ok_or_else(|| ApiError::not_found(read::NOT_FOUND))?;
    let topics = read::parsed(&shared, &link)?.topics;
    let mut state = None;
    shared.node.read(&mut |now| state = Some(now.clone()));
    let state = state.ok_or_else(|| ApiError::internal("The state cannot be read"))?;
    let (part, window) = (query.filter.clone(), Window { skip, limit });
    let answer = web::block(move || {
        let peer = state.remotes().peer(&link.name).cloned();
        let part = part.as_deref().unwrap_or_default();
        let (sent, sent_more) = sent(&state, &topics, part, window);
        let (learnt, learnt_more) =
            peer.as_deref().map(|peer| learnt(peer, part, window)).unwrap_or_default();
        let count = peer.as_ref().map_or(0, |peer| peer.routes());
        LinkRoutes {
            learnt,
            sent,
            actors: peer.as_ref().map(actors).unwrap_or_default(),
            held_since: peer.as_ref().and_then(|peer| peer.held_since_ms()).map(rfc3339_ms),
            meta: LinkRoutesMeta {
                page,
                limit,
                learnt_count: count,
                hasnext: learnt_more || sent_more,
            },
        }
    });
    let answer = answer.await.map_err(|_| ApiError::internal("The routes cannot be read"))?;
    Ok(HttpResponse::Ok().json(answer))
}

#[derive(Clone, Copy)]
struct Window {
    skip: usize,
    limit: usize,
}

impl Window {
    fn cut<T>(self, rows: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let mut rows: Vec<T> = rows.skip(self.skip).take(self.limit + 1).collect();
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        (rows, more)
    }
}

fn actors(peer: &Arc<Peer>) -> Vec<RemoteActor> {
    let actor = |(name, actor): (&Arc<str>, &spanmq_state::Actor)| RemoteActor {
        actor: name.to_string(),
        incarnation: actor.incarnation,
        last_seen: rfc3339_ms(actor.last_seen_ms),
        routes: actor.routes,
        stale_routes: actor.stale_routes,
    };
    peer.actors().map(actor).collect()
}

fn learnt(peer: &Peer, part: &str, window: Window) -> (Vec<LearntRouteView>, bool) {
    let mut after: Option<LearntRoute> = None;
    let mut ended = false;
    let steps = std::iter::from_fn(|| {
        if ended {
            return None;
        }
        let from = after.as_ref().map(|last| (&*last.filter, &*last.id));
        let step = peer.page(from, STEP);
        ended = step.len() < STEP;
        after = step.last().cloned();
        Some(step)
    });
    let rows = steps.flatten().filter(|route| route.filter.contains(part));
    window.cut(rows.map(|route| LearntRouteView {
        topic: route.filter.to_string(),
        id: route.id.to_string(),
        actors: route.actors.iter().map(ToString::to_string).collect(),
        stale: route.stale,
    }))
}

/// What our nodes have to tell the remote, by the present routes and the link's topics.
fn sent(
    state: &State,
    topics: &TopicList,
    part: &str,
    window: Window,
) -> (Vec<SentRouteView>, bool) {
    let mut routes: Vec<_> = state
        .routes()
        .iter()
        .map(|(filter, entry)| (filter, entry, topics.intersections(filter)))
        .filter(|(_, _, common)| common.iter().any(|common| common.contains(part)))
        .collect();
    routes.sort_unstable_by_key(|(filter, ..)| *filter);
    let rows = routes.into_iter().flat_map(|(filter, entry, common)| {
        let mut sources = Vec::new();
        if !entry.nodes().is_empty() {
            let nodes = entry.nodes().iter().map(|node| node_name(state, *node)).collect();
            sources.push((filter.to_string(), nodes));
        }
        for group in entry.groups() {
            let nodes: Vec<_> = group.members.iter().map(|(n, _)| node_name(state, *n)).collect();
            sources.push((format!("$share/{}/{filter}", group.group), nodes));
        }
        let common: Vec<String> = common.into_iter().filter(|c| c.contains(part)).collect();
        common.into_iter().flat_map(move |topic| {
            let view = |(subscription, nodes): &(String, Vec<String>)| SentRouteView {
                topic: topic.clone(),
                subscription: subscription.clone(),
                nodes: nodes.clone(),
            };
            sources.iter().map(view).collect::<Vec<_>>()
        })
    });
    window.cut(rows)
}
