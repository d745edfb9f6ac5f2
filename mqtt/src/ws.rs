//! MQTT over WebSocket (MQTT 5.0 §6): the HTTP upgrade, and a filter between frames and bytes.
//!
//! Hand-rolled because a filter of ntex-io must work on its buffers: frames may be cut anywhere,
//! and one MQTT packet may span frames [MQTT-6.0.0-2].

use std::cell::RefCell;
use std::io;
use std::task::Poll;

use ntex_bytes::{BufMut, BytePages, BytesMut};
use ntex_io::{Filter, FilterBuf, FilterLayer, Io, Layer};
use sha1::{Digest, Sha1};

use crate::config::WsConfig;

/// Bytes of an upgrade request.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Answers the upgrade request and puts the filter in place.
///
/// # Errors
/// A request that is no MQTT upgrade; it is answered before.
pub(crate) async fn accept<F: Filter>(
    io: Io<F>,
    config: &WsConfig,
) -> io::Result<Io<Layer<WsFilter, F>>> {
    let request = loop {
        if let Some(request) = io.with_read_buf(take_request)? {
            break request;
        }
        if io.read_ready().await?.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    match answer(&request, config) {
        Ok(response) => {
            io.encode_slice(response.as_bytes())?;
            let frame_bytes_max = config.frame_bytes_max.unwrap_or(u64::MAX);
            let state = RefCell::new(Reading { frame_bytes_max, ..Reading::default() });
            Ok(io.add_filter(WsFilter { state }))
        }
        Err(status) => {
            let response =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            io.encode_slice(response.as_bytes())?;
            io.flush(true).await?;
            Err(io::Error::other("not an upgrade to MQTT over WebSocket"))
        }
    }
}

fn take_request(buf: &mut BytesMut) -> io::Result<Option<String>> {
    let Some(end) = buf.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if buf.len() > REQUEST_BYTES_MAX {
            Err(io::Error::other("the upgrade request is too long"))
        } else {
            Ok(None)
        };
    };
    let request = String::from_utf8_lossy(buf.get(..end).unwrap_or_default()).into_owned();
    buf.advance_to(end + 4);
    Ok(Some(request))
}

/// The response to an upgrade request, or the status that refuses it.
pub(crate) fn answer(request: &str, config: &WsConfig) -> Result<String, &'static str> {
    let mut lines = request.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    if method != Some("GET") {
        return Err("405 Method Not Allowed");
    }
    if target.split('?').next() != Some(config.path.as_str()) {
        return Err("404 Not Found");
    }
    let headers: Vec<(&str, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let has = |name: &str, token: &str| {
        headers
            .iter()
            .filter(|(of, _)| of.eq_ignore_ascii_case(name))
            .any(|(_, value)| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
    };
    let one = |name: &str| {
        headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    };
    if !has("Upgrade", "websocket") || !has("Connection", "upgrade") {
        return Err("426 Upgrade Required");
    }
    let key = one("Sec-WebSocket-Key").ok_or("400 Bad Request")?;
    if one("Sec-WebSocket-Version") != Some("13") {
        return Err("426 Upgrade Required\r\nSec-WebSocket-Version: 13");
    }
    // [MQTT-6.0.0-3]
    let asks = has("Sec-WebSocket-Protocol", "mqtt");
    if config.needs_subprotocol && !asks {
        return Err("400 Bad Request");
    }
    let allowed = &config.allowed_origins;
    if let Some(origin) = one("Origin").filter(|_| !allowed.is_empty())
        && !allowed.iter().any(|one| one.eq_ignore_ascii_case(origin))
    {
        return Err("403 Forbidden");
    }
    let accept = accept_key(key);
    let protocol = if asks { "Sec-WebSocket-Protocol: mqtt\r\n" } else { "" };
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    ))
}

fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    base64(&hash.finalize())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4usize {
            let value = (word >> (18 - 6 * digit)) & 63;
            let symbol = DIGITS.get(value as usize).copied().unwrap_or(b'=');
            text.push(char::from(if digit <= chunk.len() { symbol } else { b'=' }));
        }
    }
    text
}

/// Turns frames into MQTT bytes and back.
#[derive(Debug, Default)]
pub(crate) struct WsFilter {
    state: RefCell<Reading>,
}

/// Where the reader stands in the stream of frames.
#[derive(Debug)]
struct Reading {
    /// The data frame whose payload is being read.
    data: Option<Payload>,
    /// A message has begun and not ended: only continuations may follow.
    in_message: bool,
    /// The peer has said goodbye.
    closed: bool,
    frame_bytes_max: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self { data: None, in_message: false, closed: false, frame_bytes_max: u64::MAX }
    }
}

#[derive(Debug)]
struct Payload {
    left: u64,
    mask: [u8; 4],
    at: usize,
}

/// The head of a frame.
struct Head {
    fin: bool,
    opcode: u8,
    len: u64,
    mask: [u8; 4],
    bytes: usize,
}

impl FilterLayer for WsFilter {
    fn process_read_buf(&self, buf: &FilterBuf<'_>) -> io::Result<()> {
        let mut replies = Vec::new();
        let closed = buf.with_read_buffers(|source, target| {
            let mut state = self.state.borrow_mut();
            if let Some(source) = source {
                state.read(source, target, &mut replies)?;
            }
            io::Result::Ok(state.closed)
        })?;
        if !replies.is_empty() {
            buf.with_write_buffers(|_, next| next.put_slice(&replies));
        }
        if closed {
            buf.io().close();
        }
        Ok(())
    }

    fn process_write_buf(&self, buf: &FilterBuf<'_>) -> io::Result<()> {
        buf.with_write_buffers(|from, to| {
            if !from.is_empty() {
                put_head(BINARY, from.len(), to);
                from.move_to(to);
            }
        });
        Ok(())
    }

    fn shutdown(&self, buf: &FilterBuf<'_>) -> io::Result<Poll<()>> {
        if !std::mem::replace(&mut self.state.borrow_mut().closed, true) {
            // 1000: normal closure.
            buf.with_write_buffers(|_, next| {
                put_head(CLOSE, 2, next);
                next.put_slice(&1_000u16.to_be_bytes());
            });
        }
        Ok(Poll::Ready(()))
    }
}

impl Reading {
    fn read(
        &mut self,
        source: &mut BytesMut,
        target: &mut BytesMut,
        replies: &mut Vec<u8>,
    ) -> io::Result<()> {
        loop {
            if let Some(payload) = &mut self.data {
                payload.copy(source, target);
                if payload.left > 0 {
                    return Ok(());
                }
                self.data = None;
            }
            let Some(head) = head(source)? else { return Ok(()) };
            match head.opcode {
                BINARY | CONTINUATION => self.begin_data(&head, source)?,
                CLOSE | PING | PONG => {
                    if !self.control(&head, source, replies)? {
                        return Ok(());
                    }
                }
                // Text is refused [MQTT-6.0.0-1].
                _ => return Err(protocol_error("only binary frames carry MQTT")),
            }
        }
    }

    fn begin_data(&mut self, head: &Head, source: &mut BytesMut) -> io::Result<()> {
        if (head.opcode == CONTINUATION) != self.in_message {
            return Err(protocol_error("a fragment out of order"));
        }
        if head.len > self.frame_bytes_max {
            return Err(protocol_error("a frame is longer than websocket.max_frame_size"));
        }
        self.in_message = !head.fin;
        source.advance_to(head.bytes);
        self.data = Some(Payload { left: head.len, mask: head.mask, at: 0 });
        Ok(())
    }

    /// False: the frame has not arrived whole.
    fn control(
        &mut self,
        head: &Head,
        source: &mut BytesMut,
        replies: &mut Vec<u8>,
    ) -> io::Result<bool> {
        if !head.fin || head.len > 125 {
            return Err(protocol_error("a control frame is too long"));
        }
        let end = head.bytes + usize::try_from(head.len).unwrap_or(0);
        let Some(body) = source.get(head.bytes..end) else { return Ok(false) };
        let body: Vec<u8> = body.iter().zip(head.mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
        source.advance_to(end);
        let reply = match head.opcode {
            PING => Some(PONG),
            CLOSE if !self.closed => {
                self.closed = true;
                Some(CLOSE)
            }
            _ => None,
        };
        if let Some(opcode) = reply {
            replies.extend([0x80 | opcode, body.len() as u8]);
            replies.extend(body);
        }
        Ok(true)
    }
}

/// What a connection is given, what it answers, and how it stands after the last byte or the first
/// fault.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn read_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Vec<u8>, Result<bool, String>) {
    let mut state = Reading::default();
    let (mut source, mut target) = (BytesMut::new(), BytesMut::new());
    let mut replies = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        source.extend_from_slice(piece);
        result = state.read(&mut source, &mut target, &mut replies);
        if result.is_err() {
            break;
        }
    }
    let result = result.map(|()| state.closed).map_err(|error| error.to_string());
    (target.to_vec(), replies, result)
}

impl Payload {
    fn copy(&mut self, source: &mut BytesMut, target: &mut BytesMut) {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(source.len());
        let bytes = source.split_to(len);
        target.reserve(len);
        let mask = self.mask.iter().cycle().skip(self.at % 4);
        let plain: Vec<u8> = bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        target.extend_from_slice(&plain);
        self.at = (self.at + len) % 4;
        self.left -= len as u64;
    }
}

fn protocol_error(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads the head of a frame; `None` while it is incomplete (RFC 6455 §5.2).
fn head(source: &[u8]) -> io::Result<Option<Head>> {
    let &[first, second, ref rest @ ..] = source else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(protocol_error("reserved bits of a frame"));
    }
    if second & 0x80 == 0 {
        return Err(protocol_error("a client must mask its frames"));
    }
    let (len, bytes) = match second & 0x7f {
        126 => match rest.first_chunk::<2>() {
            Some(len) => (u64::from(u16::from_be_bytes(*len)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (u64::from_be_bytes(*len), 10),
            None => return Ok(None),
        },
        len => (u64::from(len), 2),
    };
    let Some(mask) = source.get(bytes..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    Ok(Some(Head { fin, opcode, len, mask: *mask, bytes: bytes + 4 }))
}

/// Writes the head of an unmasked, whole frame.
fn put_head(opcode: u8, len: usize, to: &mut BytePages) {
    let first = 0x80 | opcode;
    match len {
        0..=125 => to.put_slice(&[first, len as u8]),
        126..=65_535 => {
            to.put_slice(&[first, 126]);
            to.put_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            to.put_slice(&[first, 127]);
            to.put_slice(&(len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, body: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first, 0x80 | body.len() as u8];
        bytes.extend(mask);
        bytes.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    // RFC 6455 §1.3 gives this pair.
    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    // [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    #[test]
    fn an_upgrade_without_the_subprotocol_is_refused() {
        let request = |protocol: &str| {
            format!(
                "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, \
                 Upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n{protocol}"
            )
        };
        let config = WsConfig::default();
        let good = answer(&request("Sec-WebSocket-Protocol: mqttv3.1, mqtt"), &config).unwrap();
        assert!(good.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
        assert!(answer(&request(""), &config).is_err());
        let other = WsConfig { path: "/other".into(), ..WsConfig::default() };
        assert!(answer(&request("Sec-WebSocket-Protocol: mqtt"), &other).is_err());
        let lenient = WsConfig { needs_subprotocol: false, ..WsConfig::default() };
        let plain = answer(&request(""), &lenient).unwrap();
        assert!(!plain.contains("Sec-WebSocket-Protocol"), "{plain}");
        let some = WsConfig {
            allowed_origins: vec!["https://ops.example.org".into()],
            ..WsConfig::default()
        };
        let from = |origin: &str| {
            answer(&request(&format!("Sec-WebSocket-Protocol: mqtt\r\n{origin}")), &some)
        };
        assert!(from("Origin: https://ops.example.org").is_ok());
        assert_eq!(from("Origin: https://evil.example.org"), Err("403 Forbidden"));
        assert!(from("").is_ok(), "no browser");
    }

    #[test]
    fn a_frame_above_its_limit_is_refused_by_its_head() {
        let mut state = Reading { frame_bytes_max: 4, ..Reading::default() };
        let mut read = |bytes: &[u8]| {
            let mut source = BytesMut::copy_from_slice(bytes);
            state.read(&mut source, &mut BytesMut::new(), &mut Vec::new())
        };
        assert!(read(&frame(0x82, b"four")).is_ok());
        assert!(read(&frame(0x82, b"fives")).is_err());
    }

    // [MQTT-6.0.0-2]
    #[test]
    fn frames_may_be_cut_anywhere() {
        let mut wire = frame(0x02, b"hel");
        wire.extend(frame(0x89, b"ping"));
        wire.extend(frame(0x80, b"lo"));
        let mut state = Reading::default();
        let (mut target, mut replies) = (BytesMut::new(), Vec::new());
        let mut source = BytesMut::new();
        for byte in wire {
            source.extend_from_slice(&[byte]);
            state.read(&mut source, &mut target, &mut replies).unwrap();
        }
        assert_eq!(&target[..], b"hello");
        assert_eq!(replies, b"\x8a\x04ping");
    }

    // [MQTT-6.0.0-1]
    #[test]
    fn text_and_unmasked_frames_are_refused() {
        let read = |bytes: &[u8]| {
            let mut source = BytesMut::copy_from_slice(bytes);
            Reading::default().read(&mut source, &mut BytesMut::new(), &mut Vec::new())
        };
        assert!(read(&frame(0x81, b"x")).is_err());
        assert!(read(&[0x82, 1, b'x', 0, 0, 0, 0]).is_err());
        assert!(read(&frame(0x80, b"x")).is_err(), "a continuation of nothing");
        assert!(read(&frame(0xc2, b"x")).is_err(), "reserved bits");
    }
}
