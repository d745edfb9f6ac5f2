//! A remote cluster that behaves like one of the releases of EMQX (LINK-SPEC 8.2), in both roles.
//!
//! [`Upstream`] is what our links connect to: a minimal MQTT 5 server that answers handshakes, keeps
//! routes and takes forwarded messages. [`Downstream`] connects to a node of ours, introduces itself,
//! reports routes and forwards messages. What a release does differently is in [`Profile`]; the
//! payloads come from `spanmq-link-protocol`, whose vectors were recorded from EMQX.

mod downstream;
mod profile;
mod upstream;
mod wire;

pub use downstream::{Answer, Downstream};
pub use profile::Profile;
pub use upstream::{Seen, Upstream};
