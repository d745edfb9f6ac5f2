//! Why a rule file was refused. A refused file means no start and no reload, never "allow all"
//! (SECURITY-REQUIREMENTS A8).

use std::fmt;
use std::sync::Arc;

use spanmq_topic::BadFilter;

/// A place in a rule file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum AclError {
    #[error("{at}: found {found}, expected {expected}")]
    Unexpected { at: Place, found: String, expected: String },
    #[error(
        "{at}: {filter:?} is not a topic filter; shared subscriptions are checked by their inner filter"
    )]
    BadFilter {
        at: Place,
        filter: String,
        #[source]
        source: BadFilter,
    },
    #[error(
        "{at}: the pattern {pattern:?} uses look-around, a back-reference or the like, which could run for ever; rewrite it without"
    )]
    UnsupportedPattern {
        at: Place,
        pattern: String,
        #[source]
        source: regex::Error,
    },
    #[error("{at}: {pattern:?} is not a regular expression; correct it")]
    BadPattern {
        at: Place,
        pattern: String,
        #[source]
        source: regex::Error,
    },
    #[error("{file}: the file holds no rule; write at least {{deny, all}}.")]
    Empty { file: Arc<str> },
    #[error(
        "{file}: the file has {bytes} bytes, allowed are {bytes_max}; move rules for single clients to the user database"
    )]
    TooLarge { file: Arc<str>, bytes: usize, bytes_max: usize },
}

impl AclError {
    /// Where the fault is, when it is at one place.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Unexpected { at, .. }
            | Self::BadFilter { at, .. }
            | Self::UnsupportedPattern { at, .. }
            | Self::BadPattern { at, .. } => Some(at),
            Self::Empty { .. } | Self::TooLarge { .. } => None,
        }
    }
}
