//! Frames: `u32 length | u8 version | u8 kind | body`, all numbers big-endian; the length counts
//! what follows it. Pure: bytes in, frames out; never panics (fuzz target `raft_frame`).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::FrameError;

/// The version byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// No frame is longer (SECURITY C3); checked before memory is set aside for it.
pub const FRAME_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Before the handshake ended a stranger may not make us hold more than this.
pub(crate) const HANDSHAKE_FRAME_BYTES_MAX: u32 = 64 * 1024;

const PREFIX_BYTES: usize = 4;
/// Version and kind, which the length counts.
const HEAD_BYTES: u32 = 2;
/// Memory grows with what arrives, at most by this much ahead of it.
const RESERVE_BYTES_MAX: usize = 256 * 1024;

/// What a frame is. The numbers are the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Hello = 1,
    Accepted = 2,
    Refused = 3,
    Ping = 4,
    Pong = 5,
    Request = 6,
    Response = 7,
    Failure = 8,
    Wire = 9,
    Ack = 10,
    Enrol = 11,
    Enrolled = 12,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Accepted,
            3 => Self::Refused,
            4 => Self::Ping,
            5 => Self::Pong,
            6 => Self::Request,
            7 => Self::Response,
            8 => Self::Failure,
            9 => Self::Wire,
            10 => Self::Ack,
            11 => Self::Enrol,
            12 => Self::Enrolled,
            _ => return None,
        })
    }

    /// The kind's name, for texts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Request => "request",
            Self::Response => "response",
            Self::Failure => "failure",
            Self::Wire => "wire",
            Self::Ack => "ack",
            Self::Enrol => "enrol",
            Self::Enrolled => "enrolled",
        }
    }
}

/// One decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub body: Bytes,
}

impl Frame {
    /// A frame of `kind` with `body`.
    pub fn new(kind: FrameKind, body: impl Into<Bytes>) -> Self {
        Self { kind, body: body.into() }
    }

    /// Bytes of this frame on the wire.
    pub fn wire_len(&self) -> usize {
        wire_len(self.body.len())
    }

    /// Appends the frame's bytes. The caller has checked the size.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_parts(out, self.kind, &[], &self.body);
    }
}

/// Bytes on the wire of a frame whose body has `body_len` bytes.
pub(crate) fn wire_len(body_len: usize) -> usize {
    PREFIX_BYTES + HEAD_BYTES as usize + body_len
}

/// Appends a frame whose body is `head` and `body`, without joining them first.
pub(crate) fn encode_parts(out: &mut BytesMut, kind: FrameKind, head: &[u8], body: &[u8]) {
    let body_len = head.len() + body.len();
    out.reserve(wire_len(body_len));
    // Senders check against `frame_bytes_max`, so that this never saturates.
    out.put_u32(u32::try_from(body_len).unwrap_or(u32::MAX).saturating_add(HEAD_BYTES));
    out.put_u8(FRAME_VERSION);
    out.put_u8(kind as u8);
    out.put_slice(head);
    out.put_slice(body);
}

/// Cuts a stream of bytes into frames. After an error the stream is beyond repair.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    length_max: u32,
}

impl FrameDecoder {
    /// Accepts frames whose length field is at most `length_max`.
    pub fn new(length_max: u32) -> Self {
        Self { buffer: BytesMut::new(), length_max: length_max.min(FRAME_BYTES_MAX) }
    }

    /// Changes the limit: a small one serves until the handshake has ended.
    pub fn set_length_max(&mut self, length_max: u32) {
        self.length_max = length_max.min(FRAME_BYTES_MAX);
    }

    /// Where the next received bytes go.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes the next whole frame, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the head shows that the frame is not acceptable.
    pub fn decode(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut head = self.buffer.as_ref();
        let Ok(length) = head.try_get_u32() else { return Ok(None) };
        if length > self.length_max {
            return Err(FrameError::TooLong { announced: length, limit: self.length_max });
        }
        if length < HEAD_BYTES {
            return Err(FrameError::TooShort { announced: length });
        }
        let Ok(version) = head.try_get_u8() else { return Ok(None) };
        if version != FRAME_VERSION {
            return Err(FrameError::Version { found: version });
        }
        let Ok(kind) = head.try_get_u8() else { return Ok(None) };
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::Kind { found: kind })?;
        let body_len = (length - HEAD_BYTES) as usize;
        let missing = body_len.saturating_sub(head.len());
        if missing > 0 {
            self.buffer.reserve(missing.min(RESERVE_BYTES_MAX));
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES + HEAD_BYTES as usize);
        Ok(Some(Frame { kind, body: self.buffer.split_to(body_len).freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(bytes: &[u8]) -> FrameDecoder {
        let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        decoder.buffer_mut().extend_from_slice(bytes);
        decoder
    }

    fn encoded(frame: &Frame) -> BytesMut {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        out
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let frame = Frame::new(FrameKind::Request, &b"abc"[..]);
        assert_eq!(encoded(&frame).as_ref(), [0, 0, 0, 5, 1, 6, b'a', b'b', b'c']);
        assert_eq!(encoded(&Frame::new(FrameKind::Ping, &b""[..])).as_ref(), [0, 0, 0, 2, 1, 4]);
    }

    #[test]
    fn every_kind_keeps_its_number() {
        let kinds = [
            FrameKind::Hello,
            FrameKind::Accepted,
            FrameKind::Refused,
            FrameKind::Ping,
            FrameKind::Pong,
            FrameKind::Request,
            FrameKind::Response,
            FrameKind::Failure,
            FrameKind::Wire,
            FrameKind::Ack,
            FrameKind::Enrol,
            FrameKind::Enrolled,
        ];
        for (number, kind) in (1u8..).zip(kinds) {
            assert_eq!(kind as u8, number);
            assert_eq!(FrameKind::from_byte(number), Some(kind));
        }
        assert_eq!(FrameKind::from_byte(0), None);
        assert_eq!(FrameKind::from_byte(13), None);
    }

    #[test]
    fn an_overlong_frame_is_refused_at_its_fourth_byte_and_nothing_is_set_aside() {
        let mut four_gib = decoder(&[0xff; 4]);
        let before = four_gib.buffer_mut().capacity();
        let refused = four_gib.decode();
        assert!(matches!(refused, Err(FrameError::TooLong { announced: u32::MAX, .. })));
        assert_eq!(four_gib.buffer_mut().capacity(), before);
    }

    #[test]
    fn an_announced_length_alone_makes_no_more_than_a_small_reserve() {
        let mut large = decoder(&[1, 0, 0, 0, 1, 9]);
        assert_eq!(large.decode().unwrap(), None);
        assert!(large.buffer_mut().capacity() <= 2 * RESERVE_BYTES_MAX);
    }

    #[test]
    fn heads_that_cannot_be_are_refused() {
        let cases: [(&[u8], FrameError); 4] = [
            (&[0, 0, 0, 0], FrameError::TooShort { announced: 0 }),
            (&[0, 0, 0, 1, 1], FrameError::TooShort { announced: 1 }),
            (&[0, 0, 0, 2, 9], FrameError::Version { found: 9 }),
            (&[0, 0, 0, 2, 1, 200], FrameError::Kind { found: 200 }),
        ];
        for (bytes, error) in cases {
            assert_eq!(decoder(bytes).decode(), Err(error));
        }
    }
}
