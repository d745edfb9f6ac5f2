use std::collections::HashMap;

use spanmq_topic::TopicName;

use crate::AliasUse;

/// Topic aliases that we set towards a client; the least recently used one makes room.
///
/// Memory: at most the smaller of the client's maximum and ours (L6).
#[derive(Debug, Clone, Default)]
pub(crate) struct AliasesOut {
    max: u16,
    /// Topic → alias − 1, the place in `used`.
    slots: HashMap<TopicName, u16>,
    /// Who has the alias, and the turn of its last use.
    used: Vec<(TopicName, u64)>,
    turn: u64,
}

impl AliasesOut {
    pub(crate) fn new(max: u16) -> Self {
        Self { max, ..Self::default() }
    }

    pub(crate) const fn is_off(&self) -> bool {
        self.max == 0
    }

    /// The alias to send for a topic. Call it only when the packet is really written: the client
    /// must see each alias set before it is used.
    ///
    /// Cost: one hash of the topic; a new topic when all are in use looks through all of them.
    pub(crate) fn take(&mut self, topic: &TopicName) -> AliasUse {
        if self.is_off() {
            return AliasUse::None;
        }
        self.turn += 1;
        if let Some(slot) = self.slots.get(topic) {
            self.used[usize::from(*slot)].1 = self.turn;
            return AliasUse::Known(slot + 1);
        }
        let slot = self.free_slot();
        let owner = (topic.clone(), self.turn);
        match self.used.get_mut(usize::from(slot)) {
            Some(place) => {
                let former = std::mem::replace(place, owner);
                self.slots.remove(&former.0);
            }
            None => self.used.push(owner),
        }
        self.slots.insert(topic.clone(), slot);
        AliasUse::Set(slot + 1)
    }

    /// The next unused slot, or that of the topic used longest ago.
    fn free_slot(&self) -> u16 {
        if self.used.len() < usize::from(self.max) {
            return self.used.len() as u16;
        }
        let oldest = self.used.iter().enumerate().min_by_key(|(_, (_, turn))| *turn);
        oldest.map_or(0, |(slot, _)| slot as u16)
    }
}
