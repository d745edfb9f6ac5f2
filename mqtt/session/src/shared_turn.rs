use crate::shared_picker::{hash, mix};
use crate::{Message, SharedStrategy};

/// Where the choice in one shared group stands on one node, for all its publishers.
///
/// The members lie in a row: nodes by number, on a node workers by number, on a worker as they
/// came. Everybody sees the same row, so that a hash leads to the same member from every node. A
/// choice goes down in three steps, each by its share of the members: the node here
/// ([`SharedTurn::node`]), its worker ([`SharedTurn::worker`]), the member in
/// [`SharedPicker`](crate::SharedPicker).
#[derive(Debug, Clone)]
pub struct SharedTurn {
    strategy: SharedStrategy,
    next: u64,
    /// Of the messages that other nodes picked this one for.
    next_inside: u64,
    sticky_node: Option<u64>,
    sticky_worker: Option<u64>,
}

/// A node or worker, and how many members it has.
pub type Share = (u64, u32);

impl SharedTurn {
    /// `seed`: where the round begins and what random numbers come from; nodes should differ.
    #[must_use]
    pub const fn new(strategy: SharedStrategy, seed: u64) -> Self {
        Self { strategy, next: seed, next_inside: seed, sticky_node: None, sticky_worker: None }
    }

    /// The node of the next member and its place among that node's; `nodes` by number, `here` is
    /// the publisher's own. `None`: there are no members.
    pub fn node(&mut self, nodes: &[Share], here: u64, message: &Message) -> Option<(u64, u32)> {
        let only_here = [here];
        let local = self.strategy == SharedStrategy::Local
            && nodes.iter().any(|(node, members)| *node == here && *members > 0);
        let nodes = nodes.iter().copied().filter(|(node, _)| !local || only_here.contains(node));
        let salt = 1;
        choose(self.strategy, nodes, message, salt, &mut self.next, &mut self.sticky_node)
    }

    /// The worker of a member. `place`: the one of [`Self::node`], where the node is the
    /// publisher's own; messages from other nodes have none.
    pub fn worker(
        &mut self,
        workers: &[Share],
        place: Option<u32>,
        message: &Message,
    ) -> Option<u64> {
        let in_turn = matches!(
            self.strategy,
            SharedStrategy::RoundRobin | SharedStrategy::RoundRobinPerGroup
        );
        if let Some(place) = place.filter(|_| in_turn) {
            return at(workers.iter().copied(), u64::from(place)).map(|(worker, _)| worker);
        }
        let (next, sticky) = (&mut self.next_inside, &mut self.sticky_worker);
        let workers = workers.iter().copied();
        choose(self.strategy, workers, message, 2, next, sticky).map(|(worker, _)| worker)
    }
}

/// Picks by shares. `salt` keeps the steps of one choice apart.
fn choose(
    strategy: SharedStrategy,
    shares: impl Iterator<Item = Share> + Clone,
    message: &Message,
    salt: u64,
    next: &mut u64,
    sticky: &mut Option<u64>,
) -> Option<(u64, u32)> {
    let total: u64 = shares.clone().map(|(_, members)| u64::from(members)).sum();
    if total == 0 {
        return None;
    }
    let place = match strategy {
        SharedStrategy::RoundRobin | SharedStrategy::RoundRobinPerGroup => *next,
        SharedStrategy::Random | SharedStrategy::Local | SharedStrategy::Sticky => {
            mix(next.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        }
        SharedStrategy::HashClientid => mix(hash(&message.from).wrapping_add(salt)),
        SharedStrategy::HashTopic => mix(hash(&message.topic).wrapping_add(salt)),
    };
    *next = next.wrapping_add(1);
    let held = sticky.filter(|_| strategy == SharedStrategy::Sticky);
    let stays = shares.clone().find(|(of, members)| Some(*of) == held && *members > 0);
    let chosen = match stays {
        Some((of, _)) => Some((of, 0)),
        None => at(shares, place % total),
    };
    *sticky = chosen.map(|(of, _)| of);
    chosen
}

/// Who has this place in the row, and which of its own it is.
fn at(shares: impl Iterator<Item = Share>, place: u64) -> Option<(u64, u32)> {
    let mut left = place;
    for (of, members) in shares {
        match left.checked_sub(u64::from(members)) {
            Some(rest) => left = rest,
            None => return Some((of, u32::try_from(left).unwrap_or(0))),
        }
    }
    None
}
