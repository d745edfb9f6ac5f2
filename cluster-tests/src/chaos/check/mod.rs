//! The checkers: each is a pure function over a history and tells what breaks its promise.

mod availability;
mod config;
mod coverage;
mod delivery;
mod health;
mod order;
mod raft;
mod recovery;
mod retained;
mod routes;
mod sessions;
#[cfg(test)]
mod tests_delivery;

use serde::{Deserialize, Serialize};

use super::history::Event;
use super::plan::Plan;
pub use coverage::Gap;
pub use sessions::matches;

/// The promises of the suite's specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Promise {
    /// Acknowledged QoS 1/2 reaches every persistent session that was subscribed.
    P1,
    /// QoS 2: exactly once per session.
    P2,
    /// First receipts are in publish order.
    P3,
    /// Retained values are the same everywhere, and admissible.
    P4,
    /// Route tables equal the live subscriptions.
    P5,
    /// Link configuration is linearizable.
    P6,
    /// A link loses nothing acknowledged, in order.
    P7,
    /// One hop; never back to the origin.
    P8,
    /// One leader a term; equal index, equal state; nothing committed is lost.
    P9,
    /// One cluster stays one, two stay two.
    P10,
    /// A full disk refuses writes and damages nothing.
    P11,
    /// After the heal all is well in time.
    P12,
    /// Outside of the faults' windows publishes are acknowledged.
    P13,
    /// No panic, no leak, no log storm.
    Health,
}

/// A promise that was broken, with where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub promise: Promise,
    pub at_us: u64,
    pub text: String,
}

impl Violation {
    pub(crate) fn new(promise: Promise, at_us: u64, text: impl Into<String>) -> Self {
        Self { promise, at_us, text: text.into() }
    }
}

/// What a run has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    /// Faults or load that the run claims did not really happen.
    Unknown,
}

impl Verdict {
    /// Exit code of the suite.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Unknown => 2,
        }
    }

    /// The worse of two: a failure beats everything, unknown beats pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            _ => Self::Pass,
        }
    }
}

/// Everything that the checkers found in one history.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    pub verdict: Verdict,
    pub violations: Vec<Violation>,
    /// Broken, but the plan says beforehand that it is not claimed, and why.
    pub not_claimed: Vec<Violation>,
    pub gaps: Vec<Gap>,
    pub counts: Counts,
}

/// Numbers of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub ok: u64,
    pub refused: u64,
    pub unknown: u64,
    pub deliveries: u64,
    pub duplicates: u64,
    pub lost: u64,
    pub order_breaks: u64,
    pub faults: u64,
    /// Longest time in which nobody on the majority side had a publish acknowledged.
    pub longest_pause_ms: u64,
    /// What came back after the heal, and when.
    pub recovered_ms: Vec<(String, u64)>,
}

/// Runs every checker. A broken promise that the plan does not claim is told, not counted.
#[must_use]
pub fn all(history: &[Event], plan: &Plan) -> Findings {
    let mut found = Vec::new();
    let (delivered, mut counts) = delivery::check(history);
    found.extend(delivered);
    let order = order::check(history);
    counts.order_breaks = order.len() as u64;
    found.extend(order);
    found.extend(retained::check(history));
    found.extend(routes::check(history));
    found.extend(config::check(history));
    found.extend(raft::check(history));
    found.extend(recovery::check(history, plan.slowness));
    found.extend(availability::check(history, plan.lease_ms));
    found.extend(health::check(history));
    let gaps = coverage::check(history, plan);
    counts.longest_pause_ms = availability::longest_pause_ms(history);
    counts.recovered_ms = recovery::times(history);
    counts.faults = super::history::faults(history).len() as u64;
    found.sort_by_key(|violation| violation.at_us);
    let claimed = |v: &Violation| !plan.not_claimed.iter().any(|excuse| excuse.covers(v));
    let (violations, not_claimed): (Vec<_>, Vec<_>) = found.into_iter().partition(claimed);
    let verdict = match (violations.is_empty(), gaps.is_empty()) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Pass,
    };
    Findings { verdict, violations, not_claimed, gaps, counts }
}

/// Whether the last route tables that were written down equal the subscriptions that live.
#[must_use]
pub fn routes_hold(history: &[Event]) -> bool {
    routes::check(history).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_pass_and_a_failure_beats_both() {
        assert_eq!(Verdict::Pass.and(Verdict::Unknown), Verdict::Unknown);
        assert_eq!(Verdict::Unknown.and(Verdict::Fail), Verdict::Fail);
        assert_eq!(Verdict::Pass.and(Verdict::Pass).code(), 0);
        assert_eq!((Verdict::Fail.code(), Verdict::Unknown.code()), (1, 2));
    }
}
