//! Keys of the management API (LINK-SPEC A-4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::secret::{Secret, hex, same_bytes};
use crate::users::BadRecord;

/// What a caller of the management API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    #[default]
    Administrator,
    /// GET only.
    Viewer,
    /// The publish endpoints only; for keys, not for users.
    Publisher,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the role is unknown; use administrator, viewer or publisher")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Administrator, Self::Viewer, Self::Publisher]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// Salted SHA-256 of an API secret.
///
/// Such secrets are long and random (ours have 256 bits), so guessing is hopeless and a slow hash
/// would only cost every request. Passwords that people choose go through
/// [`HashScheme`](crate::HashScheme) instead.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiSecretHash {
    salt: String,
    hash: String,
}

impl ApiSecretHash {
    /// `salt` must be random.
    pub fn new(secret: &Secret, salt: [u8; 16]) -> Self {
        let salt = hex(&salt);
        let hash = Self::digest(&salt, secret.expose());
        Self { salt, hash }
    }

    pub fn verify(&self, secret: &str) -> bool {
        same_bytes(Self::digest(&self.salt, secret).as_bytes(), self.hash.as_bytes())
    }

    fn digest(salt: &str, secret: &str) -> String {
        hex(&Sha256::new().chain_update(salt).chain_update(secret).finalize())
    }
}

impl fmt::Debug for ApiSecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One API key. As with users, only [`to_record`](Self::to_record) shows the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub key: String,
    pub secret: ApiSecretHash,
    pub role: Role,
    /// Absent = all scopes of the role.
    pub scopes: Option<Vec<String>>,
}

/// The stored form; the tag is its version.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v", deny_unknown_fields)]
enum ApiKeyRecord {
    #[serde(rename = "1")]
    V1 {
        key: String,
        secret: ApiSecretHash,
        role: Role,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scopes: Option<Vec<String>>,
    },
}

impl ApiKey {
    /// Whether the key covers a scope such as `cluster_operations`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|own| own == scope))
    }

    /// JSON for the replicated state, hash included.
    pub fn to_record(&self) -> String {
        let record = ApiKeyRecord::V1 {
            key: self.key.clone(),
            secret: self.secret.clone(),
            role: self.role,
            scopes: self.scopes.clone(),
        };
        serde_json::to_string(&record).expect("the record has string keys only")
    }

    /// # Errors
    /// When the text is not a key record of a known version.
    pub fn from_record(record: &str) -> Result<Self, BadRecord> {
        let ApiKeyRecord::V1 { key, secret, role, scopes } =
            serde_json::from_str(record).map_err(|error| BadRecord::new(&error))?;
        Ok(Self { key, secret, role, scopes })
    }
}

/// A bootstrap file that cannot be used. The content of a line is never told: it holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    #[error(
        "line {line}: expected key:secret, key:secret:role or key:secret:role:scope,scope (content hidden)"
    )]
    BadLine { line: usize },
    #[error(
        "line {line}: the role is unknown; use administrator, viewer or publisher (content hidden)"
    )]
    BadRole { line: usize },
    #[error(
        "line {line}: a scope is empty or holds other characters than a-z, 0-9 and _ (content hidden)"
    )]
    BadScope { line: usize },
    #[error("line {line}: there are more than {keys_max} keys; remove some")]
    TooMany { line: usize, keys_max: usize },
}

/// A-4.
const KEYS_MAX: usize = 100;

/// Parses an API key bootstrap file: `key:secret[:role[:scope,scope…]]` per line, blank lines
/// skipped. A key given twice has its last line, as a key that exists is replaced.
///
/// # Errors
/// [`ApiKeyError`] at the first bad line; no key of the file is to be used then.
pub fn parse_api_keys(
    text: &str,
    mut salts: impl FnMut() -> [u8; 16],
) -> Result<Vec<ApiKey>, ApiKeyError> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = content.trim();
        if content.is_empty() {
            continue;
        }
        let key = parse_line(line, content, &mut salts)?;
        keys.retain(|other| other.key != key.key);
        keys.push(key);
        if keys.len() > KEYS_MAX {
            return Err(ApiKeyError::TooMany { line, keys_max: KEYS_MAX });
        }
    }
    Ok(keys)
}

fn parse_line(
    line: usize,
    content: &str,
    salts: &mut impl FnMut() -> [u8; 16],
) -> Result<ApiKey, ApiKeyError> {
    let mut parts = content.split(':');
    let mut named =
        || parts.next().filter(|part| !part.is_empty()).ok_or(ApiKeyError::BadLine { line });
    let (key, secret) = (named()?.to_owned(), Secret::new(named()?));
    let role = match parts.next() {
        Some(role) => role.parse().map_err(|UnknownRole| ApiKeyError::BadRole { line })?,
        None => Role::default(),
    };
    let scopes = parts.next().map(|scopes| {
        let is_scope = |scope: &str| {
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            !scope.is_empty() && scope.bytes().all(plain)
        };
        let scopes: Vec<String> = scopes.split(',').map(|scope| scope.trim().to_owned()).collect();
        if scopes.iter().all(|scope| is_scope(scope)) {
            Ok(scopes)
        } else {
            Err(ApiKeyError::BadScope { line })
        }
    });
    match parts.next() {
        None => Ok(ApiKey {
            key,
            secret: ApiSecretHash::new(&secret, salts()),
            role,
            scopes: scopes.transpose()?,
        }),
        Some(_) => Err(ApiKeyError::BadLine { line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<ApiKey>, ApiKeyError> {
        parse_api_keys(text, || [7; 16])
    }

    #[test]
    fn each_form_of_a_line_is_understood_a4() {
        let text = "k1:s1\n\n  k2:s2:viewer \r\nk3:s3:publisher:publish\nk4:s4:administrator:cluster_operations,audit\n";
        let keys = parse(text).unwrap();
        let roles: Vec<_> = keys.iter().map(|key| (key.key.as_str(), key.role)).collect();
        let expected = [
            ("k1", Role::Administrator),
            ("k2", Role::Viewer),
            ("k3", Role::Publisher),
            ("k4", Role::Administrator),
        ];
        assert_eq!(roles, expected);
        assert!(keys[1].secret.verify("s2") && !keys[1].secret.verify("s1"));
        assert!(keys[0].has_scope("cluster_operations") && keys[3].has_scope("audit"));
        assert!(!keys[2].has_scope("cluster_operations"));
    }

    #[test]
    fn a_bad_line_is_told_by_number_and_never_by_content_a4() {
        let table = [
            ("a:b\nsecret", ApiKeyError::BadLine { line: 2 }),
            (":secret", ApiKeyError::BadLine { line: 1 }),
            ("\n\nkey:", ApiKeyError::BadLine { line: 3 }),
            ("k:s:viewer:x:secret", ApiKeyError::BadLine { line: 1 }),
            ("k:s:secret", ApiKeyError::BadRole { line: 1 }),
            ("k:s:", ApiKeyError::BadRole { line: 1 }),
            ("k:s:viewer:", ApiKeyError::BadScope { line: 1 }),
            ("k:s:viewer:a,,secret", ApiKeyError::BadScope { line: 1 }),
        ];
        for (text, error) in table {
            assert_eq!(parse(text).unwrap_err(), error, "{text:?}");
            assert!(!error.to_string().contains("secret\n"));
        }
    }

    #[test]
    fn a_key_given_twice_has_its_last_line_and_there_are_at_most_100_a4() {
        let keys = parse("k:old\nk:new:viewer").unwrap();
        assert_eq!(keys.len(), 1);
        assert!(keys[0].secret.verify("new"));
        let many: String = (0..101).map(|i| format!("k{i}:s\n")).collect();
        assert_eq!(parse(&many).unwrap_err(), ApiKeyError::TooMany { line: 101, keys_max: 100 });
    }

    #[test]
    fn a_record_reads_back_and_debug_hides_the_hash_a9() {
        let key = parse("k:s:viewer:audit").unwrap().remove(0);
        let record = key.to_record();
        assert!(record.starts_with(r#"{"v":"1","key":"k""#), "{record}");
        assert_eq!(ApiKey::from_record(&record).unwrap(), key);
        assert!(ApiKey::from_record(&record.replace(r#""v":"1""#, r#""v":"2""#)).is_err());
        assert!(!format!("{key:?}").contains(&key.secret.hash));
    }
}
