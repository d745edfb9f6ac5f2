//! The one place where this crate meets bincode (handshake and enrolment bodies only).

use serde::{Serialize, de::DeserializeOwned};

use crate::frame::HANDSHAKE_FRAME_BYTES_MAX;

const LIMIT: usize = HANDSHAKE_FRAME_BYTES_MAX as usize;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// Encodes a handshake body.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, config()).expect("our bodies hold only plain data")
}

/// Decodes a handshake body. Bytes after it are fields of a newer version and skipped.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    bincode::serde::decode_from_slice(bytes, config()).ok().map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterId, Hello, InstanceId, NodeId, Purpose};

    fn hello() -> Hello {
        Hello {
            protocol_version: 1,
            protocol_oldest: 1,
            purpose: Purpose::Wire(3),
            dev: false,
            cluster_id: Some(ClusterId([0xc1; 16])),
            cluster_name: "east".into(),
            node_id: NodeId(2),
            node_name: "n2".into(),
            instance: InstanceId([0x1d; 16]),
            incarnation: 300,
        }
    }

    #[test]
    fn the_bytes_of_a_hello_are_these() {
        let mut golden = vec![1, 1, 1, 3, 0, 1];
        golden.extend([0xc1; 16]);
        golden.extend([4, b'e', b'a', b's', b't', 2, 2, b'n', b'2']);
        golden.extend([0x1d; 16]);
        golden.extend([251, 44, 1]);
        assert_eq!(encode(&hello()), golden);
        assert_eq!(decode(&golden), Some(hello()));
    }

    #[test]
    fn fields_of_a_newer_version_are_skipped() {
        let mut newer = encode(&hello());
        newer.extend([1, 2, 3]);
        assert_eq!(decode(&newer), Some(hello()));
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_no_allocation() {
        let mut lie = vec![1, 1, 0, 0, 0];
        lie.extend([253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(decode::<Hello>(&lie), None);
    }
}
