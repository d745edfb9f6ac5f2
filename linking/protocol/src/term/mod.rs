//! Erlang external term format, the part that cluster links use (LINK-SPEC 2.7).
//!
//! Decides what bytes of a stranger become a [`Term`], within [`DecodeLimits`], and how our own
//! payloads are written. Leaves the meaning of terms to [`crate::message`].
//!
//! *Invariants*: no input panics, indexes out of bounds, recurses deeper than the limit, or makes
//! us allocate more than a fixed multiple of the input; atoms are compared, never interned.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod atom;
mod compress;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use atom::{Atom, AtomText};
pub use compress::unwrap_payload;
pub use decode::{Decoded, decode};
pub use encode::{Encoder, compress_when_smaller};

/// Bounds of one decode (SECURITY-REQUIREMENTS K2, K3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Deepest nesting of tuples, lists and maps. Default: 16.
    pub depth: usize,
    /// Terms of all kinds in one payload. Default: 65,536, enough for 10,000 routes.
    pub terms: usize,
    /// Bytes a compressed payload may inflate to. Default: 1 MiB + 64 KiB.
    pub inflated_bytes: usize,
}

/// Room above the link's message limit that an inflated payload may take (K3).
pub const INFLATE_HEADROOM_BYTES: usize = 64 * 1024;

impl DecodeLimits {
    /// Limits for a link whose largest message has `message_bytes` bytes.
    pub fn for_message_limit(message_bytes: usize) -> DecodeLimits {
        DecodeLimits {
            inflated_bytes: message_bytes.saturating_add(INFLATE_HEADROOM_BYTES),
            ..DecodeLimits::default()
        }
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        DecodeLimits {
            depth: 16,
            terms: 65_536,
            inflated_bytes: 1024 * 1024 + INFLATE_HEADROOM_BYTES,
        }
    }
}

/// One decoded term. Binaries borrow from the payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Term<'a> {
    Int(i64),
    Float(f64),
    Atom(AtomText<'a>),
    Binary(&'a [u8]),
    /// A list of small integers in its short form (tag 107).
    ByteList(&'a [u8]),
    Tuple(Vec<Term<'a>>),
    List(Vec<Term<'a>>),
    /// Pairs in the order received; of equal keys the last one counts.
    Map(Vec<(Term<'a>, Term<'a>)>),
}

/// Why a payload is not a term we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    #[error("the payload is empty")]
    Empty,
    #[error("the payload does not begin with the term format version 131")]
    BadVersion,
    #[error("the payload ends in the middle of a term")]
    Truncated,
    #[error("term tag {0} is not accepted")]
    UnsupportedTag(u8),
    #[error("an atom is not valid text")]
    BadAtom,
    #[error("an integer does not fit 64 bits")]
    IntegerTooLarge,
    #[error("a float is not finite or not readable")]
    BadFloat,
    #[error("a list does not end properly")]
    ImproperList,
    #[error("terms are nested deeper than the limit")]
    TooDeep,
    #[error("the payload holds more terms than the limit")]
    TooManyTerms,
    #[error("a collection claims more elements than the payload has bytes")]
    CountBeyondInput,
    #[error("the compressed payload is larger than the limit")]
    InflatedTooLarge,
    #[error("the compressed payload is damaged")]
    BadCompression,
}
