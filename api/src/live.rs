//! `/events`: what changes, as server-sent events (HTML Living Standard, section 9.2). The web UI
//! listens instead of asking every few seconds; scripts may too.
//!
//! What is told is gathered once a second at most, whatever the number of listeners, and by nobody
//! when there are none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse, web};
use futures_util::stream;
use serde_json::{Value, json};
use spanmq_api_model::AlarmView;
use spanmq_link_protocol::status::{Dialect, roll_up};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, ApiResult};
use crate::operations::standing_alarms;
use crate::ports::Node;
use crate::question;
use crate::server::Shared;
use crate::table::{Table, op};

/// How often what is told is compared.
const PERIOD: Duration = Duration::from_secs(1);
/// A stream without news carries a comment so often: whoever is between keeps it open, and a listener
/// that has gone is noticed.
const COMMENT_PERIOD: Duration = Duration::from_secs(5);
/// A stream ends after this, so that rights are looked at again; listeners come back by themselves.
const STREAM_LIFE: Duration = Duration::from_secs(15 * 60);
/// Streams of one node.
const STREAMS_MAX: usize = 200;

pub(crate) fn endpoints(table: &mut Table) {
    table.get(
        "/events",
        op(
            "monitoring",
            "Tells changes as server-sent events: `cluster`, `links` and `alarms`, each with its whole \
             new value, first at once and then within a second or two of a change.",
        )
        .event_stream(200)
        .fails(&[503]),
        events,
    );
}

/// What was gathered last, and who listens.
pub(crate) struct Live {
    gathered: Mutex<Option<(Instant, Arc<Topics>)>>,
    streams: Arc<Semaphore>,
}

/// JSON by topic.
type Topics = BTreeMap<&'static str, String>;

impl Default for Live {
    fn default() -> Self {
        Self { gathered: Mutex::default(), streams: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

impl Live {
    /// The present values; at most a period old.
    async fn topics(&self, node: &dyn Node) -> Arc<Topics> {
        let mut gathered = self.gathered.lock().await;
        if let Some((at, topics)) = &*gathered
            && at.elapsed() < PERIOD
        {
            return topics.clone();
        }
        let topics = Arc::new(gather(node).await);
        *gathered = Some((Instant::now(), topics.clone()));
        topics
    }
}

async fn gather(node: &dyn Node) -> Topics {
    let view = node.cluster();
    let members = view.members.iter().map(|member| {
        let role = (Some(member.id) == view.leader).then_some("leader");
        json!({ "node": member.name, "running": member.running, "role": role })
    });
    let cluster = json!({
        "quorum": view.quorum,
        "term": view.term,
        "failures_tolerated": view.failures_tolerated,
        "nodes": members.collect::<Vec<_>>(),
    });
    let mut links: Vec<(String, u64, bool)> = Vec::new();
    let mut alarms: Vec<Value> = Vec::new();
    node.read(&mut |state| {
        let list = state.links().list();
        links = list.map(|link| (link.name.to_string(), link.revision, link.paused)).collect();
        // Not how long each lasts: that changes all the time.
        let row = |alarm: AlarmView| {
            json!({
                "node": alarm.node,
                "name": alarm.name,
                "message": alarm.message,
                "activate_at": alarm.activate_at,
            })
        };
        alarms = standing_alarms(state).into_iter().map(row).collect();
    });
    let names: Vec<String> = links.iter().map(|(name, ..)| name.clone()).collect();
    let states = question::links::link_states(node, &names).await;
    let links: Vec<Value> = links.into_iter().zip(states).map(link).collect();
    [("cluster", cluster), ("links", json!(links)), ("alarms", json!(alarms))]
        .map(|(topic, value)| (topic, value.to_string()))
        .into()
}

fn link(
    ((name, revision, paused), nodes): (
        (String, u64, bool),
        Vec<spanmq_link_protocol::status::NodeLinkState>,
    ),
) -> Value {
    let rolled = roll_up(nodes, Dialect::Guide);
    json!({
        "name": name,
        "revision": revision,
        "paused": paused,
        "status": rolled.status,
        "replication_status": rolled.replication_status,
        "reason": rolled.reason.map(|reason| reason.code),
        "node_status": rolled
            .node_status
            .iter()
            .map(|row| {
                json!({
                    "node": row.node,
                    "status": row.status,
                    "replication_status": row.replication_status,
                    "reason": row.reason.as_ref().map(|reason| reason.code.as_str()),
                })
            })
            .collect::<Vec<_>>(),
    })
}

/// One listener.
struct Stream {
    shared: web::Data<Shared>,
    told: Topics,
    began: Instant,
    last_sent: Instant,
    _permit: OwnedSemaphorePermit,
}

async fn events(shared: web::Data<Shared>) -> ApiResult<HttpResponse> {
    let permit = shared.live.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::unavailable(format!(
            "This node serves {STREAMS_MAX} event streams already; close some, or ask another node."
        ))
    })?;
    let now = Instant::now();
    let (told, began, last_sent) = (Topics::new(), now, now);
    let stream = Stream { shared, told, began, last_sent, _permit: permit };
    let events = stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((Ok::<_, Error>(Bytes::from(text)), stream))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events))
}

impl Stream {
    /// The next piece of the stream; none at its end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.began.elapsed() >= STREAM_LIFE {
                return None;
            }
            let topics = self.shared.live.topics(&*self.shared.node).await;
            let news = news(&mut self.told, &topics);
            if !news.is_empty() {
                self.last_sent = Instant::now();
                return Some(news);
            }
            if self.last_sent.elapsed() >= COMMENT_PERIOD {
                self.last_sent = Instant::now();
                return Some(":\n\n".to_owned());
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// The events for what differs from what was told. JSON has no line breaks, so each value is one
/// line.
fn news(told: &mut Topics, topics: &Topics) -> String {
    let mut text = String::new();
    for (topic, value) in topics {
        if told.get(topic) != Some(value) {
            text.push_str(&format!("event: {topic}\ndata: {value}\n\n"));
            told.insert(topic, value.clone());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let mut told = Topics::new();
        let mut topics: Topics = [("alarms", "[]".to_owned()), ("links", "[1]".to_owned())].into();
        let first = "event: alarms\ndata: []\n\nevent: links\ndata: [1]\n\n";
        assert_eq!(news(&mut told, &topics), first);
        assert_eq!(news(&mut told, &topics), "");
        topics.insert("links", "[2]".to_owned());
        assert_eq!(news(&mut told, &topics), "event: links\ndata: [2]\n\n");
    }
}
