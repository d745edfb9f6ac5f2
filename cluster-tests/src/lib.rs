//! Chaos suite and real-process tests of SpanMQ: the harness that starts real nodes and faults.
//!
//! Nothing but `sim` imports the broker: a node is a child process of the real `spanmq` binary, and
//! the suite speaks to it as anyone would, over MQTT, REST and signals. `sim` runs two of the pure
//! machines by themselves. What a run claims is in `docs/guarantees.md`, how to run it in
//! `docs/chaos.md`.

#![allow(clippy::panic, reason = "a harness ends a test by panicking")]

pub mod chaos;
pub mod client;
pub mod harness;
pub mod sim;
pub mod simulator;
