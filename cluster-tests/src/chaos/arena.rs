//! What all threads of a run share.

use std::sync::atomic::{AtomicBool, Ordering};

use super::grid::Grid;
use super::plan::Plan;
use super::recorder::Recorder;

/// Nodes, history, and how far the run is.
pub struct Arena {
    pub plan: Plan,
    pub grid: Grid,
    pub recorder: Recorder,
    /// Sessions stay where they are and subscriptions as they are: after the heal.
    calm: AtomicBool,
    /// No new publishes.
    drain: AtomicBool,
    /// Everybody ends.
    done: AtomicBool,
}

impl Arena {
    #[must_use]
    pub fn new(plan: Plan, grid: Grid) -> Self {
        let (calm, drain, done) = Default::default();
        Self { plan, grid, recorder: Recorder::default(), calm, drain, done }
    }

    #[must_use]
    pub fn calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn drain(&self) -> bool {
        self.drain.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    pub fn set_calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub fn set_drain(&self) {
        self.drain.store(true, Ordering::Relaxed);
    }

    pub fn set_done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Name of a place in the history.
    #[must_use]
    pub fn name(&self, place: usize) -> &str {
        &self.grid.places[place].name
    }
}
