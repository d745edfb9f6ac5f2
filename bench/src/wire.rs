//! The client side of MQTT, as cheap as it gets: packets are written straight into the output
//! buffer and read in place. Only what the scenarios need; a broker's answers are trusted.

/// Protocol level of CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

fn remaining_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        if length == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends CONNECT with clean start; a persistent session when `keep` is set.
pub(crate) fn connect(out: &mut Vec<u8>, version: Version, client_id: &str, keep: bool) {
    let mut body = Vec::with_capacity(32);
    string(&mut body, "MQTT");
    let (level, clean) = match version {
        Version::V311 => (4, if keep { 0 } else { 2 }),
        Version::V5 => (5, 2),
    };
    body.extend_from_slice(&[level, clean, 0, 0]);
    if version == Version::V5 {
        match keep {
            // Session expiry interval 3,600 s, receive maximum 1,000.
            true => body.extend_from_slice(&[8, 0x11, 0, 0, 0x0e, 0x10, 0x21, 0x03, 0xe8]),
            false => body.extend_from_slice(&[3, 0x21, 0x03, 0xe8]),
        }
    }
    string(&mut body, client_id);
    out.push(0x10);
    remaining_length(out, body.len());
    out.extend_from_slice(&body);
}

pub(crate) fn subscribe(out: &mut Vec<u8>, version: Version, id: u16, filters: &[String], qos: u8) {
    let mut body = Vec::with_capacity(16 + filters.iter().map(|f| f.len() + 3).sum::<usize>());
    body.extend_from_slice(&id.to_be_bytes());
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        string(&mut body, filter);
        body.push(qos);
    }
    out.push(0x82);
    remaining_length(out, body.len());
    out.extend_from_slice(&body);
}

/// Appends PUBLISH; `id` is used when `qos > 0`.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    version: Version,
    topic: &str,
    flags: (u8, bool),
    id: u16,
    payload: &[u8],
) {
    let (qos, retain) = flags;
    let extra = usize::from(qos > 0) * 2 + usize::from(version == Version::V5);
    out.push(0x30 | qos << 1 | u8::from(retain));
    remaining_length(out, 2 + topic.len() + extra + payload.len());
    string(out, topic);
    if qos > 0 {
        out.extend_from_slice(&id.to_be_bytes());
    }
    if version == Version::V5 {
        out.push(0);
    }
    out.extend_from_slice(payload);
}

/// Appends PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7).
pub(crate) fn ack(out: &mut Vec<u8>, kind: u8, id: u16) {
    let flags = if kind == 6 { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[kind << 4 | flags, 2, high, low]);
}

/// What a broker sent, as far as the scenarios look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Connack {
        code: u8,
    },
    Suback {
        refused: bool,
    },
    Publish {
        qos: u8,
        id: u16,
        payload: &'a [u8],
    },
    /// PUBACK, PUBREC, PUBREL, PUBCOMP by packet type.
    Ack {
        kind: u8,
        id: u16,
    },
    Other(u8),
}

/// The first packet of `input` and its size, or none when it is not whole yet.
pub(crate) fn packet(input: &[u8], version: Version) -> Option<(Packet<'_>, usize)> {
    let first = *input.first()?;
    let (length, header) = length(input)?;
    let end = header + length;
    let body = input.get(header..end)?;
    let id = |at: usize| body.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let packet = match first >> 4 {
        2 => Packet::Connack { code: body.get(1).copied().unwrap_or(0xff) },
        3 => {
            let qos = first >> 1 & 3;
            let mut at = 2 + usize::from(id(0));
            let packet_id = if qos > 0 { id(at) } else { 0 };
            at += usize::from(qos > 0) * 2;
            if version == Version::V5 {
                at += 1 + usize::from(body.get(at).copied().unwrap_or(0));
            }
            Packet::Publish { qos, id: packet_id, payload: body.get(at..).unwrap_or_default() }
        }
        kind @ 4..=7 => Packet::Ack { kind, id: id(0) },
        9 => Packet::Suback { refused: body.last().is_none_or(|code| *code >= 0x80) },
        kind => Packet::Other(kind),
    };
    Some((packet, end))
}

fn length(input: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in input.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 2));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_reads_back_as_it_was_written() {
        for version in [Version::V311, Version::V5] {
            for qos in 0..=2 {
                let mut out = Vec::new();
                let payload = [7; 300];
                publish(&mut out, version, "a/b", (qos, false), 9, &payload);
                let id = if qos > 0 { 9 } else { 0 };
                let expected = Packet::Publish { qos, id, payload: &payload };
                assert_eq!(packet(&out, version), Some((expected, out.len())));
                assert_eq!(packet(&out[..out.len() - 1], version), None);
            }
        }
    }
}
