//! One log line per event, link and reason in a minute (O-4): what a remote does wrong it may do
//! wrong a thousand times a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const PERIOD: Duration = Duration::from_secs(60);
/// Names come from topics of strangers, so the table is bounded; beyond it nothing is logged until
/// lines have aged.
const LINES_MAX: usize = 1_024;

type Line = (&'static str, String, String);

/// Remembers which lines were written lately.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    written: Mutex<HashMap<Line, (Instant, u64)>>,
}

impl Throttle {
    /// Whether to write the line now, and how many like it were left out since the last one.
    pub(crate) fn admit(&self, event: &'static str, link: &str, reason: &str) -> Option<u64> {
        self.admit_at(Instant::now(), event, link, reason)
    }

    fn admit_at(&self, now: Instant, event: &'static str, link: &str, reason: &str) -> Option<u64> {
        let mut written = self.written.lock();
        let key = (event, link.to_owned(), reason.to_owned());
        if let Some((at, omitted)) = written.get_mut(&key) {
            if now.duration_since(*at) < PERIOD {
                *omitted += 1;
                return None;
            }
            *at = now;
            return Some(std::mem::take(omitted));
        }
        if written.len() >= LINES_MAX {
            written.retain(|_, (at, _)| now.duration_since(*at) < PERIOD);
            if written.len() >= LINES_MAX {
                return None;
            }
        }
        written.insert(key, (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_a_minute_and_says_how_many_were_left_out() {
        let throttle = Throttle::default();
        let t0 = Instant::now();
        assert_eq!(throttle.admit_at(t0, "e", "eu", "r"), Some(0));
        assert_eq!(throttle.admit_at(t0 + PERIOD / 2, "e", "eu", "r"), None);
        assert_eq!(throttle.admit_at(t0, "e", "us", "r"), Some(0), "another link is another line");
        assert_eq!(throttle.admit_at(t0 + PERIOD, "e", "eu", "r"), Some(1));
    }

    #[test]
    fn names_of_strangers_do_not_fill_memory() {
        let throttle = Throttle::default();
        let t0 = Instant::now();
        for number in 0..2 * LINES_MAX {
            throttle.admit_at(t0, "e", &number.to_string(), "r");
        }
        assert_eq!(throttle.written.lock().len(), LINES_MAX);
        assert_eq!(throttle.admit_at(t0 + PERIOD, "e", "new", "r"), Some(0));
    }
}
