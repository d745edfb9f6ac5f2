//! A stored password, and whether another one is the same.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use serde::{Deserialize, Serialize};

use super::digest::{DigestName, MacName, SaltPosition};
use crate::secret::{hex, same_bytes};

/// The hash of a password with all that is needed to check it.
///
/// Its serde form is for the replicated state; Debug shows the algorithm only. Values are made by
/// [`HashScheme`](super::HashScheme), which checks their cost, or read from our own records.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub(super) Form);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Form {
    /// PHC text.
    Argon2id { phc: String },
    /// Hash in lower-case hexadecimal; the salt is used as text.
    Digest { name: DigestName, salt_position: SaltPosition, salt: String, hash: String },
    /// Modular crypt text, salt and cost included.
    Bcrypt { crypt: String },
    /// Hash in lower-case hexadecimal; the salt is used as text.
    Pbkdf2 { mac: MacName, iterations: u32, salt: String, hash: String },
}

impl PasswordHash {
    /// Whether `password` is the one. A hash that cannot be read fits no password.
    ///
    /// Cost: milliseconds of CPU for argon2id, bcrypt and pbkdf2. Call it off the workers.
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.0 {
            Form::Argon2id { phc } => argon2::PasswordHash::new(phc)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Form::Digest { name, salt_position, salt, hash } => {
                let found = hex(&name.digest(*salt_position, salt.as_bytes(), password));
                same_bytes(found.as_bytes(), hash.as_bytes())
            }
            Form::Bcrypt { crypt } => bcrypt::verify(password, crypt).unwrap_or(false),
            Form::Pbkdf2 { mac, iterations, salt, hash } => {
                let found =
                    hex(&mac.derive(password, salt.as_bytes(), *iterations, hash.len() / 2));
                !hash.is_empty() && same_bytes(found.as_bytes(), hash.as_bytes())
            }
        }
    }

    /// What the password was hashed with, in the words of the configuration.
    pub fn algorithm(&self) -> &'static str {
        match &self.0 {
            Form::Argon2id { .. } => "argon2id",
            Form::Digest { name: DigestName::Md5, .. } => "md5",
            Form::Digest { name: DigestName::Sha, .. } => "sha",
            Form::Digest { name: DigestName::Sha256, .. } => "sha256",
            Form::Digest { name: DigestName::Sha512, .. } => "sha512",
            Form::Bcrypt { .. } => "bcrypt",
            Form::Pbkdf2 { .. } => "pbkdf2",
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.algorithm())
    }
}
