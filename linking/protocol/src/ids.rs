//! Client ids of a link's connections (W-4) and request ids of handshakes (W-20).

use sha1::{Digest, Sha1};
use std::fmt;

/// The first 8 hex digits of SHA-1 of a node name: what makes client ids differ per node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeHash(String);

impl NodeHash {
    pub fn of(node_name: &str) -> NodeHash {
        let digest = Sha1::digest(node_name.as_bytes());
        NodeHash(hex(digest.iter().take(4)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Client id of the replication connection of a node actor.
pub fn routesync(base: &str, node: &NodeHash) -> String {
    format!("{base}:routesync:{}", node.0)
}

/// Client id of the replication connection for durable sessions.
pub fn routesync_ps(base: &str, node: &NodeHash) -> String {
    format!("{base}:routesync-ps:{}", node.0)
}

/// Client id of forwarding connection `worker`, counted from 1.
pub fn forwarder(base: &str, node: &NodeHash, worker: u32) -> String {
    format!("{base}:msg:{}:{worker}", node.0)
}

/// Correlation data of one handshake: 16 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// From 8 bytes of a CSPRNG.
    pub fn from_random(bytes: [u8; 8]) -> RequestId {
        RequestId(hex(bytes.iter()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an answer carries this id.
    pub fn answered_by(&self, correlation_data: &[u8]) -> bool {
        self.0.as_bytes() == correlation_data
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_hashes_are_those_of_the_reference() {
        for (node, hash) in [
            ("emqx@127.0.0.1", "2bd61c44"),
            ("a1@127.0.0.1", "e6dfd187"),
            ("node1@cluster-a", "41f31db1"),
        ] {
            assert_eq!(NodeHash::of(node).as_str(), hash);
        }
    }

    #[test]
    fn client_ids_carry_base_role_node_and_worker() {
        let node = NodeHash::of("a1@127.0.0.1");
        assert_eq!(routesync("link.a", &node), "link.a:routesync:e6dfd187");
        assert_eq!(routesync_ps("link.a", &node), "link.a:routesync-ps:e6dfd187");
        assert_eq!(forwarder("link.a", &node, 2), "link.a:msg:e6dfd187:2");
    }

    #[test]
    fn a_request_id_is_sixteen_hex_digits_and_matches_only_itself() {
        let id = RequestId::from_random([0xbb, 0xb7, 0xd6, 0x68, 0x33, 0x0d, 0x0c, 0xa6]);
        assert_eq!(id.as_str(), "bbb7d668330d0ca6");
        assert!(id.answered_by(b"bbb7d668330d0ca6"));
        assert!(!id.answered_by(b"bbb7d668330d0ca7"));
        assert!(!id.answered_by(b""));
    }
}
