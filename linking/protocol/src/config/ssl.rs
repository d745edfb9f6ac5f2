//! TLS of the client side of a link (1.2).

use super::Secret;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SslConfig {
    /// Default: false.
    pub enable: bool,
    /// Paths, or PEM text that the shell moves to files (C-10). `None` = the system's roots.
    pub cacertfile: Option<String>,
    pub certfile: Option<String>,
    /// A path, or the key itself until the shell has moved it to a file.
    pub keyfile: Option<Secret>,
    /// Password of the key.
    pub password: Option<Secret>,
    /// Default: `verify_peer`.
    pub verify: Verify,
    /// Default: the host name, when it is a name.
    pub server_name_indication: ServerName,
    /// Longest chain of intermediate certificates. Default: 10.
    pub depth: u32,
    /// Default: both.
    pub versions: Vec<TlsVersion>,
    /// Accepted, stored and ignored (1.2); only what differs from the default.
    pub ignored: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    Peer,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    FromServer,
    Name(String),
    Disable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

impl TlsVersion {
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "tlsv1.2",
            TlsVersion::V1_3 => "tlsv1.3",
        }
    }
}

impl Default for SslConfig {
    fn default() -> Self {
        SslConfig {
            enable: false,
            cacertfile: None,
            certfile: None,
            keyfile: None,
            password: None,
            verify: Verify::Peer,
            server_name_indication: ServerName::FromServer,
            depth: 10,
            versions: vec![TlsVersion::V1_3, TlsVersion::V1_2],
            ignored: Map::new(),
        }
    }
}

/// Whether a file field holds PEM text instead of a path (C-10).
pub(super) fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN")
}

impl SslConfig {
    /// The file fields that still hold PEM text: (field, text). The shell writes each below
    /// `certs/cluster/links/<name>/` and puts the path in its place.
    pub fn inline_pems(&self) -> Vec<(&'static str, &str)> {
        [
            ("cacertfile", self.cacertfile.as_deref()),
            ("certfile", self.certfile.as_deref()),
            ("keyfile", self.keyfile.as_ref().map(Secret::reveal)),
        ]
        .into_iter()
        .filter_map(|(field, text)| text.filter(|text| is_pem(text)).map(|text| (field, text)))
        .collect()
    }
}

/// Fields that are stored and ignored, with the value shown when they are absent.
pub(super) fn ignored_defaults() -> [(&'static str, Option<Value>); 9] {
    [
        ("ciphers", Some(json!([]))),
        ("secure_renegotiate", Some(json!(true))),
        ("reuse_sessions", Some(json!(false))),
        ("log_level", Some(json!("notice"))),
        ("hibernate_after", Some(json!("5s"))),
        ("middlebox_comp_mode", Some(json!(true))),
        ("partial_chain", None),
        ("verify_peer_ext_key_usage", None),
        ("managed_certs", None),
    ]
}
