//! The server's half of MQTT 5 on a socket: whole packets in, whole packets out.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, bail};

use crate::client::{Packet, Property, Version, binary, frame, properties};

/// A packet from a client, as far as a link sends it.
#[derive(Debug)]
pub(super) enum Request {
    Connect {
        client_id: String,
        clean_start: bool,
    },
    Subscribe {
        id: u16,
        filter: String,
    },
    Publish {
        qos: u8,
        id: u16,
        topic: String,
        properties: Vec<Property>,
        payload: Vec<u8>,
    },
    PubRel {
        id: u16,
    },
    /// PUBACK of what we sent.
    Acknowledged,
    Ping,
    Disconnect,
}

/// Reads one packet; none when the client closed.
pub(super) fn read(stream: &mut TcpStream) -> anyhow::Result<Option<Request>> {
    let mut first = [0];
    if stream.read(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request(first[0], &body).map(Some)
}

fn request(first: u8, body: &[u8]) -> anyhow::Result<Request> {
    let short = "a short packet";
    let two = |at: usize| -> anyhow::Result<u16> {
        let bytes = body.get(at..at + 2).context(short)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    Ok(match first >> 4 {
        1 => {
            // Protocol name (6), level, flags, keep-alive (2), properties, client id.
            anyhow::ensure!(body.get(6) == Some(&5), "a link speaks MQTT 5");
            let clean_start = body.get(7).context(short)? & 2 != 0;
            let length = usize::from(*body.get(10).context(short)?);
            anyhow::ensure!(length < 0x80, "longer properties than a link sends");
            let at = 11 + length;
            let id = body.get(at + 2..at + 2 + usize::from(two(at)?)).context(short)?;
            Request::Connect { client_id: String::from_utf8(id.to_vec())?, clean_start }
        }
        8 => {
            let at = 3 + usize::from(*body.get(2).context(short)?);
            let filter = body.get(at + 2..at + 2 + usize::from(two(at)?)).context(short)?;
            Request::Subscribe { id: two(0)?, filter: String::from_utf8(filter.to_vec())? }
        }
        3 => match Packet::read(first, body, Version::V5)? {
            Packet::Publish { qos, id, topic, properties, payload, .. } => {
                Request::Publish { qos, id, topic, properties, payload }
            }
            other => bail!("unreachable: {other:?}"),
        },
        4 => Request::Acknowledged,
        6 => Request::PubRel { id: two(0)? },
        12 => Request::Ping,
        14 => Request::Disconnect,
        other => bail!("a link does not send packet type {other}"),
    })
}

/// Writes one packet.
pub(super) fn write(stream: &mut TcpStream, first: u8, body: &[u8]) -> anyhow::Result<()> {
    let mut out = Vec::with_capacity(body.len() + 5);
    frame(&mut out, first, body);
    Ok(stream.write_all(&out)?)
}

/// The body of a PUBLISH with QoS 1.
pub(super) fn publish(topic: &str, id: u16, with: &[Property], payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    binary(&mut body, topic.as_bytes());
    body.extend_from_slice(&id.to_be_bytes());
    properties(&mut body, with);
    body.extend_from_slice(payload);
    body
}
