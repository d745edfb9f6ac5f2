//! `/authorization/check`: what the rules of this node say about a client, without trying it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpResponse, web};
use spanmq_access::{Action, Cause, ClientInfo};
use spanmq_api_model::{AccessCheckQuery, AccessDecision};

use crate::error::{ApiError, ApiResult};
use crate::server::Shared;
use crate::table::{Table, op};

pub(super) fn endpoints(table: &mut Table) {
    table.get(
        "/authorization/check",
        op("access", "Says what the rules decide for a client, an action and a topic, and why.")
            .query::<AccessCheckQuery>()
            .json::<AccessDecision>(200)
            .fails(&[400]),
        check,
    );
}

async fn check(
    shared: web::Data<Shared>,
    query: web::Query<AccessCheckQuery>,
) -> ApiResult<HttpResponse> {
    let action = action(&query)?;
    let address = query.ip_address.as_deref().map(str::parse::<IpAddr>).transpose();
    let address = address.map_err(|_| ApiError::bad_request("ip_address: it is no IP address"))?;
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    let client = ClientInfo {
        client_id: query.clientid.as_str().into(),
        username: text(&query.username),
        peer_ip: address.unwrap_or(Ipv4Addr::LOCALHOST.into()),
        cert_common_name: text(&query.cert_common_name),
        client_attrs: BTreeMap::new(),
        listener: query.listener.as_deref().unwrap_or("tcp:default").into(),
        zone: "default".into(),
        is_superuser: false,
    };
    let decision = shared.node.check_access(&client, action, &query.topic);
    let (cause, file, line) = match &decision.cause {
        Cause::Rule { file, line } => ("rule", Some(file.to_string()), Some(*line)),
        Cause::Superuser => ("superuser", None, None),
        Cause::Reserved => ("reserved", None, None),
        Cause::NoMatch => ("no_match", None, None),
        Cause::Malformed => ("malformed", None, None),
    };
    let result = if decision.is_allowed() { "allow" } else { "deny" };
    let (result, cause) = (result.to_owned(), cause.to_owned());
    Ok(HttpResponse::Ok().json(AccessDecision { result, cause, file, line }))
}

fn action(query: &AccessCheckQuery) -> ApiResult<Action> {
    let qos = query.qos.unwrap_or(0);
    if qos > 2 {
        return Err(ApiError::bad_request("qos: use 0, 1 or 2"));
    }
    match query.action.as_str() {
        "publish" => Ok(Action::Publish { qos, retain: query.retain.unwrap_or(false) }),
        "subscribe" => Ok(Action::Subscribe { qos }),
        _ => Err(ApiError::bad_request("action: use publish or subscribe")),
    }
}
