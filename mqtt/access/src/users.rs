//! The built-in user database (LINK-SPEC A-8): who is who, and with which password.

mod digest;
mod hash;
mod import;
mod scheme;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
pub use digest::{DigestName, MacName, SaltPosition};
pub use hash::PasswordHash;
pub use import::{Entry, ImportError, ImportKind, import_csv, import_json};
pub use scheme::{BadHash, HashScheme};

/// Which field of CONNECT names the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserIdType {
    Username,
    ClientId,
}

/// One user. It has no serde of its own, so that a hash does not slip into an API answer; the stored
/// form is [`to_record`](Self::to_record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub user_id: String,
    pub password: PasswordHash,
    pub is_superuser: bool,
    pub namespace: Option<String>,
}

/// The stored form; the tag is its version.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v", deny_unknown_fields)]
enum UserRecord {
    #[serde(rename = "1")]
    V1 {
        user_id: String,
        password: PasswordHash,
        is_superuser: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
    },
}

impl User {
    /// JSON for the replicated state, hash included.
    pub fn to_record(&self) -> String {
        let record = UserRecord::V1 {
            user_id: self.user_id.clone(),
            password: self.password.clone(),
            is_superuser: self.is_superuser,
            namespace: self.namespace.clone(),
        };
        serde_json::to_string(&record).expect("the record has string keys only")
    }

    /// # Errors
    /// When the text is not a user record of a known version. The error holds no secret.
    pub fn from_record(record: &str) -> Result<Self, BadRecord> {
        let UserRecord::V1 { user_id, password, is_superuser, namespace } =
            serde_json::from_str(record).map_err(|error| BadRecord::new(&error))?;
        Ok(Self { user_id, password, is_superuser, namespace })
    }
}

/// A stored record that cannot be read. The cause is told by position only, as a JSON error may quote
/// the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored record cannot be read (line {line}, column {column}); restore it from a backup or add it again"
)]
pub struct BadRecord {
    line: usize,
    column: usize,
}

impl BadRecord {
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// Why a client was not let in. The client is told neither: both are 0x86 or 0x05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthRefusal {
    #[error("the client gave no user id; set username (or client id) and password")]
    NoUserId,
    #[error("the user is not known; add it to the user database")]
    UnknownUser,
    #[error("the client gave no password; set one")]
    NoPassword,
    #[error("the password is wrong")]
    WrongPassword,
}

/// All users of one authenticator.
#[derive(Debug, Clone)]
pub struct UserStore {
    user_id_type: UserIdType,
    users: BTreeMap<String, User>,
    /// Checked in place of an unknown user's, so that the answer takes as long.
    decoy: PasswordHash,
}

impl UserStore {
    /// An empty store. `scheme` is what most users are hashed with.
    ///
    /// # Errors
    /// [`BadHash`] when the scheme's parameters are out of range.
    pub fn new(user_id_type: UserIdType, scheme: &HashScheme) -> Result<Self, BadHash> {
        let decoy = scheme.hash(&Secret::new("decoy"), [0; 16])?;
        Ok(Self { user_id_type, users: BTreeMap::new(), decoy })
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub fn get(&self, user_id: &str) -> Option<&User> {
        self.users.get(user_id)
    }

    /// All users by id.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// Adds or replaces a user; returns the former one.
    pub fn insert(&mut self, user: User) -> Option<User> {
        self.users.insert(user.user_id.clone(), user)
    }

    pub fn remove(&mut self, user_id: &str) -> Option<User> {
        self.users.remove(user_id)
    }

    /// Adds the users that are not there yet and says how many those were.
    pub fn bootstrap(&mut self, users: impl IntoIterator<Item = User>) -> usize {
        let before = self.users.len();
        for user in users {
            self.users.entry(user.user_id.clone()).or_insert(user);
        }
        self.users.len() - before
    }

    /// Finds the user of a CONNECT and checks the password.
    ///
    /// Cost: milliseconds of CPU by design, for unknown users too. Call it off the workers.
    ///
    /// # Errors
    /// [`AuthRefusal`]; anonymous clients are the caller's matter (A3).
    pub fn authenticate(
        &self,
        client_id: &str,
        username: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<&User, AuthRefusal> {
        let user_id = match self.user_id_type {
            UserIdType::Username => username.ok_or(AuthRefusal::NoUserId)?,
            UserIdType::ClientId => client_id,
        };
        let password = password.ok_or(AuthRefusal::NoPassword)?;
        let user = self.users.get(user_id);
        let right = user.map_or(&self.decoy, |user| &user.password).verify(password);
        match user {
            None => Err(AuthRefusal::UnknownUser),
            Some(_) if !right => Err(AuthRefusal::WrongPassword),
            Some(user) => Ok(user),
        }
    }
}

#[cfg(test)]
mod tests;
