//! The cluster port: how nodes of one cluster reach each other. It knows nothing of Raft or MQTT.
//!
//! What it decides: who may speak at all (mutual TLS by the cluster CA, join tokens, or plain
//! text between `--dev` nodes on loopback), whether the other side is who we think (the
//! handshake), how frames look, when a silent connection is dead, and when to dial again.
//! What it leaves to others: what the requests mean, what is sent again after a loss, and
//! whether a member is *alive* (that is the leases' and Raft's matter, ARCHITECTURE §5).
//!
//! Invariants: no opcode is served before the handshake ended (SECURITY C1); a frame's length
//! is checked before memory is set aside for it (C3); every queue is bounded in items and bytes;
//! raft, query and each wire are sockets of their own, so that a flood on one delays no other.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod ca;
mod codec;
mod connection;
mod context;
mod counters;
mod credentials;
mod dial;
mod dial_map;
mod enrol;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handler;
mod handshake;
mod hello;
mod identity;
mod listen;
mod peer;
mod pool;
mod queue;
mod request;
mod serve;
mod tls;
mod token;
mod tuning;
mod wire;

pub use ca::{CaFingerprint, ClusterCa};
pub use context::{PortContext, Security};
pub use counters::{Counters, CountersSnapshot};
pub use credentials::{Credentials, GivenFiles};
pub use dial_map::{DialMap, DialMapError};
pub use enrol::{EnrolError, enrol};
pub use error::{
    CaError, DialError, FrameError, ListenError, RequestError, WireClosed, WireSendError,
};
pub use frame::{FRAME_BYTES_MAX, FRAME_VERSION, Frame, FrameDecoder, FrameKind};
pub use handler::{Acceptor, RequestHandler, WireHandler};
pub use hello::{Hello, PROTOCOL_OLDEST, PROTOCOL_VERSION, Purpose, Refusal, Side, check};
pub use identity::{ClusterId, Identity, InstanceId, Known, Membership, NodeId, PeerId, PeerInfo};
pub use listen::Port;
pub use peer::{Peer, PeerState};
pub use pool::PeerPool;
pub use token::{JoinToken, TokenError};
pub use tuning::PortTuning;
pub use wire::{Wire, WireAck, WireAcker, WireFrame, WireInbound, WireSession, WireTx};
