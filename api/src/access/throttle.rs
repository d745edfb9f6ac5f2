//! Slows down whoever tries passwords (SECURITY A2). Pure: time comes in as an argument.
//!
//! Failures count per (name, address) and per address. Beyond some free ones each failure doubles a
//! pause, up to a minute. The table is bounded; its oldest entry goes first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures without a pause, per name and address.
const FREE: u32 = 5;
/// Failures without a pause, per address: several people may sit behind one.
const FREE_PER_ADDRESS: u32 = 20;
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// After so long without a failure everything is forgotten.
const MEMORY: Duration = Duration::from_secs(600);
const ENTRIES_MAX: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Option<String>,
    address: IpAddr,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Who failed how often.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: HashMap<Key, Failures>,
}

impl Throttle {
    /// # Errors
    /// How long to wait before the next attempt.
    pub(crate) fn check(&self, now: Instant, name: &str, from: IpAddr) -> Result<(), Duration> {
        let waits = keys(name, from).into_iter().filter_map(|(key, free)| {
            let failures = self.failures.get(&key)?;
            let pause = pause(failures.count, free);
            pause.checked_sub(now.saturating_duration_since(failures.last))
        });
        waits.filter(|wait| !wait.is_zero()).max().map_or(Ok(()), Err)
    }

    pub(crate) fn failed(&mut self, now: Instant, name: &str, from: IpAddr) {
        self.failures.retain(|_, f| now.saturating_duration_since(f.last) < MEMORY);
        for (key, _) in keys(name, from) {
            if self.failures.len() >= ENTRIES_MAX && !self.failures.contains_key(&key) {
                let oldest = self.failures.iter().min_by_key(|(_, f)| f.last);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    self.failures.remove(&oldest);
                }
            }
            let entry = self.failures.entry(key).or_insert(Failures { count: 0, last: now });
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
        }
    }

    pub(crate) fn succeeded(&mut self, name: &str, from: IpAddr) {
        for (key, _) in keys(name, from) {
            self.failures.remove(&key);
        }
    }
}

fn keys(name: &str, address: IpAddr) -> [(Key, u32); 2] {
    // Names are a stranger's text: what is kept of them is bounded.
    let name: String = name.chars().take(64).collect();
    [(Key { name: Some(name), address }, FREE), (Key { name: None, address }, FREE_PER_ADDRESS)]
}

fn pause(count: u32, free: u32) -> Duration {
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(above) => Duration::from_secs(1 << above.min(6)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn there(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn the_pause_doubles_with_each_failure_and_a_success_ends_it_a2() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE - 1 {
            throttle.failed(now, "ann", HERE);
        }
        assert_eq!(throttle.check(now, "ann", HERE), Ok(()));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            throttle.failed(now, "ann", HERE);
            assert_eq!(throttle.check(now, "ann", HERE), Err(Duration::from_secs(pause)));
        }
        assert_eq!(throttle.check(now, "bob", HERE), Ok(()));
        assert_eq!(throttle.check(now, "ann", there(1)), Ok(()), "a stranger cannot lock ann out");
        assert_eq!(throttle.check(now + PAUSE_MAX, "ann", HERE), Ok(()));
        throttle.succeeded("ann", HERE);
        assert_eq!(throttle.check(now, "ann", HERE), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_too_a2() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..FREE_PER_ADDRESS {
            throttle.failed(now, &format!("u{n}"), HERE);
        }
        assert_eq!(throttle.check(now, "new", HERE), Err(Duration::from_secs(1)));
    }

    #[test]
    fn the_table_is_bounded_and_forgets() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..3_000 {
            throttle.failed(now, &format!("u{n}"), [10, 1, (n / 256) as u8, n as u8].into());
        }
        assert_eq!(throttle.failures.len(), ENTRIES_MAX);
        throttle.failed(now + MEMORY, "x", HERE);
        assert_eq!(throttle.failures.len(), 2);
    }
}
