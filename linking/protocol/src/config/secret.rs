//! Secrets: shown to nobody, read where they are used (C-9, R-6).

use std::fmt;

/// A password or key. `Debug` and `Display` print `***`; equality compares the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Where the secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource<'a> {
    Literal(Secret),
    /// Path of `file://path`, with environment references not yet expanded. The content is the
    /// secret, without trailing whitespace.
    File(&'a str),
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text as configured. For storing and for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn source(&self) -> SecretSource<'_> {
        match self.0.strip_prefix("file://") {
            Some(path) => SecretSource::File(path),
            None => SecretSource::Literal(self.clone()),
        }
    }

    /// A reference to a file is no secret itself.
    pub fn is_file_reference(&self) -> bool {
        self.0.starts_with("file://")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
