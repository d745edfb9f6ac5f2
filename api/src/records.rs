//! Stored forms of users, logins and API keys: texts in the replicated access tables. Each names
//! its version. Tables of `spanmq-state` hold them by kind and name; the names here keep MQTT users,
//! users of the web UI and logins apart.

use serde::{Deserialize, Serialize};
use spanmq_access::{ApiKey, PasswordHash, Role, User};
use spanmq_state::{AccessKind, AccessRecord, Millis, Revision, State};

const MQTT: &str = "mqtt/";
const DASHBOARD: &str = "dashboard/";
const TOKEN: &str = "token/";

/// An MQTT user made over REST, for authentication.
#[must_use]
pub fn mqtt_user(state: &State, user_id: &str) -> Option<User> {
    let record = state.access().get(AccessKind::User, &mqtt_name(user_id))?;
    User::from_record(record.record.reveal()).ok()
}

pub(crate) fn mqtt_name(user_id: &str) -> String {
    format!("{MQTT}{user_id}")
}

pub(crate) fn dashboard_name(username: &str) -> String {
    format!("{DASHBOARD}{username}")
}

pub(crate) fn token_name(id: &str) -> String {
    format!("{TOKEN}{id}")
}

/// A user of the web UI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DashboardUser {
    pub(crate) username: String,
    pub(crate) password: PasswordHash,
    pub(crate) role: Role,
    pub(crate) description: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum DashboardRecord {
    /// `user` is a record of `spanmq-access`: name and password hash.
    #[serde(rename = "1")]
    V1 { user: String, role: Role, description: String },
}

impl DashboardUser {
    pub(crate) fn to_record(&self) -> String {
        let user = User {
            user_id: self.username.clone(),
            password: self.password.clone(),
            is_superuser: false,
            namespace: None,
        };
        let record = DashboardRecord::V1 {
            user: user.to_record(),
            role: self.role,
            description: self.description.clone(),
        };
        serde_json::to_string(&record).expect("the record has string keys only")
    }

    pub(crate) fn from_record(text: &str) -> Option<Self> {
        let DashboardRecord::V1 { user, role, description } = serde_json::from_str(text).ok()?;
        let User { user_id, password, .. } = User::from_record(&user).ok()?;
        Some(Self { username: user_id, password, role, description })
    }

    pub(crate) fn find(state: &State, username: &str) -> Option<(Self, Revision)> {
        let record = state.access().get(AccessKind::User, &dashboard_name(username))?;
        Some((Self::from_record(record.record.reveal())?, record.revision))
    }

    pub(crate) fn all(state: &State) -> Vec<Self> {
        let records = with_prefix(state, AccessKind::User, DASHBOARD);
        records.filter_map(|(_, record)| Self::from_record(record.record.reveal())).collect()
    }
}

/// One login. It holds the key of its own token's signature, so there is no key to share.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) v: u8,
    pub(crate) username: String,
    /// Hexadecimal.
    pub(crate) key: String,
    pub(crate) issued_ms: Millis,
    /// Moves on with use, up to [`Login::until_ms`].
    pub(crate) expires_ms: Millis,
    /// The `exp` of the token.
    pub(crate) until_ms: Millis,
}

impl Login {
    pub(crate) const VERSION: u8 = 1;

    pub(crate) fn to_record(&self) -> String {
        serde_json::to_string(self).expect("the record has string keys only")
    }

    pub(crate) fn from_record(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|login: &Self| login.v == Self::VERSION)
    }

    pub(crate) fn find(state: &State, id: &str) -> Option<(Self, Revision)> {
        let record = state.access().get(AccessKind::User, &token_name(id))?;
        Some((Self::from_record(record.record.reveal())?, record.revision))
    }

    /// Ids of the logins of a user, oldest first, with their expiry.
    pub(crate) fn of_user(state: &State, username: &str) -> Vec<(String, Self)> {
        let mut found: Vec<(String, Self)> = with_prefix(state, AccessKind::User, TOKEN)
            .filter_map(|(id, record)| Some((id, Self::from_record(record.record.reveal())?)))
            .filter(|(_, login)| login.username == username)
            .collect();
        found.sort_by_key(|(_, login)| login.issued_ms);
        found
    }
}

/// An API key with what REST adds to it. Keys of the bootstrap file are stored without these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) name: String,
    pub(crate) desc: String,
    pub(crate) enable: bool,
    pub(crate) expires_ms: Option<Millis>,
    pub(crate) created_ms: Option<Millis>,
    pub(crate) key: ApiKey,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "named", deny_unknown_fields)]
enum KeyRecord {
    #[serde(rename = "1")]
    V1 {
        name: String,
        desc: String,
        enable: bool,
        expires_ms: Option<Millis>,
        created_ms: Option<Millis>,
        /// A record of `spanmq-access`.
        key: String,
    },
}

impl StoredKey {
    pub(crate) fn to_record(&self) -> String {
        let record = KeyRecord::V1 {
            name: self.name.clone(),
            desc: self.desc.clone(),
            enable: self.enable,
            expires_ms: self.expires_ms,
            created_ms: self.created_ms,
            key: self.key.to_record(),
        };
        serde_json::to_string(&record).expect("the record has string keys only")
    }

    pub(crate) fn from_record(text: &str) -> Option<Self> {
        if let Ok(KeyRecord::V1 { name, desc, enable, expires_ms, created_ms, key }) =
            serde_json::from_str(text)
        {
            let key = ApiKey::from_record(&key).ok()?;
            return Some(Self { name, desc, enable, expires_ms, created_ms, key });
        }
        let key = ApiKey::from_record(text).ok()?;
        Some(Self {
            name: key.key.clone(),
            desc: String::new(),
            enable: true,
            expires_ms: None,
            created_ms: None,
            key,
        })
    }

    pub(crate) fn find(state: &State, key: &str) -> Option<Self> {
        let record = state.access().get(AccessKind::ApiKey, key)?;
        Self::from_record(record.record.reveal())
    }

    pub(crate) fn all(state: &State) -> Vec<(Self, Revision)> {
        let read = |(_, record): (String, &AccessRecord)| {
            Some((Self::from_record(record.record.reveal())?, record.revision))
        };
        with_prefix(state, AccessKind::ApiKey, "").filter_map(read).collect()
    }
}

/// MQTT users by id, after `after`.
pub(crate) fn mqtt_users<'a>(
    state: &'a State,
    after: Option<&'a str>,
) -> impl Iterator<Item = User> + 'a {
    with_prefix(state, AccessKind::User, MQTT)
        .filter(move |(id, _)| after.is_none_or(|after| id.as_str() > after))
        .filter_map(|(_, record)| User::from_record(record.record.reveal()).ok())
}

/// Records of a kind whose name begins with `prefix`, by the rest of the name.
fn with_prefix<'a>(
    state: &'a State,
    kind: AccessKind,
    prefix: &'a str,
) -> impl Iterator<Item = (String, &'a AccessRecord)> + 'a {
    state.access().iter().filter_map(move |((of, name), record)| {
        let rest = name.strip_prefix(prefix).filter(|_| *of == kind)?;
        Some((rest.to_owned(), record))
    })
}

#[cfg(test)]
mod tests {
    use spanmq_access::{ApiSecretHash, HashScheme};

    use super::*;

    fn hash() -> PasswordHash {
        HashScheme::Plain.hash(&"secret".into(), [1; 16]).unwrap()
    }

    #[test]
    fn records_read_back_and_other_versions_do_not() {
        let user = DashboardUser {
            username: "ann".into(),
            password: hash(),
            role: Role::Viewer,
            description: "x".into(),
        };
        assert_eq!(DashboardUser::from_record(&user.to_record()), Some(user.clone()));
        let newer = user.to_record().replacen("\"v\":\"1\"", "\"v\":\"2\"", 1);
        assert_eq!(DashboardUser::from_record(&newer), None);
        let login = Login {
            v: 2,
            username: "ann".into(),
            key: "00".into(),
            issued_ms: 1,
            expires_ms: 2,
            until_ms: 3,
        };
        assert!(Login::from_record(&login.to_record()).is_none());
    }

    #[test]
    fn a_key_of_the_bootstrap_file_is_a_key_without_name_and_end() {
        let key = ApiKey {
            key: "k".into(),
            secret: ApiSecretHash::new(&"s".into(), [0; 16]),
            role: Role::Viewer,
            scopes: None,
        };
        let stored = StoredKey::from_record(&key.to_record()).unwrap();
        assert_eq!((stored.name.as_str(), stored.enable, stored.expires_ms), ("k", true, None));
        let named = StoredKey { name: "n".into(), expires_ms: Some(7), ..stored };
        assert_eq!(StoredKey::from_record(&named.to_record()), Some(named));
    }
}
