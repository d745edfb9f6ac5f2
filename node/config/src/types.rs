//! Small value types of the configuration: secrets, addresses, sizes, names.

use std::fmt;
use std::net::SocketAddr;

/// A number of bytes; written `512KB`, `1MB` (1024-based) or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A value, or no limit at all (written `infinity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrInfinity<T> {
    Finite(T),
    Infinity,
}

impl<T: Copy> OrInfinity<T> {
    pub fn finite(&self) -> Option<T> {
        match self {
            Self::Finite(value) => Some(*value),
            Self::Infinity => None,
        }
    }
}

/// A value, or the feature is off (written `disabled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrDisabled<T> {
    Enabled(T),
    Disabled,
}

impl<T: Copy> OrDisabled<T> {
    pub fn enabled(&self) -> Option<T> {
        match self {
            Self::Enabled(value) => Some(*value),
            Self::Disabled => None,
        }
    }
}

/// An address to listen on. Port 0 = any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAddr(pub SocketAddr);

impl BindAddr {
    pub fn is_loopback(&self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

/// `host:port` of something to be reached; the host may be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `NAME@HOST`, unique in the cluster; becomes a topic level, hence no `/ + #`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName {
    text: String,
    at: usize,
}

impl NodeName {
    /// Most bytes a node name may have.
    pub const BYTES_MAX: usize = 255;

    /// Checks and takes a node name.
    ///
    /// # Errors
    /// The sentence that tells what a node name looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("a node name is NAME@HOST {why}"));
        if text.len() > Self::BYTES_MAX {
            return bad("of at most 255 bytes");
        }
        if text.contains(['/', '+', '#']) {
            return bad("without `/`, `+` and `#`");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return bad("without blanks and control characters");
        }
        match text.split_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() && !host.contains('@') => {
                Ok(Self { at: name.len(), text: text.to_owned() })
            }
            _ => bad("with exactly one `@`, such as spanmq@10.0.0.1"),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`.
    pub fn name(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The part after the `@`.
    pub fn host(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of a cluster as linked clusters know it; becomes a topic level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// Checks and takes a cluster name (LINK-SPEC C-2).
    ///
    /// # Errors
    /// The sentence that tells what a cluster name looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 254 {
            return Err("a cluster name has 1 to 254 bytes".into());
        }
        if text.contains(['/', '+', '#']) || text.chars().any(char::is_control) {
            return Err("a cluster name has no `/`, `+`, `#` and no control characters".into());
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
