//! The remote that our links connect to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use anyhow::Context;
use spanmq_link_protocol::message::{
    ActorInitAck, ControlOp, InitResult, MessageRecord, RouteAction,
};
use spanmq_link_protocol::term::DecodeLimits;

use super::Profile;
use super::wire::{self, Request};
use crate::client::Property;

/// Response-Topic, Correlation-Data.
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;

/// What the remote has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Client ids, with clean start.
    pub clients: Vec<(String, bool)>,
    /// Actor, incarnation, target cluster, in order.
    pub handshakes: Vec<(String, u64, String)>,
    /// (filter, route id) of all actors.
    pub routes: BTreeSet<(String, String)>,
    pub heartbeats: u32,
    /// Forwarded messages with the QoS of their hop.
    pub messages: Vec<(MessageRecord, u8)>,
    /// What broke the protocol.
    pub errors: Vec<String>,
}

struct Shared {
    profile: Profile,
    name: String,
    seen: Mutex<Seen>,
    /// Stored incarnations, as the release keeps them (W-13).
    actors: Mutex<BTreeMap<String, u64>>,
    open: Mutex<Vec<TcpStream>>,
}

/// A listening remote. Its threads end with their connections.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Listens on a free port as cluster `name`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(name: &str, profile: Profile) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            profile,
            name: name.to_owned(),
            seen: Mutex::default(),
            actors: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = accepting.clone();
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Ok(Self { address, shared })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// # Panics
    /// When a thread of the simulator died: a mistake in it.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().expect("no thread dies with it").clone()
    }

    /// Ends all connections, as a restart of the remote does, and forgets actors and routes.
    ///
    /// # Panics
    /// As [`Self::seen`].
    pub fn forget(&self) {
        self.shared.actors.lock().expect("no thread dies with it").clear();
        self.shared.seen.lock().expect("no thread dies with it").routes.clear();
        for stream in self.shared.open.lock().expect("no thread dies with it").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    if let Ok(copy) = stream.try_clone() {
        shared.open.lock().expect("no thread dies with it").push(copy);
    }
    let mut next_id = 0_u16;
    while let Ok(Some(request)) = wire::read(&mut stream) {
        if let Err(error) = answer(shared, &mut stream, request, &mut next_id) {
            let mut seen = shared.seen.lock().expect("no thread dies with it");
            seen.errors.push(format!("{error:#}"));
            if shared.profile.disconnects_on_errors() {
                let _ = wire::write(&mut stream, 0xe0, &[0x83, 0]);
                return;
            }
        }
    }
}

fn answer(
    shared: &Shared,
    stream: &mut TcpStream,
    request: Request,
    next_id: &mut u16,
) -> anyhow::Result<()> {
    let seen = || shared.seen.lock().expect("no thread dies with it");
    match request {
        Request::Connect { client_id, clean_start } => {
            seen().clients.push((client_id, clean_start));
            // Receive-Maximum 32, as EMQX sends it.
            wire::write(stream, 0x20, &[0, 0, 3, 0x21, 0, 32])
        }
        Request::Subscribe { id, filter } => {
            anyhow::ensure!(filter.starts_with("$LINK/cluster/resp/"), "subscribed {filter}");
            let [high, low] = id.to_be_bytes();
            wire::write(stream, 0x90, &[high, low, 0, 1])
        }
        Request::Publish { qos, id, topic, properties, payload } => {
            let reply = match topic.strip_prefix("$LINK/cluster/") {
                Some(rest) if rest.starts_with("msg/") => {
                    let limits = DecodeLimits::default();
                    let record = MessageRecord::decode(payload.into(), limits)?.message;
                    seen().messages.push((record, qos));
                    None
                }
                Some(rest) if rest.starts_with("route/") => control(shared, payload, &properties)?,
                _ => anyhow::bail!("published to {topic}"),
            };
            let [high, low] = id.to_be_bytes();
            // EMQX publishes the answer while it handles the packet: it comes before the PUBACK.
            if let Some((topic, correlation, payload)) = reply {
                *next_id += 1;
                let with = [Property::Binary(CORRELATION_DATA, correlation)];
                let body = wire::publish(&topic, *next_id, &with, &payload);
                wire::write(stream, 0x32, &body)?;
            }
            match qos {
                0 => Ok(()),
                1 => wire::write(stream, 0x40, &[high, low]),
                _ => wire::write(stream, 0x50, &[high, low]),
            }
        }
        Request::PubRel { id } => {
            let [high, low] = id.to_be_bytes();
            wire::write(stream, 0x70, &[high, low])
        }
        Request::Ping => wire::write(stream, 0xd0, &[]),
        Request::Acknowledged | Request::Disconnect => Ok(()),
    }
}

type Reply = (String, Vec<u8>, bytes::Bytes);

fn control(
    shared: &Shared,
    payload: Vec<u8>,
    properties: &[Property],
) -> anyhow::Result<Option<Reply>> {
    let mut seen = shared.seen.lock().expect("no thread dies with it");
    match ControlOp::decode(payload.into(), DecodeLimits::default())?.message {
        ControlOp::ActorInit(init) => {
            let topic = properties.iter().find_map(|property| match property {
                Property::Text(RESPONSE_TOPIC, topic) => Some(topic.clone()),
                _ => None,
            });
            let correlation = properties.iter().find_map(|property| match property {
                Property::Binary(CORRELATION_DATA, data) => Some(data.clone()),
                _ => None,
            });
            let mut actors = shared.actors.lock().expect("no thread dies with it");
            let stored = actors.get(&init.actor).copied();
            anyhow::ensure!(stored.is_none_or(|s| s <= init.incarnation), "stale incarnation");
            let result = if init.target_cluster == shared.name {
                actors.insert(init.actor.clone(), init.incarnation);
                let need = stored != Some(init.incarnation);
                let need_bootstrap = need && shared.profile.asks_for_bootstrap();
                InitResult::Accepted { need_bootstrap }
            } else {
                InitResult::Refused { reason: "bad_remote_cluster_link_name".to_owned() }
            };
            let payload = ActorInitAck::new(&init.actor, result).encode();
            seen.handshakes.push((init.actor, init.incarnation, init.target_cluster));
            let topic = topic.context("no Response-Topic")?;
            Ok(Some((topic, correlation.context("no Correlation-Data")?, payload)))
        }
        ControlOp::Route(batch) => {
            for op in batch.ops {
                let key = (op.key.filter.to_string(), op.key.id.to_string());
                match op.action {
                    RouteAction::Add => drop(seen.routes.insert(key)),
                    RouteAction::Delete => drop(seen.routes.remove(&key)),
                }
            }
            Ok(None)
        }
        ControlOp::Heartbeat(_) => {
            seen.heartbeats += 1;
            Ok(None)
        }
        ControlOp::ActorInitAck(_) => anyhow::bail!("an answer instead of a request"),
    }
}
