//! One run through all local routes: a snapshot, in batches, each acknowledged (W-22).

use super::PacketToken;
use crate::message::{BatchLimits, Batches, RouteAction, RouteKey, RouteOp};
use std::time::Instant;

type Adds = std::iter::Map<std::vec::IntoIter<RouteKey>, fn(RouteKey) -> RouteOp>;

pub(super) struct Bootstrap {
    started: Instant,
    /// `None` until the snapshot has come.
    batches: Option<Batches<Adds>>,
    outstanding: Option<Outstanding>,
}

struct Outstanding {
    token: PacketToken,
    deadline: Instant,
    entries: u64,
}

impl Bootstrap {
    pub(super) fn new(now: Instant) -> Bootstrap {
        Bootstrap { started: now, batches: None, outstanding: None }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The snapshot has come; a second one is ignored.
    pub(super) fn begin(&mut self, routes: Vec<RouteKey>, actor: &str, limits: BatchLimits) {
        if self.batches.is_none() {
            let add: fn(RouteKey) -> RouteOp = |key| RouteOp { action: RouteAction::Add, key };
            self.batches = Some(Batches::new(routes.into_iter().map(add), actor, limits));
        }
    }

    /// The next batch, unless one is outstanding or nothing is left.
    pub(super) fn next_batch(&mut self) -> Option<Vec<RouteOp>> {
        if self.outstanding.is_some() {
            return None;
        }
        self.batches.as_mut()?.next()
    }

    pub(super) fn sent(&mut self, token: PacketToken, deadline: Instant, entries: usize) {
        self.outstanding = Some(Outstanding { token, deadline, entries: entries as u64 });
    }

    pub(super) fn awaits(&self, token: PacketToken) -> bool {
        self.outstanding.as_ref().is_some_and(|outstanding| outstanding.token == token)
    }

    /// Returns how many routes the acknowledged batch held.
    pub(super) fn acknowledged(&mut self) -> u64 {
        self.outstanding.take().map_or(0, |outstanding| outstanding.entries)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|outstanding| outstanding.deadline)
    }

    pub(super) fn is_done(&mut self) -> bool {
        self.outstanding.is_none() && self.batches.as_mut().is_some_and(Batches::is_empty)
    }
}
