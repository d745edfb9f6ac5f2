//! Linking and the rest of the node, in both directions.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spanmq_link_protocol::binding::ClientIdentity;
use spanmq_link_protocol::config::{ParseContext, parse_stored};
use spanmq_link_protocol::expiry::StoredActor;
use spanmq_link_protocol::message::MessageRecord;
use spanmq_link_protocol::upstream::ActorKey;
use spanmq_linking::ports::{
    self, BoxFuture, Delivered, DurableStream, DurableSubscription, InterestEvent, InterestStream,
    Leader, Learnt, LocalInterest, LocalPublish, NoQuorum,
};
use spanmq_linking::{ControlPublish, InboundClient, Kept, LinkEntry, Linking, Outbound, Verdict};
use spanmq_mqtt::BrokerHandle;
use spanmq_mqtt::ports::{
    ControlKind, Done, LinkClient, LinkForward, LinkIn, LinkOut, Outcome, Outcomes,
};
use spanmq_raft::RaftNode;
use spanmq_state::{Command, Link, Reply};

use super::{Slot, records};

/// Messages that wait for the links of a node that has just started; more are refused.
const EARLY_MESSAGES_MAX: usize = 10_000;

/// The broker's side: out over links, in over links.
pub(crate) struct LinkPort {
    linking: Slot<Arc<Linking>>,
    /// What clients published before the links' buffers were open. The learnt routes are there from
    /// the first moment on, so it matches; none: they are open.
    early: Mutex<Option<Early>>,
    is_open: AtomicBool,
}

#[derive(Default)]
struct Early {
    batches: Vec<(Vec<LinkForward>, Done<Outcomes>)>,
    messages: usize,
}

impl LinkPort {
    pub(crate) fn new(linking: Slot<Arc<Linking>>) -> Self {
        let early = Mutex::new(Some(Early::default()));
        Self { linking, early, is_open: AtomicBool::new(false) }
    }

    /// The buffers are open: what has waited goes into them, ahead of what comes now.
    pub(crate) fn open(&self) {
        let mut early = self.early.lock();
        for (batch, done) in early.take().into_iter().flat_map(|early| early.batches) {
            self.hand_over(batch, done);
        }
        self.is_open.store(true, Ordering::Release);
    }

    fn hand_over(&self, batch: Vec<LinkForward>, done: Done<Outcomes>) {
        let Some(linking) = self.linking.get() else {
            return done.answer(Outcomes::All(Outcome::Refused(0x97)));
        };
        let batch = batch.into_iter().map(|forward| Outbound {
            links: forward.links,
            lane: forward.lane,
            record: records::to_record(&forward.message),
        });
        let answer = move |kept: Vec<Kept>| {
            let outcome = |kept| match kept {
                Kept::Held => Outcome::Held,
                Kept::Rejected => Outcome::Refused(0x97),
                Kept::Nobody => Outcome::NoSubscribers,
            };
            done.answer(Outcomes::Each(kept.into_iter().map(outcome).collect()));
        };
        linking.append(batch.collect(), Box::new(answer));
    }
}

impl LinkOut for LinkPort {
    fn append(&self, batch: Vec<LinkForward>, done: Done<Outcomes>) {
        if !self.is_open.load(Ordering::Acquire) {
            let mut early = self.early.lock();
            if let Some(early) = early.as_mut() {
                if early.messages + batch.len() > EARLY_MESSAGES_MAX {
                    return done.answer(Outcomes::All(Outcome::Refused(0x97)));
                }
                early.messages += batch.len();
                return early.batches.push((batch, done));
            }
        }
        self.hand_over(batch, done);
    }
}

impl LinkIn for LinkPort {
    fn receive(
        &self,
        client: Arc<LinkClient>,
        batch: Vec<spanmq_mqtt::ports::ControlPublish>,
        done: Done<Vec<spanmq_mqtt::ports::Verdict>>,
    ) {
        use spanmq_mqtt::ports::Verdict as Answer;
        // Not started yet: the remote shall come again.
        let Some(linking) = self.linking.get() else {
            return done.answer(vec![Answer::Disconnect(0x89); batch.len()]);
        };
        let identity = ClientIdentity {
            client_id: client.client_id.to_string(),
            username: client.username.as_deref().map(str::to_owned),
            cert_cn: client.cert_cn.as_deref().map(str::to_owned),
        };
        let inbound = InboundClient { connection: client.connection, identity };
        let publishes = batch.into_iter().map(|publish| ControlPublish {
            is_message: publish.kind == ControlKind::Msg,
            cluster: publish.cluster,
            payload: publish.payload,
            response_topic: publish.response_topic.map(String::from),
            correlation_data: publish.correlation_data,
        });
        let answer = move |verdicts: Vec<Verdict>| {
            let verdict = |verdict| match verdict {
                Verdict::Ack(code) => Answer::Ack(code),
                Verdict::Disconnect(code) => Answer::Disconnect(code),
            };
            done.answer(verdicts.into_iter().map(verdict).collect());
        };
        linking.receive(&inbound, publishes.collect(), Box::new(answer));
    }

    fn closed(&self, connection: u64) {
        if let Some(linking) = self.linking.get() {
            linking.closed(connection);
        }
    }
}

/// Linking's side: the broker and the replicated state.
pub(crate) struct LinkingPorts {
    pub(crate) broker: BrokerHandle,
    pub(crate) raft: RaftNode,
    pub(crate) node: Arc<str>,
}

impl LinkingPorts {
    /// All ports, of one object.
    pub(crate) fn ports(self: &Arc<Self>) -> ports::Ports {
        ports::Ports {
            interest: self.clone(),
            publish: self.clone(),
            learnt: self.clone(),
            leader: self.clone(),
        }
    }
}

struct Interest(spanmq_mqtt::InterestStream);

impl InterestStream for Interest {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = InterestEvent> + Send + '_>> {
        Box::pin(async {
            match self.0.next().await {
                spanmq_mqtt::InterestEvent::Snapshot(all) => InterestEvent::Snapshot(all),
                spanmq_mqtt::InterestEvent::Changes(changes) => InterestEvent::Changes(
                    changes.into_iter().map(|change| (change.filter, change.wanted)).collect(),
                ),
            }
        })
    }
}

impl LocalInterest for LinkingPorts {
    fn follow(&self) -> Box<dyn InterestStream> {
        Box::new(Interest(self.broker.local_interest()))
    }

    fn follow_durable(&self) -> Box<dyn DurableStream> {
        let applied = self.raft.applied();
        Box::new(Durable { raft: self.raft.clone(), applied, given: None, wait: DURABLE_PERIOD })
    }
}

/// Changes of persistent sessions are gathered so long; their nodes report new filters at once.
const DURABLE_PERIOD: Duration = Duration::from_secs(1);
/// A pass over the directory may take at most this part of the time.
const DURABLE_SHARE: u32 = 20;
const DURABLE_PAGE: usize = 4_096;

/// Looks through the session directory whenever something was applied, but not too often.
struct Durable {
    raft: RaftNode,
    applied: tokio::sync::watch::Receiver<u64>,
    given: Option<Vec<DurableSubscription>>,
    wait: Duration,
}

impl Durable {
    fn look(&self) -> Vec<DurableSubscription> {
        let mut all = Vec::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let state = self.raft.state();
            let page = state.sessions().page(after.as_deref(), DURABLE_PAGE);
            for (client_id, session) in page.iter().filter(|(_, session)| session.persistent) {
                all.extend(session.subscriptions().iter().filter_map(|subscription| {
                    let filter = subscription.filter.parse().ok()?;
                    Some(DurableSubscription { session: (*client_id).clone(), filter })
                }));
            }
            match page.last() {
                Some((last, _)) if page.len() == DURABLE_PAGE => after = Some((*last).clone()),
                _ => return all,
            }
        }
    }
}

impl DurableStream for Durable {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Vec<DurableSubscription>> + Send + '_>> {
        Box::pin(async {
            loop {
                if self.given.is_some() {
                    if self.applied.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(self.wait).await;
                }
                self.applied.mark_unchanged();
                let start = Instant::now();
                let all = self.look();
                self.wait = DURABLE_PERIOD.max(start.elapsed() * DURABLE_SHARE);
                if self.given.as_ref() != Some(&all) {
                    self.given = Some(all.clone());
                    return all;
                }
            }
        })
    }
}

impl LocalPublish for LinkingPorts {
    fn deliver(&self, link: Arc<str>, record: Box<MessageRecord>) -> BoxFuture<Delivered> {
        let Some(message) = records::to_message(link, *record) else {
            return Box::pin(std::future::ready(Delivered::NoSubscribers));
        };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Done::new(move |outcomes: Option<Outcomes>| {
            let outcome = outcomes.map_or(Outcome::Refused(0x80), |outcomes| outcomes.get(0));
            let _ = sender.send(outcome);
        });
        self.broker.publish(vec![Arc::new(message)], done);
        Box::pin(async move {
            match receiver.await.unwrap_or(Outcome::Refused(0x80)) {
                Outcome::Held => Delivered::Held,
                Outcome::NoSubscribers => Delivered::NoSubscribers,
                Outcome::Refused(code) => Delivered::Refused(code),
            }
        })
    }

    fn answer(&self, topic: String, correlation_data: bytes::Bytes, payload: bytes::Bytes) {
        if let Some(message) = records::answer(&topic, correlation_data, payload, &self.node) {
            self.broker.publish(vec![Arc::new(message)], Done::ignore());
        }
    }
}

impl Learnt for LinkingPorts {
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, NoQuorum>> {
        let raft = self.raft.clone();
        Box::pin(async move { raft.propose(commands).await.map_err(|_| NoQuorum) })
    }
}

impl Leader for LinkingPorts {
    fn leading(&self) -> bool {
        self.raft.is_leader()
    }

    fn stored_actors(&self) -> Vec<StoredActor> {
        let state = self.raft.state();
        let actors = |(cluster, peer): (&Arc<str>, &Arc<spanmq_state::Peer>)| {
            let stored = peer.actors().map(|(name, actor)| StoredActor {
                actor: ActorKey { cluster: cluster.to_string(), actor: name.to_string() },
                incarnation: actor.incarnation,
                sweeping: actor.stale_routes > 0,
            });
            stored.collect::<Vec<_>>()
        };
        state.remotes().peers().flat_map(actors).collect()
    }

    fn standing_alarms(&self) -> BTreeMap<String, String> {
        let (state, me) = (self.raft.state(), self.raft.id());
        let ours = state
            .alarms()
            .standing()
            .filter(|alarm| alarm.node == me && alarm.name.starts_with("cluster_link"));
        ours.map(|alarm| (alarm.name.to_string(), alarm.details.to_string())).collect()
    }

    fn holder(&self, remote: &str) -> Option<Arc<str>> {
        self.raft.state().remotes().peer(remote)?.holder().cloned()
    }

    fn held_remotes(&self) -> Vec<String> {
        let state = self.raft.state();
        let held = state.remotes().peers().filter(|(_, peer)| peer.held_since_ms().is_some());
        held.map(|(name, _)| name.to_string()).collect()
    }
}

/// The replicated list as linking takes it. A link that this build cannot read (it was written by a
/// newer one) is left out and named in the log.
pub(crate) fn entries<'a>(
    links: impl Iterator<Item = &'a Arc<Link>>,
    local_cluster: &str,
) -> Vec<LinkEntry> {
    links.filter_map(|link| entry(link, local_cluster)).collect()
}

fn entry(link: &Link, local_cluster: &str) -> Option<LinkEntry> {
    let unreadable = |why: &dyn std::fmt::Debug| {
        tracing::error!(link = %link.name, ?why, "the stored link cannot be read; it does not run here");
    };
    let value = serde_json::from_str(link.config.reveal()).map_err(|e| unreadable(&e)).ok()?;
    let parsed = parse_stored(&value, ParseContext { local_cluster });
    let mut config = parsed.map_err(|errors| unreadable(&errors)).ok()?;
    config.enable = link.enable;
    config.ps_actor_incarnation = link.counter;
    Some(LinkEntry { config: Arc::new(config), paused: link.paused, revision: link.revision })
}
