//! Users from a CSV or JSON file (LINK-SPEC A-8). A fault stops the import at its line; nothing of
//! the file is quoted in errors, since a shifted column would put a password there.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{BadHash, HashScheme, User};
use crate::secret::Secret;

/// What the file holds (`bootstrap_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// `user_id,password,is_superuser`; passwords are hashed with the scheme.
    Plain,
    /// `user_id,password_hash,salt,is_superuser`; hashes are those of the scheme.
    Hash,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error(
        "the file has no header line with the column {column:?}; add it, or check bootstrap_type"
    )]
    MissingColumn { column: &'static str },
    #[error(
        "line {line}: the line has not as many fields as the header, or a quote without its end"
    )]
    BadLine { line: u64 },
    #[error(
        "line {line}, column {column}: the file is not a JSON array of objects with text values"
    )]
    BadJson { line: u64, column: u64 },
    #[error("{entry}: {field} is missing or empty; fill it in, or check bootstrap_type")]
    MissingValue { entry: Entry, field: &'static str },
    #[error("{entry}: is_superuser is neither true nor false")]
    BadFlag { entry: Entry },
    #[error("{entry}: the user was given before; remove one of the two")]
    Duplicate { entry: Entry },
    #[error("{entry}: the password cannot be used")]
    BadHash {
        entry: Entry,
        #[source]
        source: BadHash,
    },
}

/// Which user of the file: a line of CSV, or an element of JSON counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Line(u64),
    Element(u64),
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Element(index) => write!(f, "user {index} of the array"),
        }
    }
}

/// One user as the file has it.
#[derive(Deserialize)]
struct Row {
    user_id: Option<String>,
    password: Option<Secret>,
    password_hash: Option<Secret>,
    salt: Option<Secret>,
    #[serde(default)]
    is_superuser: Flag,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(u8),
    Text(String),
    #[default]
    Absent,
}

/// Reads users from CSV. Columns may be in any order; unknown ones are ignored.
///
/// `salts` gives a random salt for each password. Cost: one hash per user with [`ImportKind::Plain`].
///
/// # Errors
/// [`ImportError`] at the first fault.
pub fn import_csv(
    text: &str,
    kind: ImportKind,
    scheme: &HashScheme,
    salts: impl FnMut() -> [u8; 16],
) -> Result<Vec<User>, ImportError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|_| ImportError::BadLine { line: 1 })?.clone();
    for column in columns(kind) {
        if !headers.iter().any(|header| header == *column) {
            return Err(ImportError::MissingColumn { column });
        }
    }
    let rows = reader.records().map(|record| {
        let record = record
            .map_err(|error| ImportError::BadLine { line: line_of(text, error.position()) })?;
        let line = line_of(text, record.position());
        // A quote without its end swallows the lines that follow.
        if record.iter().any(|value| value.contains('\n')) {
            return Err(ImportError::BadLine { line });
        }
        let value = |column: &str| {
            let index = headers.iter().position(|header| header == column)?;
            record.get(index).map(str::to_owned)
        };
        let row = Row {
            user_id: value("user_id"),
            password: value("password").map(Secret::new),
            password_hash: value("password_hash").map(Secret::new),
            salt: value("salt").map(Secret::new),
            is_superuser: value("is_superuser").map_or(Flag::Absent, Flag::Text),
            namespace: value("namespace"),
        };
        Ok((Entry::Line(line), row))
    });
    collect(rows, kind, scheme, salts)
}

/// The line of a record. The reader's position is where it began to look, blank lines included.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 1 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let ahead = text.as_bytes().get(start..).unwrap_or(&[]);
    let blank = ahead.iter().take_while(|byte| byte.is_ascii_whitespace());
    position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
}

/// Reads users from a JSON array of objects with the keys of the CSV columns.
///
/// # Errors
/// As [`import_csv`].
pub fn import_json(
    text: &str,
    kind: ImportKind,
    scheme: &HashScheme,
    salts: impl FnMut() -> [u8; 16],
) -> Result<Vec<User>, ImportError> {
    let rows: Vec<Row> =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            ImportError::BadJson { line: error.line() as u64, column: error.column() as u64 }
        })?;
    let rows = (1..).zip(rows).map(|(index, row)| Ok((Entry::Element(index), row)));
    collect(rows, kind, scheme, salts)
}

fn columns(kind: ImportKind) -> &'static [&'static str] {
    match kind {
        ImportKind::Plain => &["user_id", "password"],
        ImportKind::Hash => &["user_id", "password_hash"],
    }
}

fn collect(
    rows: impl Iterator<Item = Result<(Entry, Row), ImportError>>,
    kind: ImportKind,
    scheme: &HashScheme,
    mut salts: impl FnMut() -> [u8; 16],
) -> Result<Vec<User>, ImportError> {
    let mut seen = BTreeSet::new();
    let mut users = Vec::new();
    for row in rows {
        let (entry, row) = row?;
        let missing = |field| ImportError::MissingValue { entry, field };
        let user_id = row.user_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("user_id"))?;
        let password = match kind {
            ImportKind::Plain => {
                let password = row
                    .password
                    .filter(|secret| !secret.is_empty())
                    .ok_or_else(|| missing("password"))?;
                scheme.hash(&password, salts())
            }
            ImportKind::Hash => {
                let hash = row
                    .password_hash
                    .filter(|hash| !hash.is_empty())
                    .ok_or_else(|| missing("password_hash"))?;
                match scheme {
                    // Nothing to take over: the column holds the password.
                    HashScheme::Plain => scheme.hash(&hash, salts()),
                    _ => scheme.adopt(hash.expose(), row.salt.unwrap_or_default().expose()),
                }
            }
        };
        let password = password.map_err(|source| ImportError::BadHash { entry, source })?;
        let is_superuser = flag(&row.is_superuser).ok_or(ImportError::BadFlag { entry })?;
        if !seen.insert(user_id.clone()) {
            return Err(ImportError::Duplicate { entry });
        }
        let namespace = row.namespace.filter(|namespace| !namespace.is_empty());
        users.push(User { user_id, password, is_superuser, namespace });
    }
    Ok(users)
}

/// Absent and empty mean no.
fn flag(flag: &Flag) -> Option<bool> {
    match flag {
        Flag::Absent => Some(false),
        Flag::Bool(flag) => Some(*flag),
        Flag::Number(0) => Some(false),
        Flag::Number(1) => Some(true),
        Flag::Number(_) => None,
        Flag::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" | "" => Some(false),
            _ => None,
        },
    }
}
