use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The subscription identifiers of all subscriptions that one delivery answers (MQTT 5.0 §3.3.4).
///
/// One identifier, the usual case, costs no allocation; cloning never does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SubscriptionIds {
    /// No matching subscription has one.
    #[default]
    None,
    /// Exactly one.
    One(u32),
    /// Several, in the order in which the subscriptions matched.
    Many(Arc<[u32]>),
}

impl SubscriptionIds {
    /// The identifiers as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    /// Adds those of another subscription. The same number given twice is kept twice: a client
    /// may give one number to several subscriptions, and the spec allows to repeat it.
    pub fn append(&mut self, other: &Self) {
        *self = match (&*self, other) {
            (_, Self::None) => return,
            (Self::None, other) => other.clone(),
            (one, other) => {
                Self::Many(one.as_slice().iter().chain(other.as_slice()).copied().collect())
            }
        };
    }

    /// Bytes they take in a PUBLISH.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.as_slice().iter().map(|id| 1 + crate::packet_size::varint_len(*id as usize)).sum()
    }
}

impl From<Option<u32>> for SubscriptionIds {
    fn from(id: Option<u32>) -> Self {
        id.map_or(Self::None, Self::One)
    }
}
