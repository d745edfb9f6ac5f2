use std::sync::Arc;

use super::{ReplayError, Session};
use crate::{JournalOp, Limits, SessionExport};

/// Why a session was not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Somebody took the session over in the meantime.
    #[error("the session was handed over with epoch {given}, but has {current} already")]
    Fenced {
        /// Epoch in the export.
        current: u64,
        /// Epoch of the take-over.
        given: u64,
    },
    /// The hand-over is damaged.
    #[error("the session's hand-over is not a valid journal")]
    Damaged(#[from] ReplayError),
}

impl Session {
    /// Hands the whole session to its next owner. From now on it takes no messages
    /// ([`crate::DropReason::Moved`]) and sends none; drop it.
    ///
    /// A QoS 2 PUBLISH of the client that is still being routed is not part of it: wait for these
    /// flows first, or accept that their repeats are routed again.
    pub fn export(&mut self) -> SessionExport {
        self.moved = true;
        self.connection = None;
        let mut ops = self.snapshot();
        ops.extend(self.inbox.qos0_entries().cloned().map(JournalOp::Enqueued));
        let in_flight = self.window.unacked().iter().map(|flight| &flight.queued);
        let queued = in_flight.chain(self.inbox.in_memory());
        let messages = queued.map(|queued| Arc::clone(&queued.message)).collect();
        SessionExport { client_id: Arc::clone(&self.client_id), ops, messages }
    }

    /// Takes a session over under a newer epoch. It is not connected, and journaled from scratch:
    /// write [`Self::snapshot`] first.
    ///
    /// # Errors
    /// [`ImportError`]: `epoch` is not newer, or the export is damaged.
    pub fn import(
        export: SessionExport,
        epoch: u64,
        limits: Arc<Limits>,
    ) -> Result<Self, ImportError> {
        let messages = export.by_id();
        let find = |id| messages.get(&id).cloned();
        let mut session = Self::replay(export.client_id, limits, export.ops, find)?;
        let current = session.meta.epoch;
        if epoch <= current {
            return Err(ImportError::Fenced { current, given: epoch });
        }
        session.meta.epoch = epoch;
        Ok(session)
    }
}
