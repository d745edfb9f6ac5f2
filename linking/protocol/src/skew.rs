//! How far the clock of a remote is from ours, as far as its messages show (O-6).
//!
//! A message says when it was published, by the remote's clock. Its age at arrival is what it waited
//! on the way plus the difference of the clocks. Most wait hardly at all, so the smallest age of a
//! minute is taken for the difference. A remote that works off a long queue looks as if its clock were
//! behind for so long as the queue is old.

use std::time::{Duration, Instant};

/// Ages are gathered for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer messages say nothing about waiting.
const MESSAGES_MIN: u32 = 5;
/// Differences up to this are usual between machines, and of no consequence.
const SKEW_MIN_MS: u64 = 5_000;
/// A difference is logged so often.
const LOG_PERIOD: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    smallest_ms: i64,
    messages: u32,
}

/// The estimate for one link.
#[derive(Debug, Default)]
pub struct SkewEstimate {
    window: Option<Window>,
    /// Of the last full window with enough messages, and when that ended.
    found: Option<(i64, Instant)>,
    logged: Option<Instant>,
}

impl SkewEstimate {
    /// A message arrived that was published at `published_ms` by the remote's clock; `now_ms` is
    /// ours, both in Unix milliseconds.
    pub fn note(&mut self, now: Instant, now_ms: u64, published_ms: i64) {
        let age = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(published_ms);
        let fresh = Window { began: now, smallest_ms: age, messages: 0 };
        let window = self.window.get_or_insert(fresh);
        if now.saturating_duration_since(window.began) >= WINDOW {
            if window.messages >= MESSAGES_MIN {
                self.found = Some((window.smallest_ms, now));
            }
            *window = fresh;
        }
        window.smallest_ms = window.smallest_ms.min(age);
        window.messages = window.messages.saturating_add(1);
    }

    /// By how many milliseconds the remote's clock is behind ours (negative: ahead), when it is worth
    /// a warning.
    #[must_use]
    pub fn skew_ms(&self, now: Instant) -> Option<i64> {
        let lasting = |(_, at): &(i64, Instant)| now.saturating_duration_since(*at) < 2 * WINDOW;
        let (skew, _) = self.found.filter(lasting)?;
        (skew.unsigned_abs() > SKEW_MIN_MS).then_some(skew)
    }

    /// As [`Self::skew_ms`], when it is time to log it.
    pub fn to_log(&mut self, now: Instant) -> Option<i64> {
        let skew = self.skew_ms(now)?;
        let due = |at: &Instant| now.saturating_duration_since(*at) >= LOG_PERIOD;
        if self.logged.as_ref().is_some_and(|at| !due(at)) {
            return None;
        }
        self.logged = Some(now);
        Some(skew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    /// Messages of the given ages, ten seconds from one to the next, until the window has closed.
    fn after(ages_ms: &[i64]) -> (SkewEstimate, Instant) {
        let mut estimate = SkewEstimate::default();
        let mut now = Instant::now();
        for age in ages_ms.iter().chain([&ages_ms[0]]) {
            estimate.note(now, NOW_MS, i64::try_from(NOW_MS).unwrap() - age);
            now += Duration::from_secs(10);
        }
        (estimate, now)
    }

    #[test]
    fn the_smallest_age_of_a_minute_is_the_difference_of_the_clocks() {
        let (ahead, now) = after(&[-7_000, -6_900, 60_000, -6_000, -7_100, -6_500]);
        assert_eq!(ahead.skew_ms(now), Some(-7_100));
        let (behind, now) = after(&[9_000, 8_000, 90_000, 7_000, 8_500, 9_000]);
        assert_eq!(behind.skew_ms(now), Some(7_000));
        assert_eq!(behind.skew_ms(now + 2 * WINDOW), None, "nothing was heard for long");
    }

    #[test]
    fn one_message_that_hardly_waited_shows_that_the_clocks_agree() {
        let (queue, now) = after(&[90_000, 80_000, 70_000, 60_000, 50_000, 4_000]);
        assert_eq!(queue.skew_ms(now), None);
    }

    #[test]
    fn few_messages_say_nothing() {
        let (few, now) = after(&[-60_000, -60_000, -60_000]);
        assert_eq!(few.skew_ms(now + WINDOW), None);
    }

    #[test]
    fn it_is_logged_once_an_hour() {
        let (mut estimate, now) = after(&[-7_000; 6]);
        assert_eq!(estimate.to_log(now), Some(-7_000));
        assert_eq!(estimate.to_log(now), None);
        assert_eq!(estimate.to_log(now + WINDOW), None);
    }
}
