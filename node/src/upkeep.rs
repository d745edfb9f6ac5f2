//! What the leader does for all: ends what has expired, and publishes the wills of nodes that are
//! gone. The replicated state has no clock of its own.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmq_access::{Action, ClientInfo, Permission};
use spanmq_api::ports::Node as _;
use spanmq_config::Config;
use spanmq_mqtt::BrokerHandle;
use spanmq_mqtt::ports::{Done, Outcome, Outcomes};
use spanmq_raft::RaftNode;
use spanmq_session::codec::decode_message;
use spanmq_session::{Message, MessageId};
use spanmq_state::command::{RetainedCommand, SessionCommand, WillFate};
use spanmq_state::{Command, Epoch, NodeId};
use tokio::sync::oneshot;

use crate::wiring::api::ApiPort;

/// Pause between two looks at sessions and wills.
const PAUSE: Duration = Duration::from_secs(5);
/// The node of a session ends it and publishes its will itself, if it lives: it gets this longer.
const GRACE_MS: u64 = 5_000;
/// Expired things in one command.
const PORTION: usize = 1_000;
/// Wills published at one look.
const WILLS: usize = 256;

/// Runs until the node stops.
pub(crate) fn start(
    raft: &RaftNode,
    broker: &BrokerHandle,
    port: &Arc<ApiPort>,
    config: &Config,
    runtime: &tokio::runtime::Handle,
) {
    let clear_interval = config.retainer.msg_clear_interval;
    let retained = raft.clone();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(clear_interval).await;
            clear_retained(&retained).await;
        }
    });
    let mut upkeep =
        Upkeep { raft: raft.clone(), broker: broker.clone(), port: port.clone(), swept: None };
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            if upkeep.raft.is_leader() {
                upkeep.detach_of_removed().await;
                upkeep.end_sessions().await;
                upkeep.publish_wills().await;
            } else {
                upkeep.swept = None;
            }
        }
    });
}

async fn clear_retained(raft: &RaftNode) {
    while raft.is_leader() {
        let messages = raft.state().retained().due(now_ms(), PORTION);
        let count = messages.len();
        if count == 0 {
            return;
        }
        let command = Command::Retained(RetainedCommand::Expire { messages });
        // Without a quorum they stay, hidden from readers, until the next look.
        if raft.propose(vec![command]).await.is_err() || count < PORTION {
            return;
        }
    }
}

struct Upkeep {
    raft: RaftNode,
    broker: BrokerHandle,
    port: Arc<ApiPort>,
    /// The members when connections of former ones were looked for last.
    swept: Option<BTreeSet<NodeId>>,
}

/// A will whose node does not publish it any more.
struct Left {
    client_id: Arc<str>,
    epoch: Epoch,
    message: Option<Message>,
}

impl Upkeep {
    /// Ends the connections of nodes that are no members any more: nobody else says that they have
    /// ended. One pass over the directory for each change of the members, and for each new leader.
    async fn detach_of_removed(&mut self) {
        let members: BTreeSet<NodeId> =
            self.raft.status().members.iter().map(|member| member.id).collect();
        if self.swept.as_ref() == Some(&members) {
            return;
        }
        let mut after: Option<Arc<str>> = None;
        loop {
            let (last, commands) = self.detachments(&members, after.as_deref());
            if !commands.is_empty() && self.raft.propose(commands).await.is_err() {
                // Again at the next look.
                return;
            }
            let Some(last) = last else { break };
            after = Some(last);
        }
        self.swept = Some(members);
    }

    /// One page of the directory: its last client id, and what it leads to.
    fn detachments(
        &self,
        members: &BTreeSet<NodeId>,
        after: Option<&str>,
    ) -> (Option<Arc<str>>, Vec<Command>) {
        let (state, at_ms) = (self.raft.state(), now_ms());
        let page = state.sessions().page(after, PORTION);
        let last = page.last().map(|(client_id, _)| (*client_id).clone());
        let gone = page.into_iter().filter(|(_, session)| {
            let node = session.owner.node;
            let is_member = members.contains(&node) || state.cluster().member(node).is_some();
            session.detached_at_ms.is_none() && !is_member
        });
        let detach = gone.map(|(client_id, session)| {
            Command::Session(SessionCommand::Detached {
                client_id: client_id.clone(),
                epoch: session.owner.epoch,
                at_ms,
                expiry_s: session.expiry_s,
                will: WillFate::Publish,
            })
        });
        (last, detach.collect())
    }

    /// Ends sessions whose time is over and whose node has not done it.
    async fn end_sessions(&self) {
        let at_ms = now_ms();
        let due = self.raft.state().sessions().due(at_ms.saturating_sub(GRACE_MS), PORTION);
        let expire = due.into_iter().map(|(client_id, epoch)| {
            Command::Session(SessionCommand::Expire { client_id, epoch, at_ms })
        });
        self.propose(expire.collect()).await;
    }

    /// A crash between the two steps publishes a will again, under the same id. What is refused, or
    /// not answered, is tried again at the next look.
    async fn publish_wills(&self) {
        let mut done = Vec::new();
        let mut under_way = Vec::new();
        for Left { client_id, epoch, message } in self.left_wills() {
            let will_done = Command::Session(SessionCommand::WillDone { client_id, epoch });
            match message.filter(|message| self.is_allowed(message)) {
                Some(message) => under_way.push((will_done, self.publish(message))),
                None => done.push(will_done),
            }
        }
        for (will_done, taken) in under_way {
            if taken.await == Ok(true) {
                done.push(will_done);
            }
        }
        self.propose(done).await;
    }

    /// Whether it was taken, once that is known.
    fn publish(&self, message: Message) -> oneshot::Receiver<bool> {
        tracing::info!(client = ?message.from, topic = %message.topic, "the will of a lost node");
        let (tell, told) = oneshot::channel();
        let answered = Done::new(move |outcomes: Option<Outcomes>| {
            let outcome = outcomes.map(|outcomes| outcomes.get(0));
            let taken = matches!(outcome, Some(Outcome::Held | Outcome::NoSubscribers));
            // Nobody waits any more: another leader goes on.
            let _ = tell.send(taken);
        });
        self.broker.publish(vec![Arc::new(message)], answered);
        told
    }

    fn left_wills(&self) -> Vec<Left> {
        let alive = self.alive();
        let state = self.raft.state();
        let due = state.sessions().due_wills(now_ms().saturating_sub(GRACE_MS), WILLS);
        let gone = due.into_iter().filter(|(_, _, will)| !alive.contains(&will.node));
        gone.map(|(client_id, epoch, pending)| Left {
            message: decoded(&client_id, epoch, &pending.will.message.0),
            client_id,
            epoch,
        })
        .collect()
    }

    fn alive(&self) -> Vec<NodeId> {
        let members = self.raft.status().members;
        members.into_iter().filter(|member| member.reachable).map(|member| member.id).collect()
    }

    /// Rights are asked for again when a will is published (SECURITY A6), as far as its node told
    /// who the client was.
    fn is_allowed(&self, message: &Message) -> bool {
        let publisher = &message.publisher;
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let client = ClientInfo {
            client_id: message.from.clone(),
            username: publisher.username.clone(),
            peer_ip: publisher.peer.map_or(nowhere, |peer| peer.ip()),
            cert_common_name: None,
            client_attrs: Default::default(),
            listener: "".into(),
            zone: "default".into(),
            is_superuser: false,
        };
        let action = Action::Publish { qos: message.qos.as_u8(), retain: message.retain };
        self.port.check_access(&client, action, &message.topic).permission == Permission::Allow
    }

    async fn propose(&self, commands: Vec<Command>) {
        if commands.is_empty() {
            return;
        }
        if let Err(error) = self.raft.propose(commands).await {
            tracing::debug!(%error, "what has expired stays until the next look");
        }
    }
}

fn decoded(client_id: &Arc<str>, epoch: Epoch, bytes: &[u8]) -> Option<Message> {
    let found = decode_message(bytes, Instant::now(), Duration::ZERO)
        .inspect_err(|error| tracing::error!(%error, %client_id, "a will cannot be read"));
    let mut message = found.ok()?;
    message.id = id_of(client_id, epoch);
    message.timestamp_ms = now_ms();
    Some(message)
}

/// The same each time that the same will is published.
fn id_of(client_id: &str, epoch: Epoch) -> MessageId {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, client_id, epoch).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    let mut id = [0; 16];
    let (high, low) = id.split_at_mut(8);
    high.copy_from_slice(&half(1));
    low.copy_from_slice(&half(2));
    MessageId(id)
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
