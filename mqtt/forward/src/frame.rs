//! What travels on a wire between two nodes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Version of the frames below; the first byte of each.
const VERSION: u8 = 1;
/// Largest frame, in bytes; the cluster port's own cap (SECURITY-REQUIREMENTS C3).
const FRAME_BYTES_MAX: usize = 16 << 20;

/// One message for another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Grows by at least one from item to item of a stream.
    pub sequence: u64,
    /// The publishing connection; order is kept within it.
    pub lane: u64,
    /// Whether plain subscribers are meant, beside `groups`.
    pub plain: bool,
    /// Shared groups of which a member there was picked: (group, filter).
    pub groups: Vec<(String, String)>,
    /// Whether a publisher waits for the answer (QoS 1 and 2).
    pub acknowledged: bool,
    /// The encoded message.
    pub message: Bytes,
}

/// What became of an item at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The destination holds it at its durability mode.
    Held,
    /// Nobody there wants it any more.
    NoSubscribers,
    /// Refused with this MQTT reason code.
    Refused(u8),
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// From the publisher's node.
    Items {
        /// Number of the sending queue; a new one when the sender lost its memory.
        stream: u64,
        /// In order.
        items: Vec<Item>,
    },
    /// Back from the destination, in any order.
    Answers {
        /// The stream they belong to.
        stream: u64,
        /// (sequence, outcome).
        outcomes: Vec<(u64, Outcome)>,
    },
}

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    /// Written by a build with another format.
    #[error("frame version {0}; this build reads version {VERSION}: upgrade all nodes")]
    Version(u8),
    /// Cut off, too long or not a frame at all.
    #[error("not a forward frame")]
    Garbage(#[source] Box<bincode::error::DecodeError>),
    /// Nothing at all.
    #[error("an empty frame")]
    Empty,
}

impl Frame {
    /// Bytes for the wire.
    ///
    /// # Panics
    /// Never: writing into memory does not fail and every field has an encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        bincode::serde::encode_into_std_write(self, &mut out, bincode::config::standard())
            .expect("a Vec takes all bytes and every field has an encoding");
        out
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`BadFrame`] for anything that [`Frame::encode`] of this version does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFrame> {
        let (version, body) = bytes.split_first().ok_or(BadFrame::Empty)?;
        if *version != VERSION {
            return Err(BadFrame::Version(*version));
        }
        let config = bincode::config::standard().with_limit::<FRAME_BYTES_MAX>();
        let (frame, _) = bincode::serde::decode_from_slice(body, config)
            .map_err(|error| BadFrame::Garbage(Box::new(error)))?;
        Ok(frame)
    }
}
