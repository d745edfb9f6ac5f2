//! What can be wrong with a configuration, told to the operator: what, where, what to do.

use std::path::PathBuf;

use crate::origin::{KeyPath, Origin};

/// One thing that keeps the node from starting. Prints as `file:line:column: what`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    pub origin: Origin,
    #[source]
    pub problem: Problem,
}

/// What is wrong, without the place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{message}")]
    Syntax { message: String },
    #[error("unknown key `{key}`{}", did_you_mean(nearest))]
    UnknownKey { key: KeyPath, nearest: Option<KeyPath> },
    #[error("`{key}`: {found} is not {expected}")]
    BadValue { key: KeyPath, found: String, expected: String },
    #[error("`{key}` is missing: {why}")]
    Missing { key: KeyPath, why: String },
    #[error("{message}")]
    Conflict { message: String },
    #[error("`{key}`: cannot read {}: {reason}", path.display())]
    File { key: KeyPath, path: PathBuf, reason: String },
    #[error("`{key}`: {reason}")]
    Link { key: KeyPath, reason: String },
}

fn did_you_mean(nearest: &Option<KeyPath>) -> String {
    nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Something the operator should know that does not keep the node from starting.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// A key of EMQX that has no meaning here.
    Ignored { key: KeyPath, reason: &'static str, origin: Origin },
    /// An environment variable with our prefix that names no key.
    UnknownEnvironment { name: String, nearest: Option<String> },
    /// `EMQX_A__B` was taken for `SPANMQ_A__B`; to be logged at `info`.
    EnvironmentAlias { name: String, ours: String },
    /// Anything else, as one sentence.
    Advice { key: KeyPath, message: String, origin: Origin },
}

impl Warning {
    /// Whether it only informs (level `info` rather than `warn`).
    pub fn is_notice(&self) -> bool {
        matches!(self, Self::EnvironmentAlias { .. })
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ignored { key, reason, origin } => {
                write!(f, "{origin}: `{key}` is ignored: {reason}")
            }
            Self::UnknownEnvironment { name, nearest } => {
                write!(f, "environment variable {name} names no key and is ignored")?;
                match nearest {
                    Some(near) => write!(f, "; did you mean {near}?"),
                    None => Ok(()),
                }
            }
            Self::EnvironmentAlias { name, ours } => {
                write!(f, "environment variable {name} is read as {ours}, its name here")
            }
            Self::Advice { key, message, origin } => write!(f, "{origin}: `{key}`: {message}"),
        }
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The known word that `word` was most likely meant to be.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
