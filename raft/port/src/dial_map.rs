//! `--dial-map FILE`: where to really connect when a peer is dialled (CHAOS §2: one proxy per
//! directed pair). Lines are `node-id = address`, `node-name = address` or
//! `host:port = address`; `#` begins a comment.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::{collections::HashMap, path::Path};

use crate::identity::NodeId;

/// Rewrites addresses on every dial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialMap {
    entries: HashMap<String, String>,
}

/// Why a dial map is refused.
#[derive(Debug, thiserror::Error)]
pub enum DialMapError {
    #[error("cannot read the dial map {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("dial map line {line}: expected `node-id-or-host:port = address`, found {found:?}")]
    NoEquals { line: usize, found: String },
    #[error("dial map line {line}: {found:?} is neither a node id, a node name nor host:port")]
    BadKey { line: usize, found: String },
    #[error("dial map line {line}: {found:?} is not host:port")]
    BadAddress { line: usize, found: String },
    #[error("dial map line {line}: {key:?} was mapped in line {first} already")]
    Twice { line: usize, key: String, first: usize },
}

impl DialMap {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`DialMapError`] with the line.
    pub fn read(path: &Path) -> Result<Self, DialMapError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DialMapError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads the lines of a dial map.
    ///
    /// # Errors
    /// [`DialMapError`] with the line.
    pub fn parse(text: &str) -> Result<Self, DialMapError> {
        let mut entries = HashMap::new();
        let mut first_lines = HashMap::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let (key, address) = content
                .split_once('=')
                .map(|(key, address)| (key.trim().to_owned(), address.trim().to_owned()))
                .ok_or_else(|| DialMapError::NoEquals { line, found: content.to_owned() })?;
            if !is_name(&key) && !is_host_port(&key) {
                return Err(DialMapError::BadKey { line, found: key });
            }
            if !is_host_port(&address) {
                return Err(DialMapError::BadAddress { line, found: address });
            }
            if let Some(&first) = first_lines.get(&key) {
                return Err(DialMapError::Twice { line, key, first });
            }
            first_lines.insert(key.clone(), line);
            entries.insert(key, address);
        }
        Ok(Self { entries })
    }

    /// Where to connect for a peer: by its id, else its name, else its address.
    pub fn rewrite<'a>(
        &'a self,
        node: Option<NodeId>,
        name: Option<&str>,
        address: &'a str,
    ) -> &'a str {
        node.and_then(|node| self.entries.get(&node.to_string()))
            .or_else(|| name.and_then(|name| self.entries.get(name)))
            .or_else(|| self.entries.get(address))
            .map_or(address, String::as_str)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    bare && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_by_id_then_name_then_address() {
        let map = DialMap::parse(
            "# proxies\n2 = 127.0.0.1:9002\nn3=127.0.0.1:9003 # third\n\nhost:7000 = [::1]:9004\n",
        )
        .unwrap();
        let rewrite = |id, name, address| map.rewrite(id, name, address).to_owned();
        assert_eq!(rewrite(Some(NodeId(2)), Some("n3"), "host:7000"), "127.0.0.1:9002");
        assert_eq!(rewrite(Some(NodeId(3)), Some("n3"), "host:7000"), "127.0.0.1:9003");
        assert_eq!(rewrite(None, None, "host:7000"), "[::1]:9004");
        assert_eq!(rewrite(Some(NodeId(9)), Some("n9"), "other:1"), "other:1");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let message = |text| DialMap::parse(text).unwrap_err().to_string();
        assert!(message("\nno equals").starts_with("dial map line 2"));
        assert!(message("a b = c:1").contains("neither a node id"));
        assert!(message("2 = nowhere").contains("not host:port"));
        assert!(message("2 = host:0").contains("not host:port"));
        assert!(message("2 = [zz]:1").contains("not host:port"));
        assert!(message("2 = a:1\n# x\n2 = b:1").contains("line 3: \"2\" was mapped in line 1"));
    }
}
