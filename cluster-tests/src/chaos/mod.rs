//! The chaos suite: a plan from a seed, real nodes behind fault proxies, a history of all that
//! happened, and checkers that judge it.
//!
//! `history`, `check` and `plan` are pure; the rest performs.

pub mod check;
pub mod history;
pub mod plan;
