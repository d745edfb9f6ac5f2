//! Commands about link configurations.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Revision, SecretText};

/// One link as proposed. `linking/protocol` has validated it; the state reads only the key fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// The remote cluster's name; the key, immutable (LINK-SPEC C-1, C-4).
    pub name: Arc<str>,
    /// As configured.
    pub server: Arc<str>,
    /// With the default filled in (the local cluster name).
    pub clientid: Arc<str>,
    /// Wins over an `enable` inside `config`.
    pub enable: bool,
    /// The whole configuration as JSON text, secrets included.
    pub config: SecretText,
    /// Hidden counter given by a file or backup; used when higher than what is kept (C-12).
    pub counter: u64,
}

/// Changes of the link list. Revisions make REST writes linearizable (CHAOS P6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkCommand {
    /// Appends a link.
    Create(LinkSpec),
    /// Replaces a link (the path's name wins, C-4: the proposer puts it into `spec.name`).
    Update {
        /// The new value.
        spec: LinkSpec,
        /// Refuse unless this is the present revision.
        expected: Option<Revision>,
    },
    /// Removes a link and what was learnt from its remote.
    Delete {
        /// Which.
        name: Arc<str>,
        /// Refuse unless this is the present revision.
        expected: Option<Revision>,
    },
    /// Makes this the whole list, or changes nothing.
    ReplaceAll {
        /// In order.
        links: Vec<LinkSpec>,
        /// Refuse unless this is the present revision of the list.
        expected: Option<Revision>,
    },
    /// Enables or disables (LINK-SPEC 1.6).
    SetEnabled {
        /// Which.
        name: Arc<str>,
        /// Wanted.
        enabled: bool,
    },
    /// Pauses (buffer, do not send) or resumes.
    SetPaused {
        /// Which.
        name: Arc<str>,
        /// Wanted.
        paused: bool,
    },
}

/// Answers to [`LinkCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkReply {
    /// Changed.
    Done {
        /// The revision of the link, or of the list after a delete or replacement.
        revision: Revision,
        /// The link's hidden counter; 0 after a delete or replacement.
        counter: u64,
    },
    /// Equal to what was there; revision and counter stay (LINK-SPEC 1.5, last row).
    Unchanged {
        /// The present revision.
        revision: Revision,
    },
    /// A link of that name exists.
    AlreadyExists {
        /// Which.
        name: Arc<str>,
    },
    /// No link of that name.
    NotFound {
        /// Which.
        name: Arc<str>,
    },
    /// The revision is not the expected one.
    Conflict {
        /// The present revision.
        revision: Revision,
    },
    /// Another link has the same server and client id (W-4).
    SameConnection {
        /// That link.
        other: Arc<str>,
    },
    /// A name twice in one replacement (C-1).
    Duplicate {
        /// Which.
        name: Arc<str>,
    },
    /// The name is our own cluster's (C-3).
    LinkToSelf,
    /// More links than the cap.
    TooMany {
        /// The cap.
        limit: u32,
    },
}
