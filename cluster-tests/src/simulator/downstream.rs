//! The remote that connects to a node of ours.

use std::time::Duration;

use anyhow::{Context, bail};
use spanmq_link_protocol::ids::{NodeHash, forwarder, routesync};
use spanmq_link_protocol::message::{
    ActorInit, ControlOp, Heartbeat, InitResult, MessageRecord, PROTOCOL_VERSION, RouteBatch,
    RouteKey, RouteOp,
};
use spanmq_link_protocol::term::DecodeLimits;
use spanmq_link_protocol::topics;

use super::Profile;
use crate::client::{Client, Connect, Packet, Property};

/// Response-Topic, Correlation-Data, Session-Expiry-Interval.
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const SESSION_EXPIRY: u8 = 0x11;

/// What a handshake was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Result(InitResult),
    /// DISCONNECT with this code, and no answer.
    Disconnected(u8),
}

/// A replication connection of one node of the remote.
pub struct Downstream {
    profile: Profile,
    cluster: String,
    actor: String,
    target: String,
    prefix: String,
    port: u16,
    client: Client,
    requests: u32,
    incarnation: u64,
}

impl Downstream {
    /// Connects as the only node of cluster `cluster` to ours, called `target`, and subscribes to
    /// the answers.
    ///
    /// # Errors
    /// When refused.
    pub fn connect(
        profile: Profile,
        port: u16,
        cluster: &str,
        target: &str,
    ) -> anyhow::Result<Self> {
        let actor = format!("emqx@{cluster}.example");
        let prefix = format!("clink-{cluster}-");
        let mut connect = Connect::new(&routesync(&prefix, &NodeHash::of(&actor)));
        if profile.keeps_session() {
            connect.resume = true;
            connect = connect.property(Property::Four(SESSION_EXPIRY, 60));
        }
        let (mut client, _) = Client::connect(port, &connect)?;
        client.subscribe(&topics::response(cluster, &actor), 1)?;
        let (cluster, target) = (cluster.to_owned(), target.to_owned());
        Ok(Self {
            profile,
            cluster,
            actor,
            target,
            prefix,
            port,
            client,
            requests: 0,
            incarnation: 0,
        })
    }

    /// Introduces itself and waits for PUBACK and answer, in any order.
    ///
    /// # Errors
    /// When neither an answer nor a disconnect comes in time.
    pub fn handshake(&mut self, incarnation: u64) -> anyhow::Result<Answer> {
        self.incarnation = incarnation;
        self.requests += 1;
        let correlation = format!("{:016x}", self.requests).into_bytes();
        let init = ActorInit {
            actor: self.actor.clone(),
            incarnation,
            target_cluster: self.target.clone(),
            protocol_version: PROTOCOL_VERSION,
        };
        let with = [
            Property::Text(RESPONSE_TOPIC, topics::response(&self.cluster, &self.actor)),
            Property::Binary(CORRELATION_DATA, correlation.clone()),
        ];
        let topic = topics::route(&self.cluster);
        self.client.send_publish(&topic, &init.encode(), 1, false, &with)?;
        loop {
            match self.client.receive(Duration::from_secs(15))? {
                Some(Packet::Publish { id, properties, payload, .. }) => {
                    self.client.send_packet(0x40, &id.to_be_bytes())?;
                    if !properties
                        .contains(&Property::Binary(CORRELATION_DATA, correlation.clone()))
                    {
                        continue;
                    }
                    let limits = DecodeLimits::default();
                    match ControlOp::decode(payload.into(), limits)?.message {
                        ControlOp::ActorInitAck(ack) => return Ok(Answer::Result(ack.result)),
                        other => bail!("{other:?} instead of an answer"),
                    }
                }
                Some(Packet::Disconnect { code, .. }) => return Ok(Answer::Disconnected(code)),
                Some(_) => {}
                None => bail!("closed without DISCONNECT"),
            }
        }
    }

    /// Adds the intersections of one subscription, as far as the release reports them.
    ///
    /// # Errors
    /// When no PUBACK comes.
    pub fn subscribe(&mut self, intersections: &[&str], id: &str) -> anyhow::Result<u8> {
        let keys = intersections.iter().map(|filter| RouteKey::new(filter, id)).collect();
        let keys = self.profile.reported(keys);
        let ops = keys.iter().map(|key| RouteOp::add(&key.filter, &key.id)).collect();
        self.routes(ops)
    }

    /// One batch; gives the code of its PUBACK.
    ///
    /// # Errors
    /// When none comes.
    pub fn routes(&mut self, ops: Vec<RouteOp>) -> anyhow::Result<u8> {
        let batch = RouteBatch { actor: self.actor.clone(), incarnation: self.incarnation, ops };
        let payload = ControlOp::Route(batch).encode();
        self.client.publish(&topics::route(&self.cluster), &payload, 1)
    }

    /// A sign of life, QoS 0.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn heartbeat(&mut self) -> anyhow::Result<()> {
        let beat = Heartbeat { actor: self.actor.clone(), incarnation: self.incarnation };
        let topic = topics::route(&self.cluster);
        self.client.send_publish(&topic, &beat.encode(), 0, false, &[]).map(|_| ())
    }

    /// Breaks the protocol with these bytes; gives the code of the DISCONNECT.
    ///
    /// # Errors
    /// When the connection stays open, or closes without one.
    pub fn send_garbage(&mut self, payload: &[u8]) -> anyhow::Result<u8> {
        self.client.send_publish(&topics::route(&self.cluster), payload, 1, false, &[])?;
        let last = self.client.expect_close(Duration::from_secs(15))?;
        let disconnect = last.into_iter().find_map(|packet| match packet {
            Packet::Disconnect { code, .. } => Some(code),
            _ => None,
        });
        disconnect.context("closed without DISCONNECT")
    }

    /// Forwards messages over one connection of its pool; gives the codes of the acknowledgements.
    ///
    /// # Errors
    /// When refused.
    pub fn forward(&self, records: &[MessageRecord]) -> anyhow::Result<Vec<u8>> {
        let client_id = forwarder(&self.prefix, &NodeHash::of(&self.actor), 1);
        let mut client = Client::simple(self.port, &client_id)?;
        let topic = topics::message(&self.cluster);
        let send = |record: &MessageRecord| {
            let qos = self.profile.hop_qos(record.qos);
            client.publish(&topic, &self.profile.encode(record), qos)
        };
        records.iter().map(send).collect()
    }
}
