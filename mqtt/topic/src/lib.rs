//! Topic names, topic filters and their algebra: matching, intersection, union, and the table that answers who wants a topic. Pure.
//!
//! Rule numbers (`T-…`, `C-…`) are those of the cluster linking contract, `L6` of the security
//! requirements. This crate decides what matches; who may ask is for `access`, what happens to a
//! match for the callers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod algebra;
mod filter;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod levels;
mod limits;
mod name;
mod names;
mod subscription;
mod table;
mod text;

pub use algebra::{Union, intersect, intersections, is_subset, matches, union};
pub use filter::{BadFilter, TopicFilter, check_filter};
pub use limits::{OverLimit, TEXT_BYTES_MAX, TopicLimits, check_limits};
pub use name::{BadTopic, TopicName, check_name};
pub use names::NameTable;
pub use subscription::{QUEUE_GROUP, SharedFilter, Subscription};
pub use table::FilterTable;
