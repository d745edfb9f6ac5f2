//! The turn of each shared group, one for all workers of the node.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use spanmq_session::{SharedStrategy, SharedTurn};
use spanmq_topic::SharedFilter;

/// Groups whose turn is kept; beyond, those that no worker holds begin anew.
const TURNS_MAX: usize = 65_536;

/// The lock is held for one choice.
pub(crate) type Turn = Arc<Mutex<SharedTurn>>;

/// All turns of the node.
#[derive(Debug)]
pub(crate) struct Turns {
    strategy: SharedStrategy,
    seed: u64,
    turns: Mutex<HashMap<Arc<SharedFilter>, Turn>>,
}

impl Turns {
    /// `seed`: nodes with different ones begin with different members.
    pub(crate) fn new(strategy: SharedStrategy, seed: u64) -> Self {
        Self { strategy, seed, turns: Mutex::default() }
    }

    /// The turn of a group. Workers keep what they ask for.
    pub(crate) fn of(&self, filter: &Arc<SharedFilter>) -> Turn {
        let mut turns = self.turns.lock();
        if turns.len() >= TURNS_MAX && !turns.contains_key(filter) {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        let new = || Arc::new(Mutex::new(SharedTurn::new(self.strategy, self.seed)));
        turns.entry(filter.clone()).or_insert_with(new).clone()
    }
}
