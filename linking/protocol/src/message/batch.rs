//! Route batches: split by entries and by bytes (W-6), encoded without an intermediate tree.

use super::control::{key, operation, signed};
use super::{RouteAction, RouteOp};
use crate::term::Encoder;
use bytes::Bytes;

/// Most entries of one batch that we send (W-6).
pub const BATCH_ENTRIES_MAX: usize = 4000;
/// Upper bound of a batch in bytes, whatever the remote would accept (W-6).
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Left for the PUBLISH around the payload (W-6).
const PACKET_ROOM_BYTES: usize = 1024;
/// A remote that accepts less than this gets packets of this size and refuses them itself.
const BATCH_BYTES_MIN: usize = 512;

/// Bounds of one batch, from the remote's CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    pub entries: usize,
    pub bytes: usize,
}

impl BatchLimits {
    /// `maximum_packet_size` as in CONNACK; `None` when the remote set no limit.
    pub fn for_packet_size(maximum_packet_size: Option<u32>) -> BatchLimits {
        let packet = maximum_packet_size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(BATCH_BYTES_MAX)
            .min(BATCH_BYTES_MAX);
        BatchLimits {
            entries: BATCH_ENTRIES_MAX,
            bytes: packet.saturating_sub(PACKET_ROOM_BYTES).max(BATCH_BYTES_MIN),
        }
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        BatchLimits::for_packet_size(None)
    }
}

/// Splits operations into batches that fit the limits. One operation that alone exceeds them goes
/// out alone; the remote's refusal then names the problem.
#[derive(Debug)]
pub struct Batches<I: Iterator<Item = RouteOp>> {
    ops: std::iter::Peekable<I>,
    limits: BatchLimits,
    overhead: usize,
}

impl<I: Iterator<Item = RouteOp>> Batches<I> {
    pub fn new(
        ops: impl IntoIterator<IntoIter = I>,
        actor: &str,
        limits: BatchLimits,
    ) -> Batches<I> {
        // Map, keys, incarnation, list header and operation take less than 64 bytes.
        let overhead = actor.len().saturating_add(64);
        Batches { ops: ops.into_iter().peekable(), limits, overhead }
    }

    /// Nothing is left to send.
    pub fn is_empty(&mut self) -> bool {
        self.ops.peek().is_none()
    }
}

impl<I: Iterator<Item = RouteOp>> Iterator for Batches<I> {
    type Item = Vec<RouteOp>;

    fn next(&mut self) -> Option<Vec<RouteOp>> {
        let first = self.ops.next()?;
        let mut bytes = self.overhead.saturating_add(entry_bytes(&first));
        let mut batch = vec![first];
        while batch.len() < self.limits.entries {
            let room = self.limits.bytes.saturating_sub(bytes);
            let Some(op) = self.ops.next_if(|op| entry_bytes(op) <= room) else { break };
            bytes = bytes.saturating_add(entry_bytes(&op));
            batch.push(op);
        }
        Some(batch)
    }
}

/// Encoded size of one entry: tuple, delete mark, two binaries with their headers.
pub(crate) fn entry_bytes(op: &RouteOp) -> usize {
    let mark = match op.action {
        RouteAction::Add => 0,
        RouteAction::Delete => 2,
    };
    12_usize
        .saturating_add(mark)
        .saturating_add(op.key.filter.len())
        .saturating_add(op.key.id.len())
}

/// Encodes one batch.
pub(crate) fn encode<'a>(
    actor: &str,
    incarnation: u64,
    ops: impl ExactSizeIterator<Item = &'a RouteOp>,
) -> Bytes {
    let mut out = Encoder::with_capacity(ops.len().saturating_mul(48).saturating_add(128));
    out.map(4);
    out.int(key::ACTOR);
    out.text(actor);
    out.int(key::INCARNATION);
    out.int(signed(incarnation));
    out.int(key::ROUTES);
    out.list(ops.len());
    for op in ops {
        match op.action {
            RouteAction::Add => out.tuple(2),
            RouteAction::Delete => {
                out.tuple(3);
                out.int(key::DELETE);
            }
        }
        out.text(&op.key.filter);
        out.text(&op.key.id);
    }
    out.end_list();
    operation(&mut out, "route");
    out.finish()
}
