//! The state on this node, as others may look at it.

use std::{ops::Deref, sync::Arc};

use parking_lot::{RwLock, RwLockReadGuard};
use spanmq_state::{Batch, Changes, Digest, Event, Reply, State};
use tokio::sync::{broadcast, watch};

use crate::types::{LogId, StoredMembership};

/// Entries whose events wait for a slow listener; one that falls behind reads the state anew.
const EVENTS_MAX: usize = 4_096;

/// What one entry changed.
#[derive(Debug, Clone)]
pub struct AppliedEvents {
    /// The entry's index; `None` after a snapshot was installed: anything may have changed.
    pub index: Option<u64>,
    pub events: Arc<[Event]>,
}

/// The replicated state on this node.
pub(crate) struct Replica {
    inner: RwLock<Inner>,
    applied: watch::Sender<u64>,
    events: broadcast::Sender<AppliedEvents>,
}

pub(super) struct Inner {
    pub(super) state: State,
    pub(super) applied: Option<LogId>,
    pub(super) membership: StoredMembership,
}

impl Replica {
    pub(super) fn new(
        state: State,
        applied: Option<LogId>,
        membership: StoredMembership,
    ) -> Arc<Self> {
        Arc::new(Self {
            applied: watch::Sender::new(position(applied)),
            events: broadcast::Sender::new(EVENTS_MAX),
            inner: RwLock::new(Inner { state, applied, membership }),
        })
    }

    /// The state, held still while the answer lives: be quick.
    pub(crate) fn read(&self) -> StateRef<'_> {
        StateRef(self.inner.read())
    }

    /// Next index to be applied, now and with every change: `n` means entries below `n` are.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<AppliedEvents> {
        self.events.subscribe()
    }

    /// The last applied entry and the digest there, read together (CHAOS P9).
    pub(crate) fn digest(&self) -> (Option<LogId>, Digest) {
        let inner = self.inner.read();
        (inner.applied, inner.state.digest())
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read())
    }

    pub(super) fn apply(&self, id: LogId, batch: &Batch, changes: &mut Changes) -> Vec<Reply> {
        let mut inner = self.inner.write();
        inner.applied = Some(id);
        inner.state.apply(id.index, batch, changes)
    }

    /// An entry that changes nothing but the position, and perhaps the membership.
    pub(super) fn advance(&self, id: LogId, membership: Option<StoredMembership>) {
        let mut inner = self.inner.write();
        inner.applied = Some(id);
        inner.state.advance(id.index);
        if let Some(membership) = membership {
            inner.membership = membership;
        }
    }

    pub(super) fn replace(&self, fresh: Inner) {
        let applied = fresh.applied;
        // The old state is dropped outside of the lock: a big one takes a while.
        let _old = std::mem::replace(&mut *self.inner.write(), fresh);
        self.tell(None, Vec::new());
        self.applied.send_replace(position(applied));
    }

    /// Readers and proposers hear of it when views and state have it.
    pub(super) fn published(&self) {
        self.applied.send_replace(position(self.inner.read().applied));
    }

    pub(super) fn tell(&self, index: Option<u64>, events: Vec<Event>) {
        if index.is_none() || !events.is_empty() {
            // Nobody listening is no error.
            let _ = self.events.send(AppliedEvents { index, events: events.into() });
        }
    }
}

fn position(applied: Option<LogId>) -> u64 {
    applied.map_or(0, |id| id.index + 1)
}

/// The state, held still while this lives.
pub struct StateRef<'a>(RwLockReadGuard<'a, Inner>);

impl StateRef<'_> {
    /// Index of the last applied entry; 0 when there is none.
    pub fn applied_index(&self) -> u64 {
        self.0.applied.map_or(0, |id| id.index)
    }
}

impl Deref for StateRef<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.0.state
    }
}
