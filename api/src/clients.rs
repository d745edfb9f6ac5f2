//! `/clients`, `/subscriptions`, `/routes`.

use actix_web::{HttpResponse, web};
use spanmq_api_model::{
    Client, ClientsQuery, GroupMembers, KickQuery, Page, PageMeta, Route, RouteGroup, RoutesQuery,
    Subscription, SubscriptionsQuery,
};
use spanmq_state::{NodeId, RouteEntry, State};

use crate::error::{ApiError, ApiResult};
use crate::paging::{self, limit_of};
use crate::question::clients::{ClientFilter, SubscriptionFilter};
use crate::question::{Question, Reply, ask_all, gather};
use crate::server::Shared;
use crate::table::{Table, op};

pub(crate) fn endpoints(table: &mut Table) {
    table.get(
        "/clients",
        op("clients", "Lists clients and waiting sessions of all nodes, by client id.")
            .query::<ClientsQuery>()
            .json::<Page<Client>>(200)
            .fails(&[400]),
        clients,
    );
    table.get(
        "/clients/{clientid}",
        op("clients", "Shows a client.").json::<Client>(200).fails(&[404, 503]),
        client,
    );
    table.delete(
        "/clients/{clientid}",
        op("clients", "Disconnects a client (0x98) and ends its session.")
            .query::<KickQuery>()
            .empty(204)
            .fails(&[400, 404, 503]),
        kick,
    );
    table.get(
        "/clients/{clientid}/subscriptions",
        op("clients", "Lists the subscriptions of a client.")
            .list::<Subscription>(200)
            .fails(&[404, 503]),
        subscriptions_of,
    );
    table.get(
        "/subscriptions",
        op("clients", "Lists subscriptions of all nodes, by client id and filter.")
            .query::<SubscriptionsQuery>()
            .json::<Page<Subscription>>(200)
            .fails(&[400]),
        subscriptions,
    );
    table.get(
        "/routes",
        op("clients", "Lists topic filters with the nodes that want them.")
            .query::<RoutesQuery>()
            .json::<Page<Route>>(200)
            .fails(&[400]),
        routes,
    );
}

async fn clients(
    shared: web::Data<Shared>,
    query: web::Query<ClientsQuery>,
) -> ApiResult<HttpResponse> {
    let query = query.into_inner();
    let limit = limit_of(query.limit)?;
    let after = paging::decode::<1>(query.cursor.as_deref())?.map(|[after]| after);
    let connected = match query.conn_state.as_deref() {
        None => None,
        Some("connected") => Some(true),
        Some("disconnected") => Some(false),
        Some(_) => {
            return Err(ApiError::bad_request("conn_state: use connected or disconnected"));
        }
    };
    let question = Question::Clients(ClientFilter {
        client_id: query.clientid,
        like_client_id: query.like_clientid,
        username: query.username,
        like_username: query.like_username,
        connected,
        after,
        limit: limit + 1,
    });
    let node = query.node.as_deref();
    let (rows, unreachable) = gather::<Vec<Client>>(&*shared.node, &question, node).await;
    let mut data: Vec<Client> = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    data.sort_by(|a, b| (&a.clientid, &a.node).cmp(&(&b.clientid, &b.node)));
    let page = page(data, limit, unreachable, |last| paging::encode(&[&last.clientid]));
    Ok(HttpResponse::Ok().json(page))
}

/// Cuts one row too many off and says that there is more.
fn page<T>(
    mut data: Vec<T>,
    limit: usize,
    unreachable: Vec<String>,
    cursor: impl Fn(&T) -> String,
) -> Page<T> {
    let hasnext = data.len() > limit;
    data.truncate(limit);
    let cursor = data.last().filter(|_| hasnext).map(cursor);
    Page { data, meta: PageMeta { limit, hasnext, cursor, unreachable } }
}

async fn find(shared: &Shared, client_id: &str) -> ApiResult<Client> {
    let question = Question::Clients(ClientFilter {
        client_id: Some(client_id.to_owned()),
        limit: 1,
        ..ClientFilter::default()
    });
    let (rows, unreachable) = gather::<Vec<Client>>(&*shared.node, &question, None).await;
    // During a take-over two nodes may know it; the newer ownership counts.
    let found = rows.into_iter().flat_map(|(_, rows)| rows).max_by_key(|client| client.epoch);
    found.ok_or_else(|| absent(shared, client_id, &unreachable))
}

/// A client that the directory places on a node that does not answer is not "not found".
fn absent(shared: &Shared, client_id: &str, unreachable: &[String]) -> ApiError {
    let owner = owner(shared, client_id);
    match owner.filter(|owner| unreachable.contains(owner)) {
        Some(owner) => ApiError::unavailable(format!(
            "The client belongs to node {owner}, which does not answer"
        )),
        None => ApiError::not_found(format!("Client not found: {client_id}")),
    }
}

fn owner(shared: &Shared, client_id: &str) -> Option<String> {
    let mut owner = None;
    shared.node.read(&mut |state| {
        let node = state.sessions().get(client_id).map(|session| session.owner.node);
        owner = node.map(|node| node_name(state, node));
    });
    owner
}

async fn client(
    shared: web::Data<Shared>,
    client_id: web::Path<String>,
) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(find(&shared, &client_id).await?))
}

async fn kick(
    shared: web::Data<Shared>,
    client_id: web::Path<String>,
    query: web::Query<KickQuery>,
) -> ApiResult<HttpResponse> {
    let (client_id, purge) = (client_id.into_inner(), query.purge.unwrap_or(true));
    let question = Question::Kick { client_id: client_id.clone(), purge };
    let replies = ask_all(&*shared.node, &question).await;
    if replies.iter().any(|(_, reply)| matches!(reply, Some(Reply::Done(true)))) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let silent = replies.into_iter().filter(|(_, reply)| reply.is_none()).map(|(name, _)| name);
    Err(absent(&shared, &client_id, &silent.collect::<Vec<_>>()))
}

async fn subscriptions_of(
    shared: web::Data<Shared>,
    client_id: web::Path<String>,
) -> ApiResult<HttpResponse> {
    let client = find(&shared, &client_id).await?;
    let question = Question::Subscriptions(SubscriptionFilter {
        client_id: Some(client.clientid),
        limit: usize::MAX,
        ..SubscriptionFilter::default()
    });
    let node = Some(client.node.as_str());
    let (rows, _) = gather::<Vec<Subscription>>(&*shared.node, &question, node).await;
    let rows: Vec<_> = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    Ok(HttpResponse::Ok().json(rows))
}

async fn subscriptions(
    shared: web::Data<Shared>,
    query: web::Query<SubscriptionsQuery>,
) -> ApiResult<HttpResponse> {
    let query = query.into_inner();
    let limit = limit_of(query.limit)?;
    let after = paging::decode::<2>(query.cursor.as_deref())?.map(|[id, filter]| (id, filter));
    let question = Question::Subscriptions(SubscriptionFilter {
        client_id: query.clientid,
        filter: query.topic,
        matches: query.match_topic,
        after,
        limit: limit + 1,
    });
    let node = query.node.as_deref();
    let (rows, unreachable) = gather::<Vec<Subscription>>(&*shared.node, &question, node).await;
    let mut data: Vec<Subscription> = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    data.sort_by(|a, b| (&a.clientid, &a.topic).cmp(&(&b.clientid, &b.topic)));
    let cursor = |last: &Subscription| paging::encode(&[&last.clientid, &last.topic]);
    Ok(HttpResponse::Ok().json(page(data, limit, unreachable, cursor)))
}

/// From the replicated state as this node has it.
async fn routes(
    shared: web::Data<Shared>,
    query: web::Query<RoutesQuery>,
) -> ApiResult<HttpResponse> {
    let limit = limit_of(query.limit)?;
    let after = paging::decode::<1>(query.cursor.as_deref())?.map(|[after]| after);
    let mut data = Vec::new();
    let mut more = None;
    shared.node.read(&mut |state| {
        if let Some(topic) = &query.topic {
            data.extend(state.routes().get(topic).map(|entry| route(state, topic, entry)));
            return;
        }
        let found = state.routes().page(after.as_deref(), limit + 1);
        let last = found.get(limit - 1).map(|(filter, _)| paging::encode(&[filter.as_ref()]));
        more = last.filter(|_| found.len() > limit);
        data = found.iter().take(limit).map(|(filter, e)| route(state, filter, e)).collect();
    });
    if let Some(node) = &query.node {
        let on = |route: &Route| {
            route.nodes.contains(node)
                || route.groups.iter().any(|g| g.nodes.iter().any(|m| m.node == *node))
        };
        data.retain(on);
    }
    let meta = PageMeta { limit, hasnext: more.is_some(), cursor: more, unreachable: Vec::new() };
    Ok(HttpResponse::Ok().json(Page { data, meta }))
}

fn route(state: &State, filter: &str, entry: &RouteEntry) -> Route {
    let group = |group: &std::sync::Arc<spanmq_state::SharedGroup>| RouteGroup {
        group: group.group.to_string(),
        nodes: group
            .members
            .iter()
            .map(|(node, members)| GroupMembers {
                node: node_name(state, *node),
                members: *members,
            })
            .collect(),
    };
    Route {
        topic: filter.to_owned(),
        nodes: entry.nodes().iter().map(|node| node_name(state, *node)).collect(),
        groups: entry.groups().iter().map(group).collect(),
    }
}

/// The name of a member, or its number when it has left.
pub(crate) fn node_name(state: &State, node: NodeId) -> String {
    let member = state.cluster().member(node);
    member.map_or_else(|| node.to_string(), |member| member.name.to_string())
}
