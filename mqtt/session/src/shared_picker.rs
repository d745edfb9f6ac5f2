use crate::{Message, SharedMember, SharedStrategy};

/// Picks the members of one shared group, in one place: each publisher's node has its own.
///
/// A message whose member went without taking it is picked again, with that member in `tried`.
#[derive(Debug, Clone)]
pub struct SharedPicker {
    strategy: SharedStrategy,
    local_first: bool,
    /// Turn of the round robin, or state of the random numbers.
    state: u64,
    sticky: Option<u64>,
}

impl SharedPicker {
    /// `local_first`: members of this node before others. `seed`: where the round begins, or what
    /// the random numbers come from; different nodes should give different ones.
    #[must_use]
    pub const fn new(strategy: SharedStrategy, local_first: bool, seed: u64) -> Self {
        Self { strategy, local_first, state: seed, sticky: None }
    }

    /// The index of the member that gets the message; `None` if all were tried.
    ///
    /// Preference: not tried (a must), connected, local (if asked for), then the strategy. For
    /// the hashes, `members` must come in the same order on each call.
    ///
    /// Cost: two passes over the members, without allocation.
    pub fn pick<M: SharedMember>(
        &mut self,
        members: &[M],
        message: &Message,
        tried: &[u64],
    ) -> Option<usize> {
        let rank = |member: &M| {
            let untried = !tried.contains(&member.key());
            let local = !self.local_first || member.is_local();
            untried.then_some((member.is_online(), local))
        };
        let best = members.iter().filter_map(rank).max()?;
        let strategy_input = (self.strategy, self.sticky);
        let candidates =
            || members.iter().enumerate().filter(move |(_, member)| rank(member) == Some(best));
        let count = candidates().count() as u64;
        let (choice, state) = match strategy_input {
            (SharedStrategy::RoundRobin | SharedStrategy::RoundRobinPerGroup, _) => {
                (self.state % count, self.state.wrapping_add(1))
            }
            (SharedStrategy::Random | SharedStrategy::Local, _) => {
                let next = self.state.wrapping_add(GOLDEN);
                (mix(next) % count, next)
            }
            (SharedStrategy::Sticky, sticky) => {
                let known = candidates().position(|(_, member)| Some(member.key()) == sticky);
                (known.map_or(mix(self.state) % count, |place| place as u64), self.state)
            }
            (SharedStrategy::HashClientid, _) => (hash(&message.from) % count, self.state),
            (SharedStrategy::HashTopic, _) => (hash(&message.topic) % count, self.state),
        };
        let (index, member) = candidates().nth(choice as usize)?;
        self.sticky = Some(member.key());
        self.state = state;
        Some(index)
    }
}

/// 2⁶⁴ divided by the golden ratio: the step of a Weyl sequence (SplitMix64).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64.
pub(crate) const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// FNV-1a, finalized. The same on each node and in each release, unlike the hasher of std.
pub(crate) fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    mix(text.bytes().fold(0xCBF2_9CE4_8422_2325, step))
}
