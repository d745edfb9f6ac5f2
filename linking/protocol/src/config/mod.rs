//! Link configuration: from JSON to checked values and back (LINK-SPEC section 1, R-1, R-4, R-6).
//!
//! Decides what a valid link is, what its defaults are, how errors read, and what a change means
//! for a running link. Leaves files, certificates on disk and storage to the shells.
//!
//! *Invariants*: a [`LinkConfig`] exists only when every rule of section 1 that needs no I/O
//! holds; no `Debug`, no error and no [`LinkConfig::to_json`] with [`Reveal::Redacted`] contains a
//! secret.

mod change;
mod error;
mod fields;
mod link;
mod list;
mod parse;
mod redact;
mod render;
mod secret;
mod server;
mod ssl;
#[cfg(test)]
mod tests;
mod topics;
mod tuning;
mod units;
mod warnings;

pub use change::{ChangeEffect, PartEffect};
pub use error::{PathBase, ValidationError, all_errors_text, first_error_text};
pub use link::LinkConfig;
pub use list::check_list;
pub use parse::{ParseContext, parse_create, parse_file, parse_stored, parse_update};
pub use redact::{REDACTED, keep_stored_secrets, redact};
pub use render::Reveal;
pub use secret::{Secret, SecretSource};
pub use server::{Scheme, ServerAddress, Servers};
pub use ssl::{ServerName, SslConfig, TlsVersion, Verify};
pub use topics::TopicList;
pub use tuning::{
    BufferConfig, BufferMode, DispatchStrategy, HopBufferMode, Overflow, ResourceOpts, TcpOpts,
};
pub use units::{ByteSize, DurationOrInfinity, Span};
pub use warnings::{ConfigWarning, warnings};
