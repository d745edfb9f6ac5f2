//! Login, users of the web UI, API keys, MQTT users.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Secret;

/// POST `/login`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Name of a user of the web UI.
    pub username: String,
    /// Its password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
}

/// A login (LINK-SPEC A-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginAnswer {
    /// For `Authorization: Bearer`.
    pub token: String,
    /// Build of the node.
    pub version: String,
    /// As EMQX's clients expect it.
    pub license: License,
    /// What the user may do.
    pub role: RoleName,
    /// Passwords do not expire here: always 0.
    pub password_expire_in_seconds: u64,
}

/// As EMQX's clients expect it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct License {
    /// `opensource`.
    pub edition: String,
}

/// POST `/logout`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// The caller's own name.
    pub username: String,
}

/// Roles (LINK-SPEC A-4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Everything.
    #[default]
    Administrator,
    /// GET only.
    Viewer,
    /// The publish endpoints only; for API keys.
    Publisher,
}

/// A new user of the web UI.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Letters, digits, `.`, `_`, `-`, `@`; at most 64.
    pub username: String,
    /// At least 8 characters.
    #[schema(value_type = String, format = Password, min_length = 8)]
    pub password: Secret,
    /// Default: `administrator`.
    #[serde(default)]
    pub role: RoleName,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// Changes of a user of the web UI.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// What the user may do; absent = as before.
    pub role: Option<RoleName>,
    /// For people; absent = as before.
    pub description: Option<String>,
}

/// A new password for a user of the web UI.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    #[schema(value_type = String, format = Password)]
    pub old_pwd: Secret,
    /// At least 8 characters.
    #[schema(value_type = String, format = Password, min_length = 8)]
    pub new_pwd: Secret,
}

/// A user of the web UI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// Name.
    pub username: String,
    /// What the user may do.
    pub role: RoleName,
    /// For people.
    pub description: String,
}

/// A new API key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// Letters, digits, `_`, `-`; at most 64.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub desc: String,
    /// Off = refused.
    #[serde(default = "yes")]
    pub enable: bool,
    /// RFC 3339, or absent or `infinity` = never.
    #[serde(default)]
    pub expired_at: Option<String>,
    /// Default: `administrator`.
    #[serde(default)]
    pub role: RoleName,
    /// Absent = all scopes of the role.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
}

/// Changes of an API key; absent fields stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeApiKey {
    /// For people.
    pub desc: Option<String>,
    /// Off = refused.
    pub enable: Option<bool>,
    /// RFC 3339 or `infinity`.
    pub expired_at: Option<String>,
    /// What the key may do.
    pub role: Option<RoleName>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyView {
    /// Name.
    pub name: String,
    /// The user part of HTTP Basic.
    pub api_key: String,
    /// The password part; only in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_secret: Option<String>,
    /// For people.
    pub desc: String,
    /// Off = refused.
    pub enable: bool,
    /// Whether it has expired.
    pub expired: bool,
    /// RFC 3339 or `infinity`.
    pub expired_at: String,
    /// RFC 3339; absent for keys of the bootstrap file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// What the key may do.
    pub role: RoleName,
    /// Absent = all scopes of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// A new MQTT user.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMqttUser {
    /// User name or client id, as the authenticator is set.
    pub user_id: String,
    /// Its password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// Exempt from the ACL.
    #[serde(default)]
    pub is_superuser: bool,
}

/// Changes of an MQTT user; absent fields stay.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMqttUser {
    /// A new password.
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Secret>,
    /// Exempt from the ACL.
    pub is_superuser: Option<bool>,
}

/// An MQTT user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MqttUser {
    /// User name or client id.
    pub user_id: String,
    /// Exempt from the ACL.
    pub is_superuser: bool,
}

/// Which MQTT users, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MqttUsersQuery {
    /// Only ids that contain this.
    pub like_user_id: Option<String>,
    /// Only superusers, or only others.
    pub is_superuser: Option<bool>,
    /// Rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// From the last page's `meta.cursor`.
    pub cursor: Option<String>,
}

/// Who would do what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AccessCheckQuery {
    /// Client id.
    pub clientid: String,
    /// User name.
    pub username: Option<String>,
    /// `publish` or `subscribe`.
    pub action: String,
    /// Topic name or filter.
    pub topic: String,
    /// 0, 1 or 2. Default: 0.
    pub qos: Option<u8>,
    /// Default: false.
    pub retain: Option<bool>,
    /// Address of the client. Default: 127.0.0.1.
    pub ip_address: Option<String>,
    /// Common name of its certificate.
    pub cert_common_name: Option<String>,
    /// Name of the listener.
    pub listener: Option<String>,
}

/// The answer of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessDecision {
    /// `allow` or `deny`.
    pub result: String,
    /// `rule`, `superuser`, `reserved`, `no_match` or `malformed`.
    pub cause: String,
    /// The rule file, when a rule decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line on which the rule begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

fn yes() -> bool {
    true
}
