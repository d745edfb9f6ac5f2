//! The records of a buffer's log.

use bytes::Bytes;
use spanmq_link_protocol::message::Qos;

/// First byte of a record: version 1, a message.
const MESSAGE: u8 = 0x11;
/// First byte of a record: version 1, a mark that everything before a record is done.
pub(super) const MARK: u8 = 0x12;
/// Kind, lane, QoS, wall-clock milliseconds.
pub(super) const MESSAGE_HEADER: usize = 1 + 8 + 1 + 8;
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) lane: u64,
    pub(super) qos: Qos,
    pub(super) at_ms: u64,
    pub(super) size: usize,
    /// None: read it from the log when it is fetched.
    pub(super) payload: Option<Bytes>,
    /// Its record in the log, if it has one.
    pub(super) record: Option<u64>,
    /// A connection has it; it may be on its way to the remote.
    pub(super) fetched: bool,
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let payload = self.payload.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(MESSAGE_HEADER + payload.len());
        out.push(MESSAGE);
        out.extend_from_slice(&self.lane.to_be_bytes());
        out.push(self.qos.as_u8());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// A record of the log, read back.
pub(super) enum Record {
    Message(Entry),
    Mark { below: u64 },
}

impl Record {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            MESSAGE => {
                let (lane, rest) = rest.split_first_chunk::<8>()?;
                let (qos, rest) = rest.split_first()?;
                let (at_ms, payload) = rest.split_first_chunk::<8>()?;
                Some(Self::Message(Entry {
                    lane: u64::from_be_bytes(*lane),
                    qos: Qos::from_int((*qos).into())?,
                    at_ms: u64::from_be_bytes(*at_ms),
                    size: bytes.len(),
                    payload: Some(Bytes::copy_from_slice(payload)),
                    record: None,
                    fetched: false,
                }))
            }
            MARK => rest.first_chunk().map(|b| Self::Mark { below: u64::from_be_bytes(*b) }),
            _ => None,
        }
    }
}
