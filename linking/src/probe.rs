//! Testing a link's configuration: name, connection, TLS, login, subscription, handshake, one after
//! the other (LINK-SPEC 4.4). Runs beside the link's actors with names of its own, so that a link that
//! works is not disturbed.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::{Handler, Message, ResponseFuture};
use futures_util::{StreamExt, pin_mut};
use ntex_mqtt::v5::codec::ConnectAck;
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::ids::NodeHash;
use spanmq_link_protocol::message::{ActorInit, ControlOp, InitResult, PROTOCOL_VERSION};
use spanmq_link_protocol::reason::{Reason, ReasonWord};
use spanmq_link_protocol::term::DecodeLimits;
use spanmq_link_protocol::topics;

use crate::client::{ConnectSpec, Failed, Incoming, Link, Outgoing, Stage, millis, open, packets};
use crate::supervisor::LinkSupervisor;

/// Never more (LINK-SPEC 4.4).
const LIMIT: Duration = Duration::from_secs(10);

/// What the remote allows, from its CONNACK (W-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLimits {
    /// Unacknowledged messages.
    pub receive_maximum: u16,
    /// Bytes per packet; none = no limit named.
    pub maximum_packet_size: Option<u32>,
    /// Seconds, where the remote sets its own.
    pub server_keep_alive: Option<u16>,
    /// Highest QoS.
    pub maximum_qos: u8,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
}

/// How far a test got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// Steps that worked, with milliseconds.
    pub done: Vec<(Stage, u64)>,
    /// The step that did not, with milliseconds and its reason.
    pub failed: Option<(Stage, u64, Reason)>,
    /// The remote's limits, once it has answered the login.
    pub limits: Option<PeerLimits>,
}

impl ProbeReport {
    pub(crate) fn stopped() -> Self {
        let reason = Reason::with_detail(ReasonWord::ConnectionLost, "this node is stopping");
        Self { done: Vec::new(), failed: Some((Stage::Dns, 0, reason)), limits: None }
    }
}

/// Try this configuration.
#[derive(Message)]
#[rtype(result = "ProbeReport")]
pub(crate) struct Probe(pub(crate) Arc<LinkConfig>);

impl Handler<Probe> for LinkSupervisor {
    type Result = ResponseFuture<ProbeReport>;

    fn handle(&mut self, Probe(link): Probe, _: &mut Self::Context) -> Self::Result {
        let (cluster, node) = (self.common.local_cluster.clone(), self.common.node.clone());
        Box::pin(async move { probe(link, &cluster, &node).await })
    }
}

async fn probe(link: Arc<LinkConfig>, cluster: &str, node: &str) -> ProbeReport {
    let begun = Instant::now();
    // The prefix stays, because rules of the remote look at it; the rest is nobody else's.
    let (hash, random) = (NodeHash::of(node), rand::random::<u32>());
    let client_id = format!("{}:probe:{}:{random:08x}", link.clientid, hash.as_str());
    let spec = ConnectSpec { link: link.clone(), client_id, random: rand::random() };
    let opened = match open(&spec, LIMIT).await {
        Ok(opened) => opened,
        Err(Failed { done, stage, took_ms, reason }) => {
            return ProbeReport { done, failed: Some((stage, took_ms, reason)), limits: None };
        }
    };
    let mut report =
        ProbeReport { done: opened.stages, failed: None, limits: Some(limits(&opened.connack)) };
    let sender = Link::new(opened.io.get_ref(), opened.codec.clone());
    let incoming = packets(opened.io, opened.codec);
    pin_mut!(incoming);
    let actor = format!("probe-{node}");
    let left = LIMIT.saturating_sub(begun.elapsed());
    let mut step = (Stage::Suback, Instant::now());
    let asking = ask(&link, cluster, &actor, &sender, incoming, &mut step, &mut report.done);
    let result = tokio::time::timeout(left, asking).await;
    let (stage, since) = step;
    match result {
        Ok(Ok(())) => report.done.push((stage, millis(since))),
        Ok(Err(reason)) => report.failed = Some((stage, millis(since), reason)),
        Err(_) => {
            let reason = ReasonWord::HandshakeTimeout.into();
            report.failed = Some((stage, millis(since), reason));
        }
    }
    sender.disconnect();
    report
}

fn limits(connack: &ConnectAck) -> PeerLimits {
    PeerLimits {
        receive_maximum: connack.receive_max.get(),
        maximum_packet_size: connack.max_packet_size,
        server_keep_alive: connack.server_keepalive_sec,
        maximum_qos: connack.max_qos.into(),
        retain_available: connack.retain_available,
    }
}

/// The second half of W-7, with an actor of another name and without routes.
async fn ask(
    link: &LinkConfig,
    cluster: &str,
    actor: &str,
    sender: &Link,
    mut incoming: impl futures_util::Stream<Item = Result<Incoming, Reason>> + Unpin,
    step: &mut (Stage, Instant),
    done: &mut Vec<(Stage, u64)>,
) -> Result<(), Reason> {
    let answers = topics::response(cluster, actor);
    sender.subscribe(NonZeroU16::MIN, &answers)?;
    let correlation = format!("{:016x}", rand::random::<u64>());
    loop {
        let packet =
            incoming.next().await.unwrap_or_else(|| Err(ReasonWord::ConnectionLost.into()));
        match packet? {
            Incoming::SubAck { code: 0..=2 } => {
                done.push((step.0, millis(step.1)));
                *step = (Stage::Handshake, Instant::now());
                introduce(link, cluster, actor, sender, (&answers, &correlation))?;
            }
            Incoming::SubAck { code } => {
                let detail = format!("reason code {code:#04x}");
                let word = ReasonWord::RespSubscriptionDenied;
                return Err(Reason::with_detail(word, &detail));
            }
            Incoming::Ack { code: 0x80.., .. } => return Err(ReasonWord::AclDenied.into()),
            Incoming::Publish { correlation_data, payload, .. }
                if *correlation_data == *correlation.as_bytes() =>
            {
                return answer(payload);
            }
            Incoming::Disconnect(reason) => return Err(reason),
            _ => {}
        }
    }
}

fn introduce(
    link: &LinkConfig,
    cluster: &str,
    actor: &str,
    sender: &Link,
    answer: (&str, &str),
) -> Result<(), Reason> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let init = ActorInit {
        actor: actor.to_owned(),
        incarnation: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        target_cluster: link.name.clone(),
        protocol_version: PROTOCOL_VERSION,
    };
    let topic = topics::route(cluster);
    let (payload, id) = (init.encode(), NonZeroU16::new(2));
    let (topic, answer) = (topic.as_str(), Some(answer));
    sender.publish(&Outgoing { topic, payload: &payload, id, dup: false, answer })
}

fn answer(payload: bytes::Bytes) -> Result<(), Reason> {
    match ControlOp::decode(payload, DecodeLimits::default()).map(|received| received.message) {
        Ok(ControlOp::ActorInitAck(ack)) => match ack.result {
            InitResult::Accepted { .. } => Ok(()),
            InitResult::Refused { reason } => Err(Reason::from_refusal(&reason)),
        },
        _ => {
            Err(Reason::with_detail(ReasonWord::ProtocolError, "the answer is no handshake answer"))
        }
    }
}
