//! What threads send to workers. Batches, so that a hop costs one wake-up per turn, not per message.

use std::net::TcpStream;
use std::sync::Arc;

use spanmq_session::{Message, SessionExport};
use spanmq_state::NodeId;
use spanmq_topic::SharedFilter;
use tokio::sync::oneshot;

use crate::listener::ListenerState;
use crate::local_routes::RouteOutcome;
use crate::ports::{Done, Forward, Outcome, Outcomes, Verdict};
use crate::worker::Worker;

/// A session's place on a worker. The generation tells a reused place from the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SlotKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Who waits for the answer to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketAddress {
    pub(crate) worker: u16,
    pub(crate) ticket: u32,
}

/// A message for the sessions of another worker.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    /// Plain subscribers are meant.
    pub(crate) plain: bool,
    /// Shared groups for which that worker was picked.
    pub(crate) groups: Vec<Arc<SharedFilter>>,
    /// Workers whose members have not taken it, as bits.
    pub(crate) passed: u64,
    /// `None` for QoS 0: nobody waits.
    pub(crate) ticket: Option<TicketAddress>,
}

/// A socket that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: std::net::SocketAddr,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) permit: crate::listener::Permit,
}

/// Something to do on a worker's thread.
pub(crate) type Task = Box<dyn FnOnce(&mut Worker) + Send>;

pub(crate) enum Mail {
    Accepted(Accepted),
    /// From another worker.
    Deliver(Vec<Delivery>),
    /// Answers to deliveries of this worker.
    Answers(Vec<(u32, Outcome)>),
    /// From this node's other parts: will, link, API.
    Publish {
        messages: Vec<Arc<Message>>,
        done: Done<Outcomes>,
    },
    /// From another node, for local sessions only.
    FromPeer {
        from: NodeId,
        batch: Vec<Forward>,
        done: Done<Outcomes>,
    },
    /// A peer or link answered for these tickets.
    External {
        tickets: Vec<u32>,
        outcomes: Option<Outcomes>,
    },
    /// `linking` answered for control publishes of one connection.
    Verdicts {
        connection: u64,
        key: SlotKey,
        verdicts: Option<Vec<Verdict>>,
    },
    /// Everything up to this batch of route changes is visible, or failed.
    Routes {
        batch: u64,
        outcome: RouteOutcome,
    },
    /// The store has written everything up to this batch; false: it could not.
    Stored {
        batch: u64,
        written: bool,
    },
    /// A session moves to another worker: give it up (answered with the session, if it is here).
    GiveUp {
        client_id: Arc<str>,
        keep: bool,
        reply: oneshot::Sender<Option<Box<SessionExport>>>,
    },
    Task(Task),
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mail")
    }
}
