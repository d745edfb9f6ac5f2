//! When the next attempt starts, and whether a failure is worth a loud log line (W-26, 0.1).
//! Shared by the replication actor and the forwarding connections.

use crate::reason::{Reason, ReasonWord};
use std::time::{Duration, Instant};

/// Failures with one reason that are all loud; then only every [`LOUD_EVERY`]th is.
const LOUD_FIRST: u32 = 10;
/// At one attempt per 5 s: one loud line per 30 s.
const LOUD_EVERY: u32 = 6;
/// Two take-overs within this time are a conflict.
const CONFLICT_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Retry {
    base: Duration,
    started_at: Option<Instant>,
    last: Option<ReasonWord>,
    repeats: u32,
    taken_over_at: Option<Instant>,
}

impl Retry {
    /// `base` is the pause from start to start, before jitter.
    pub(crate) fn new(base: Duration) -> Retry {
        Retry { base, started_at: None, last: None, repeats: 0, taken_over_at: None }
    }

    pub(crate) fn attempt_starts(&mut self, now: Instant) {
        self.started_at = Some(now);
    }

    /// From start to start, with ±10 % jitter.
    pub(crate) fn next_attempt(&self, now: Instant, random: u64) -> Instant {
        let started = self.started_at.unwrap_or(now);
        (started + jittered(self.base, random)).max(now)
    }

    pub(crate) fn succeeded(&mut self) {
        self.last = None;
        self.repeats = 0;
    }

    /// A take-over by another client is a conflict only when it happens twice within a minute
    /// (W-4): once, it may be our own older connection.
    pub(crate) fn judge_takeover(&mut self, now: Instant, reason: Reason) -> Reason {
        if reason.word != ReasonWord::ClientIdConflict {
            return reason;
        }
        let before = self.taken_over_at.replace(now);
        match before {
            Some(at) if now.duration_since(at) <= CONFLICT_WINDOW => reason,
            _ => Reason { word: ReasonWord::SessionEnded, ..reason },
        }
    }

    /// Whether this failure is to be logged loudly.
    pub(crate) fn failed(&mut self, word: ReasonWord) -> bool {
        self.repeats = if self.last == Some(word) { self.repeats.saturating_add(1) } else { 1 };
        self.last = Some(word);
        self.repeats <= LOUD_FIRST || self.repeats.is_multiple_of(LOUD_EVERY)
    }
}

/// `base` ± 10 %.
pub(crate) fn jittered(base: Duration, random: u64) -> Duration {
    let base_ms = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
    let spread = base_ms / 5;
    let least = base_ms.saturating_sub(base_ms / 10);
    Duration::from_millis(least.saturating_add(random % spread.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_stays_within_ten_percent_and_below_five_seconds() {
        for random in [0, 1, 449, 899, 900, 901, u64::MAX] {
            let pause = jittered(Duration::from_millis(4_500), random);
            assert!(pause >= Duration::from_millis(4_050), "{pause:?}");
            assert!(pause <= Duration::from_millis(4_950), "{pause:?}");
        }
    }

    #[test]
    fn the_pause_counts_from_the_start_of_the_attempt() {
        let t0 = Instant::now();
        let mut retry = Retry::new(Duration::from_secs(1));
        retry.attempt_starts(t0);
        let failed_late = t0 + Duration::from_secs(9);
        assert_eq!(retry.next_attempt(failed_late, 0), failed_late);
        let failed_soon = t0 + Duration::from_millis(1);
        assert_eq!(retry.next_attempt(failed_soon, 0), t0 + Duration::from_millis(900));
    }

    #[test]
    fn the_same_failure_is_loud_ten_times_and_then_every_sixth() {
        let mut retry = Retry::new(Duration::from_secs(1));
        let loud: Vec<u32> =
            (1..=24).filter(|_| retry.failed(ReasonWord::UnknownCluster)).collect();
        assert_eq!(loud.len(), 10 + 3);
        assert!(retry.failed(ReasonWord::AclDenied), "another reason is loud at once");
    }

    #[test]
    fn one_take_over_is_an_ended_session_and_two_in_a_minute_are_a_conflict() {
        let t0 = Instant::now();
        let mut retry = Retry::new(Duration::from_secs(1));
        let takeover = || Reason::new(ReasonWord::ClientIdConflict);
        assert_eq!(retry.judge_takeover(t0, takeover()).word, ReasonWord::SessionEnded);
        let later = t0 + Duration::from_secs(61);
        assert_eq!(retry.judge_takeover(later, takeover()).word, ReasonWord::SessionEnded);
        let again = later + Duration::from_secs(59);
        assert_eq!(retry.judge_takeover(again, takeover()).word, ReasonWord::ClientIdConflict);
    }
}
