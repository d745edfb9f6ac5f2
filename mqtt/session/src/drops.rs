use crate::DropReason;

/// Messages that did not reach a session, counted by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops([u32; DropReason::ALL.len()]);

impl Drops {
    /// Counts one more.
    pub fn add(&mut self, reason: DropReason) {
        let count = &mut self.0[reason as usize];
        *count = count.saturating_add(1);
    }

    /// How many for this reason.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u32 {
        self.0[reason as usize]
    }

    /// Whether nothing was dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// All reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u32)> + '_ {
        DropReason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}
