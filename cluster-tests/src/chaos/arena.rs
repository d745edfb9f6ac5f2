//! What all threads of a run share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::grid::Grid;
use super::plan::{Mode, Plan};
use super::recorder::Recorder;

/// After a fault, queues between nodes are empty again within this time.
const FLUSHED: Duration = Duration::from_millis(700);

/// Faults under way, and when the last one ended.
#[derive(Default)]
struct Weather {
    faults: u32,
    cleared: Option<Instant>,
}

/// Nodes, history, and how far the run is.
pub struct Arena {
    pub plan: Plan,
    pub grid: Grid,
    pub recorder: Recorder,
    /// Sessions stay where they are and subscriptions as they are: after the heal.
    calm: AtomicBool,
    weather: Mutex<Weather>,
    /// No new publishes.
    drain: AtomicBool,
    /// Everybody ends.
    done: AtomicBool,
}

impl Arena {
    #[must_use]
    pub fn new(plan: Plan, grid: Grid) -> Self {
        let (calm, weather, drain, done) = Default::default();
        Self { plan, grid, recorder: Recorder::default(), calm, weather, drain, done }
    }

    /// A fault begins or has ended.
    ///
    /// # Panics
    /// When another thread panicked meanwhile.
    pub fn fault(&self, begins: bool) {
        let mut weather = self.weather.lock().expect("nobody panics while he counts faults");
        if begins {
            weather.faults += 1;
        } else {
            weather.faults = weather.faults.saturating_sub(1);
            weather.cleared = Some(Instant::now());
        }
    }

    /// Whether sessions may change nodes now. What other nodes hold for the node that a session
    /// leaves is lost (docs/guarantees.md, known gaps), so in short plans they move between faults.
    ///
    /// # Panics
    /// As [`Arena::fault`].
    #[must_use]
    pub fn may_move(&self) -> bool {
        let weather = self.weather.lock().expect("nobody panics while he counts faults");
        let flushed = weather.cleared.is_none_or(|at| at.elapsed() > FLUSHED);
        !self.calm() && (self.plan.mode == Mode::Long || weather.faults == 0 && flushed)
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
