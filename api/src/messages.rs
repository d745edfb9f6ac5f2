//! `/publish`, `/publish/bulk`, `/retainer/messages`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spanmq_api_model::{
    Page, PageMeta, PayloadEncoding, PublishProperties, PublishRequest, PublishResult,
    RetainedMessage, RetainedQuery,
};
use spanmq_mqtt::ports::{Done, Outcome, Outcomes};
use spanmq_session::{Message, MessageId, Origin, Properties, ProtocolVersion, Publisher, QoS};
use spanmq_state::command::{RetainedCommand, RetainedReply};
use spanmq_state::{Command, Reply};
use spanmq_topic::{TopicName, check_filter};

use crate::auth::Caller;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::paging::{self, limit_of};
use crate::question::rfc3339_ms;
use crate::server::{Shared, now_ms};
use crate::table::{Table, op};

/// Messages in one bulk; the body has at most 1 MiB anyway.
const BULK_MAX: usize = 10_000;
/// How long a publish may take until every destination holds it.
const HELD_LIMIT: Duration = Duration::from_secs(10);
/// MQTT 5 reason code: no matching subscribers.
const NO_SUBSCRIBERS: u8 = 0x10;

pub(crate) fn endpoints(table: &mut Table) {
    table.post(
        "/publish",
        op("messages", "Publishes a message; the answer comes when every destination holds it.")
            .body::<PublishRequest>()
            .json::<PublishResult>(200)
            .json::<PublishResult>(202)
            .fails(&[503]),
        publish,
    );
    table.post(
        "/publish/bulk",
        op("messages", "Publishes messages in order.")
            .body_list::<PublishRequest>()
            .list::<PublishResult>(200)
            .list::<PublishResult>(202)
            .list::<PublishResult>(207)
            .fails(&[503]),
        publish_bulk,
    );
    table.get(
        "/retainer/messages",
        op("messages", "Lists retained messages, without payload.")
            .query::<RetainedQuery>()
            .json::<Page<RetainedMessage>>(200)
            .fails(&[400]),
        retained,
    );
    table.get(
        "/retainer/message/{topic}",
        op("messages", "Shows the retained message of a topic, with its payload.")
            .json::<RetainedMessage>(200)
            .fails(&[404]),
        retained_one,
    );
    table.delete(
        "/retainer/message/{topic}",
        op("messages", "Forgets the retained message of a topic.").empty(204).fails(&[404, 503]),
        forget,
    );
}

async fn publish(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    request: HttpRequest,
    body: Body<PublishRequest>,
) -> ApiResult<HttpResponse> {
    let message = message(&shared, &caller, &request, body.0).map_err(ApiError::bad_request)?;
    let id = message.id;
    let outcome = send(&shared, vec![message]).await?.get(0);
    let answer = result(id, outcome);
    match outcome {
        Outcome::Held => Ok(HttpResponse::Ok().json(answer)),
        Outcome::NoSubscribers => Ok(HttpResponse::Accepted().json(answer)),
        Outcome::Refused(code) => Err(ApiError::unavailable(format!(
            "The message was refused with reason code {code:#04x}; try again"
        ))),
    }
}

async fn publish_bulk(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    request: HttpRequest,
    body: Body<Vec<PublishRequest>>,
) -> ApiResult<HttpResponse> {
    if body.0.len() > BULK_MAX {
        return Err(ApiError::bad_request(format!("At most {BULK_MAX} messages at once")));
    }
    let mut messages = Vec::with_capacity(body.0.len());
    for (index, one) in body.0.into_iter().enumerate() {
        let made = message(&shared, &caller, &request, one);
        messages.push(made.map_err(|why| ApiError::bad_request(format!("[{index}].{why}")))?);
    }
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    let outcomes = send(&shared, messages).await?;
    let outcome = |index| outcomes.get(index);
    let refused = (0..ids.len()).any(|index| matches!(outcome(index), Outcome::Refused(_)));
    let wanted = (0..ids.len()).any(|index| outcome(index) == Outcome::Held);
    let answers: Vec<_> = ids.iter().enumerate().map(|(n, id)| result(*id, outcome(n))).collect();
    let mut response = match (refused, wanted || ids.is_empty()) {
        (true, _) => HttpResponse::MultiStatus(),
        (false, true) => HttpResponse::Ok(),
        (false, false) => HttpResponse::Accepted(),
    };
    Ok(response.json(answers))
}

fn result(id: MessageId, outcome: Outcome) -> PublishResult {
    let id = Some(id.to_string());
    match outcome {
        Outcome::Held => PublishResult { id, reason_code: None, message: None },
        Outcome::NoSubscribers => PublishResult {
            id,
            reason_code: Some(NO_SUBSCRIBERS),
            message: Some("no_matching_subscribers".to_owned()),
        },
        Outcome::Refused(code) => PublishResult {
            id: None,
            reason_code: Some(code),
            message: Some("refused; try again".to_owned()),
        },
    }
}

async fn send(shared: &Shared, messages: Vec<Arc<Message>>) -> ApiResult<Outcomes> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = Done::new(move |outcomes: Option<Outcomes>| {
        let _ = sender.send(outcomes);
    });
    shared.node.broker().publish(messages, done);
    let late = || ApiError::unavailable("The message is not held everywhere yet; it may arrive");
    let answered = tokio::time::timeout(HELD_LIMIT, receiver).await.map_err(|_| late())?;
    answered.ok().flatten().ok_or_else(late)
}

/// # Errors
/// The field and what is wrong with it.
fn message(
    shared: &Shared,
    caller: &Caller,
    request: &HttpRequest,
    body: PublishRequest,
) -> Result<Arc<Message>, String> {
    let topic = TopicName::new(body.topic.as_str())
        .map_err(|error| format!("topic: {:?} is not a topic name: {error}", body.topic))?;
    if body.topic.starts_with('$') {
        return Err("topic: topics that begin with $ are the broker's own".to_owned());
    }
    let payload = match body.payload_encoding {
        PayloadEncoding::Plain => body.payload.into_bytes(),
        PayloadEncoding::Base64 => STANDARD
            .decode(body.payload.as_bytes())
            .map_err(|error| format!("payload: it is not base64: {error}"))?,
    };
    let qos = QoS::from_u8(body.qos).ok_or_else(|| "qos: use 0, 1 or 2".to_owned())?;
    Ok(Arc::new(Message {
        id: MessageId(rand::random()),
        topic,
        payload: payload.into(),
        qos,
        retain: body.retain,
        properties: properties(body.properties.unwrap_or_default())?,
        from: body.clientid.unwrap_or_else(|| format!("rest@{}", shared.node.name())).into(),
        publisher: Publisher {
            username: Some(caller.name.as_str().into()),
            peer: request.peer_addr(),
            version: ProtocolVersion::V5,
        },
        timestamp_ms: now_ms(),
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    }))
}

fn properties(properties: PublishProperties) -> Result<Properties, String> {
    if let Some(topic) = &properties.response_topic {
        spanmq_topic::check_name(topic)
            .map_err(|error| format!("properties.response_topic: {error}"))?;
    }
    let user = properties.user_properties.unwrap_or_default();
    Ok(Properties {
        payload_is_utf8: properties.payload_format_indicator.map(|format| format == 1),
        message_expiry: properties.message_expiry_interval,
        content_type: properties.content_type.map(Into::into),
        response_topic: properties.response_topic.map(Into::into),
        correlation_data: properties.correlation_data.map(|data| data.into_bytes().into()),
        user: user.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
    })
}

async fn retained(
    shared: web::Data<Shared>,
    query: web::Query<RetainedQuery>,
) -> ApiResult<HttpResponse> {
    let limit = limit_of(query.limit)?;
    let filter = query.topic.as_deref().unwrap_or("#");
    check_filter(filter)
        .map_err(|error| ApiError::bad_request(format!("topic: {filter:?}: {error}")))?;
    let cursor = paging::decode::<1>(query.cursor.as_deref())?;
    let cursor = cursor.and_then(|[shard]| shard.parse().ok()).unwrap_or(0);
    let (mut found, mut next) = (Vec::new(), None);
    shared.node.read(&mut |state| {
        (found, next) = state.retained().page(filter, cursor, limit);
    });
    found.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let data = found.iter().filter_map(|(_, message)| view(message, false)).collect();
    let cursor = next.map(|shard| paging::encode(&[&shard.to_string()]));
    let meta = PageMeta { limit, hasnext: cursor.is_some(), cursor, unreachable: Vec::new() };
    Ok(HttpResponse::Ok().json(Page { data, meta }))
}

fn view(retained: &spanmq_state::RetainedMessage, whole: bool) -> Option<RetainedMessage> {
    let (bytes, now) = (&retained.message.0, Instant::now());
    let message = spanmq_session::codec::decode_message(bytes, now, Duration::ZERO).ok()?;
    Some(RetainedMessage {
        topic: message.topic.as_str().to_owned(),
        msgid: message.id.to_string(),
        qos: message.qos.as_u8(),
        publish_at: rfc3339_ms(message.timestamp_ms),
        from_clientid: message.from.to_string(),
        from_username: message.publisher.username.map(|name| name.to_string()),
        expiry_at: retained.expiry_at_ms.map(rfc3339_ms),
        payload_bytes: message.payload.len(),
        payload: whole.then(|| STANDARD.encode(&message.payload)),
    })
}

async fn retained_one(
    shared: web::Data<Shared>,
    topic: web::Path<String>,
) -> ApiResult<HttpResponse> {
    let mut found = None;
    shared.node.read(&mut |state| found = state.retained().get(&topic).cloned());
    let found = found.and_then(|message| view(&message, true));
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| no_message(&topic))?))
}

fn no_message(topic: &str) -> ApiError {
    ApiError::not_found(format!("No retained message: {topic}"))
}

async fn forget(shared: web::Data<Shared>, topic: web::Path<String>) -> ApiResult<HttpResponse> {
    let command = RetainedCommand::Clear { topic: topic.as_str().into() };
    let applied = shared.node.propose(vec![Command::Retained(command)]).await?;
    match applied.replies.into_iter().next() {
        Some(Reply::Retained(RetainedReply::Done { replaced: 1.., .. })) => {
            Ok(HttpResponse::NoContent().finish())
        }
        _ => Err(no_message(&topic)),
    }
}
