//! A text that must not be seen (SECURITY-REQUIREMENTS A9).

use std::fmt;

use serde::Deserialize;

/// A password in a request. It prints as `***` and cannot be serialized.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself; keep it out of logs and answers.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
