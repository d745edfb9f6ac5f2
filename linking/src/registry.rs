//! The links of this node as every part of linking sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use actix::Addr;
use parking_lot::{Mutex, RwLock};
use spanmq_link_protocol::binding::{ClientIdentity, Principal};
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::dedup::DedupWindow;
use spanmq_link_protocol::skew::SkewEstimate;

use crate::board::Board;
use crate::buffer::LinkBuffer;
use crate::forwarder::ForwardActor;

/// One configured link, as the replicated list has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkEntry {
    /// Checked configuration.
    pub config: Arc<LinkConfig>,
    /// Paused by an operator: buffer, do not send.
    pub paused: bool,
    /// Raft index of its last change.
    pub revision: u64,
}

impl LinkEntry {
    pub(crate) fn running(&self) -> bool {
        self.config.enable
    }
}

/// A forwarding connection that can be woken.
#[derive(Clone)]
pub(crate) struct Waker {
    pub(crate) woken: Arc<AtomicBool>,
    pub(crate) actor: Addr<ForwardActor>,
}

/// What belongs to one link on this node, whether it is enabled or not.
pub(crate) struct LinkState {
    pub(crate) entry: RwLock<LinkEntry>,
    pub(crate) board: Arc<Board>,
    /// None while the link is disabled, or its buffer cannot be opened.
    pub(crate) buffer: RwLock<Option<Arc<Mutex<LinkBuffer>>>>,
    pub(crate) wakers: RwLock<Vec<Waker>>,
    pub(crate) seen: Mutex<DedupWindow>,
    /// The revision that the actors run by.
    pub(crate) applied: AtomicU64,
    pub(crate) skew: Mutex<SkewEstimate>,
    pub(crate) speakers: Mutex<Speakers>,
}

impl LinkState {
    pub(crate) fn new(entry: LinkEntry) -> Arc<Self> {
        Arc::new(Self {
            entry: RwLock::new(entry),
            board: Board::new(),
            buffer: RwLock::new(None),
            wakers: RwLock::new(Vec::new()),
            seen: Mutex::new(DedupWindow::default()),
            applied: AtomicU64::new(0),
            skew: Mutex::new(SkewEstimate::default()),
            speakers: Mutex::new(Speakers::default()),
        })
    }
}

/// Who speaks for a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// As it has logged in.
    pub principal: Principal,
    /// What its client ids begin with.
    pub prefix: Arc<str>,
}

impl Speaker {
    pub(crate) fn of(client: &ClientIdentity) -> Self {
        let id = client.client_id.as_str();
        // Names of actors and of forwarding connections begin so (W-4).
        let ends = [":routesync:", ":msg:"];
        let end = ends.iter().filter_map(|end| id.find(end)).min();
        Self {
            principal: Principal::of(client),
            prefix: id.get(..end.unwrap_or(id.len())).unwrap_or(id).into(),
        }
    }
}

/// Who holds the remote's name on this node, and through which connections.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    holder: Option<Speaker>,
    connections: std::collections::HashSet<u64>,
}

impl Speakers {
    pub(crate) fn holder(&self) -> Option<&Speaker> {
        self.holder.as_ref()
    }

    pub(crate) fn joined(&mut self, speaker: Speaker, connection: u64) {
        self.holder.get_or_insert(speaker);
        self.connections.insert(connection);
    }

    pub(crate) fn left(&mut self, connection: u64) {
        self.connections.remove(&connection);
        if self.connections.is_empty() {
            self.holder = None;
        }
    }
}

/// All links by name.
#[derive(Default)]
pub(crate) struct Registry {
    links: RwLock<HashMap<Arc<str>, Arc<LinkState>>>,
}

impl Registry {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<LinkState>> {
        self.links.read().get(name).cloned()
    }

    pub(crate) fn insert(&self, state: Arc<LinkState>) {
        let name: Arc<str> = state.entry.read().config.name.as_str().into();
        self.links.write().insert(name, state);
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<LinkState>> {
        self.links.write().remove(name)
    }

    pub(crate) fn all(&self) -> Vec<Arc<LinkState>> {
        self.links.read().values().cloned().collect()
    }
}
