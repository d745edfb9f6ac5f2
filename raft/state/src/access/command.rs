//! Commands about users, API keys and ACL overrides. What the records say is `spanmq-access`'s
//! matter; here they are texts with a revision.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Revision, SecretText};

/// Which table a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccessKind {
    /// MQTT and dashboard users, by name; password hashed.
    User,
    /// API keys, by id; secret hashed.
    ApiKey,
    /// ACL overrides, by scope.
    Acl,
}

/// Changes of users, keys and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessCommand {
    /// Adds or replaces.
    Put {
        /// Table.
        kind: AccessKind,
        /// Key.
        name: Arc<str>,
        /// JSON text with hashes, never with passwords.
        record: SecretText,
        /// Refuse when it exists.
        create_only: bool,
        /// Refuse unless this is the present revision.
        expected: Option<Revision>,
    },
    /// Removes.
    Delete {
        /// Table.
        kind: AccessKind,
        /// Key.
        name: Arc<str>,
        /// Refuse unless this is the present revision.
        expected: Option<Revision>,
    },
}

/// Answers to [`AccessCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessReply {
    /// Changed.
    Done {
        /// Raft index of the change.
        revision: Revision,
    },
    /// It exists.
    AlreadyExists,
    /// It does not exist.
    NotFound,
    /// The revision is not the expected one.
    Conflict {
        /// The present one.
        revision: Revision,
    },
}
