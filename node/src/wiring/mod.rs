//! Connects the shells: each declares small traits for what it needs, here they are implemented.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod broker;
#[cfg(feature = "testing")]
mod debug;
pub(crate) mod https;
mod left;
pub(crate) mod links;
mod listeners;
pub(crate) mod peers;
pub(crate) mod records;
pub(crate) mod sessions;
pub(crate) mod settings;
mod spool;

use std::sync::{Arc, OnceLock};

/// A part that another part needs before it exists: set once, before clients are let in.
pub(crate) struct Later<T>(OnceLock<T>);

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Later<T> {
    /// Sets it; a second value is ignored.
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(value);
    }

    /// The part, once it is there.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

/// Shared by adapters that run before and after it is set.
pub(crate) type Slot<T> = Arc<Later<T>>;
