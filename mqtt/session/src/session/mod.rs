//! One client's session (MQTT 5.0 §4.1): what it wants, what waits for it, what is in flight in
//! both directions. It decides; the shell writes packets, keeps the journal and the time.
//!
//! Every method that changes what must survive a restart takes `ops`: a buffer to which a
//! persistent session appends its [`JournalOp`]s, and other sessions nothing.

mod acks;
mod connect;
mod deliver;
mod export;
mod inbound;
mod pump;
mod reclaim;
mod replay;
mod subscribe;

use std::{collections::HashSet, sync::Arc};

pub use self::{
    export::ImportError,
    replay::{ReplayError, in_flight_messages},
};
use crate::{
    Drops, JournalOp, Limits, MessageId, SessionMeta, connection::Connection, inbox::Inbox,
    subscriptions::Subscriptions, window::Window,
};

/// The session of one client id. Plain data: it moves whole between threads.
#[derive(Debug)]
pub struct Session {
    client_id: Arc<str>,
    limits: Arc<Limits>,
    meta: SessionMeta,
    /// Exported: another node or worker owns it now, and nothing enters any more.
    moved: bool,
    subscriptions: Subscriptions,
    inbox: Inbox,
    window: Window,
    inbound: crate::inbound::Inbound,
    /// Messages it has had, whose publishers may repeat them ([`JournalOp::Took`]).
    taken: HashSet<MessageId>,
    connection: Option<Connection>,
    next_seq: u64,
    drops: Drops,
}

impl Session {
    /// An empty session that is not connected yet.
    #[must_use]
    pub fn new(client_id: Arc<str>, meta: SessionMeta, limits: Arc<Limits>) -> Self {
        Self {
            client_id,
            limits,
            meta,
            moved: false,
            subscriptions: Subscriptions::default(),
            inbox: Inbox::default(),
            window: Window::default(),
            inbound: crate::inbound::Inbound::default(),
            taken: HashSet::new(),
            connection: None,
            next_seq: 0,
            drops: Drops::default(),
        }
    }

    /// Whose session it is.
    #[must_use]
    pub const fn client_id(&self) -> &Arc<str> {
        &self.client_id
    }

    /// Owner, epoch, expiry.
    #[must_use]
    pub const fn meta(&self) -> &SessionMeta {
        &self.meta
    }

    /// Whether it outlives its connection.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.meta.expiry.is_persistent()
    }

    /// Whether the client is here.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it was exported; such a session only waits to be dropped.
    #[must_use]
    pub const fn has_moved(&self) -> bool {
        self.moved
    }

    /// Messages waiting in memory, not in flight.
    #[must_use]
    pub fn inbox_messages(&self) -> usize {
        self.inbox.messages()
    }

    /// Bytes of these.
    #[must_use]
    pub const fn inbox_bytes(&self) -> u64 {
        self.inbox.bytes()
    }

    /// Messages waiting in the store.
    #[must_use]
    pub fn spilled_messages(&self) -> usize {
        self.inbox.spilled()
    }

    /// Bytes of these.
    #[must_use]
    pub const fn spilled_bytes(&self) -> u64 {
        self.inbox.spilled_bytes()
    }

    /// PUBLISH flows towards the client that are not over.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// PUBLISH flows of the client that are not over.
    #[must_use]
    pub fn inbound_flows(&self) -> usize {
        self.inbound.len()
    }

    /// Messages that the inbox takes before it drops or spills: feed long replays of retained
    /// messages in portions of this.
    #[must_use]
    pub fn inbox_room(&self) -> usize {
        (self.limits.inbox_messages_max as usize).saturating_sub(self.inbox.messages())
    }

    /// What was dropped since the last call, by reason.
    pub fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// Appends an op if this session is journaled.
    fn log(&self, ops: &mut Vec<JournalOp>, op: impl FnOnce() -> JournalOp) {
        if self.is_persistent() {
            ops.push(op());
        }
    }
}
