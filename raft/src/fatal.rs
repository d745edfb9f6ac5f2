//! What happens when going on would mean answering wrongly.

use std::{fmt, io::Write, sync::Arc};

/// Why the node must stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FatalCause {
    /// The node contradicts itself: its log cannot be read back, its state cannot go on.
    Invariant(String),
    /// The disk refused to make something durable, and asking again would not tell the truth.
    Disk(String),
}

impl fmt::Display for FatalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invariant(what) => write!(f, "FATAL-INVARIANT {what}"),
            Self::Disk(what) => write!(f, "FATAL-DISK {what}"),
        }
    }
}

/// Ends the node. Called once, from the thread that noticed.
#[derive(Clone)]
pub struct FatalHook(Arc<dyn Fn(&FatalCause) + Send + Sync>);

impl FatalHook {
    /// A hook of one's own, for tests and for a node that has something to say first.
    pub fn new(hook: impl Fn(&FatalCause) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Says why, and calls the hook.
    pub(crate) fn stop(&self, cause: &FatalCause) {
        tracing::error!(%cause, "the node stops");
        // The log may go elsewhere; the chaos suite and the operator look at stderr (CHAOS §3).
        let _ = writeln!(std::io::stderr(), "{cause}");
        (self.0)(cause);
    }
}

impl Default for FatalHook {
    /// Exits at once. Nothing is flushed: whatever was promised is on disk already.
    fn default() -> Self {
        Self::new(|_| std::process::exit(70))
    }
}

impl fmt::Debug for FatalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FatalHook")
    }
}
