//! What is known of the log without touching the disk: its ends, and its newest entries.

use std::collections::VecDeque;

use crate::types::{Entry, LogId};

/// The newest entries, kept for replication and apply.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The last entry, or the last purged one when there is none.
    pub(super) last: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// Entries `cache_from..`, with their encoded length; always the end of the log.
    cache: VecDeque<(Entry, usize)>,
    cache_bytes: usize,
    cache_bytes_max: usize,
}

impl View {
    pub(super) fn new(last: Option<LogId>, purged: Option<LogId>, cache_bytes_max: usize) -> Self {
        Self { last, purged, cache_bytes_max, ..Self::default() }
    }

    /// The index that the next entry gets.
    pub(super) fn next(&self) -> u64 {
        self.last.map_or(0, |id| id.index + 1)
    }

    /// The oldest index that is kept.
    pub(super) fn first(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }

    /// Indexes from here on are in the cache.
    pub(super) fn cached_from(&self) -> u64 {
        self.cache.front().map_or(u64::MAX, |(entry, _)| entry.log_id.index)
    }

    /// Takes a new entry at the end.
    pub(super) fn push(&mut self, entry: Entry, bytes: usize) {
        self.last = Some(entry.log_id);
        self.cache_bytes += bytes;
        self.cache.push_back((entry, bytes));
    }

    /// Forgets cached entries above the limit, but none from `written` on: they are nowhere else.
    pub(super) fn trim(&mut self, written: u64) {
        while self.cache_bytes > self.cache_bytes_max && self.cached_from() < written {
            self.pop_oldest();
        }
    }

    /// Entries `from..to` from the cache, at least one, up to `bytes_max`.
    pub(super) fn cached(&self, from: u64, to: u64, bytes_max: usize) -> Vec<Entry> {
        let Some(skip) = from.checked_sub(self.cached_from()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut total = 0;
        for (entry, bytes) in self.cache.iter().skip(skip as usize) {
            total += bytes;
            if entry.log_id.index >= to || (!found.is_empty() && total > bytes_max) {
                break;
            }
            found.push(entry.clone());
        }
        found
    }

    /// Removes `from` and everything after it; `before` is the entry in front of it.
    pub(super) fn truncate(&mut self, from: u64, before: Option<LogId>) {
        while let Some((entry, bytes)) = self.cache.pop_back_if(|(e, _)| e.log_id.index >= from) {
            debug_assert!(entry.log_id.index >= from);
            self.cache_bytes -= bytes;
        }
        self.last = before.max(self.purged);
    }

    /// Removes `upto` and everything before it.
    pub(super) fn purge(&mut self, upto: LogId) {
        while self.cached_from() <= upto.index {
            self.pop_oldest();
        }
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(self.purged);
    }

    fn pop_oldest(&mut self) {
        if let Some((_, bytes)) = self.cache.pop_front() {
            self.cache_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::testing::{blank_ent, log_id};

    use super::*;

    fn view(cache_bytes_max: usize, entries: u64) -> View {
        let mut view = View::new(None, None, cache_bytes_max);
        for index in 0..entries {
            view.push(blank_ent(1, 1, index), 10);
        }
        view
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn entries_that_are_nowhere_else_stay_in_the_cache() {
        let mut view = view(20, 5);
        view.trim(1);
        assert_eq!(view.cached_from(), 1);
        view.trim(5);
        assert_eq!(view.cached_from(), 3);
        assert_eq!(view.next(), 5);
    }

    #[test]
    fn a_range_ends_at_the_byte_limit_but_is_not_empty() {
        let view = view(1000, 5);
        assert_eq!(indexes(&view.cached(1, 4, 1000)), [1, 2, 3]);
        assert_eq!(indexes(&view.cached(1, 4, 20)), [1, 2]);
        assert_eq!(indexes(&view.cached(1, 4, 0)), [1]);
        assert_eq!(indexes(&view.cached(5, 9, 1000)), [0u64; 0]);
    }

    #[test]
    fn truncating_and_purging_move_the_ends() {
        let mut view = view(1000, 5);
        view.truncate(3, Some(log_id(1, 1, 2)));
        assert_eq!(view.next(), 3);
        view.purge(log_id(1, 1, 0));
        assert_eq!((view.first(), view.cached_from()), (1, 1));
        view.purge(log_id(2, 1, 9));
        assert_eq!((view.first(), view.next(), view.cached_from()), (10, 10, u64::MAX));
    }
}
