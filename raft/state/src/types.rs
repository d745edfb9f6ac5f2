//! Words that every area of the state uses: ids, times, and texts that must not be printed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A member of the cluster, as Raft numbers it.
pub type NodeId = u64;

/// One ownership of one client id. Grows with each claim, so that a late write of an earlier owner
/// can be told from a write of the present one (ARCHITECTURE §4, "one session per client id").
pub type Epoch = u64;

/// Number of a run of a node or of a remote actor; older runs are void.
pub type Incarnation = u64;

/// Wall-clock milliseconds since 1970 as the proposer read them. `apply` never reads a clock.
pub type Millis = u64;

/// The raft index at which something last changed; what REST shows as `revision`.
pub type Revision = u64;

/// A text that may hold secrets (link passwords, password hashes). Printing it shows only its size.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Wraps `text`.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself; keep it out of logs and answers (SECURITY A9).
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** ({} bytes)", self.0.len())
    }
}

/// Bytes that the state carries without looking inside, such as an encoded message.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Bytes);

impl Opaque {
    /// Wraps `bytes`.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
