//! The chaos suite: a plan from a seed, real nodes behind fault proxies, a history of all that
//! happened, and checkers that judge it.
//!
//! `history`, `check` and `plan` are pure; the rest performs.

pub mod arena;
pub mod check;
mod damage;
pub mod grid;
pub mod history;
mod nemesis;
mod observer;
pub mod plan;
pub mod recorder;
pub mod report;
pub mod run;
mod workload;
