//! Reading the recorded data, and comparing terms without regard to the order of map keys.

use bytes::Bytes;
use serde_json::Value;
use spanmq_link_protocol::term::{DecodeLimits, Term, decode, unwrap_payload};

pub(crate) fn recorded() -> Value {
    serde_json::from_str(include_str!("../data/emqx-5.10.3.json")).unwrap()
}

/// (title, bytes) of each vector of LINK-SPEC 2.8.
pub(crate) fn spec_vectors() -> Vec<(String, Vec<u8>)> {
    let lines: Vec<&str> = include_str!("../data/spec-2.8.txt").lines().collect();
    lines.chunks(2).map(|pair| (pair[0].to_owned(), hex(pair[1]))).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn bytes_of(value: &Value) -> Bytes {
    Bytes::from(hex(value.as_str().unwrap()))
}

/// The payload of a whole MQTT 5 PUBLISH packet.
pub(crate) fn publish_payload(packet: &[u8]) -> Bytes {
    let qos = (packet[0] >> 1) & 3;
    let (_, rest) = varint(&packet[1..]);
    let topic_bytes = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let packet_id_bytes = if qos > 0 { 2 } else { 0 };
    let (property_bytes, rest) = varint(&rest[2 + topic_bytes + packet_id_bytes..]);
    Bytes::copy_from_slice(&rest[property_bytes..])
}

fn varint(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut value, mut at) = (0, 0);
    loop {
        value |= usize::from(bytes[at] & 0x7f) << (7 * at);
        at += 1;
        if bytes[at - 1] & 0x80 == 0 {
            return (value, &bytes[at..]);
        }
    }
}

/// The term of a payload with map keys in one order, as text.
pub(crate) fn canonical(payload: &Bytes) -> String {
    let limits = DecodeLimits::default();
    let plain = unwrap_payload(payload.clone(), limits).unwrap();
    let mut text = String::new();
    write_term(&decode(&plain, limits).unwrap().term, true, &mut text);
    text
}

/// The term of a payload in Erlang notation, map keys in the order received.
pub(crate) fn notation(payload: &Bytes) -> String {
    let limits = DecodeLimits::default();
    let plain = unwrap_payload(payload.clone(), limits).unwrap();
    let mut text = String::new();
    write_term(&decode(&plain, limits).unwrap().term, false, &mut text);
    text
}

fn write_term(term: &Term<'_>, sorted: bool, out: &mut String) {
    match term {
        Term::Int(value) => out.push_str(&value.to_string()),
        Term::Float(value) => out.push_str(&value.to_string()),
        Term::Atom(atom) => {
            let text = atom.as_str();
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let bare = plain && text.starts_with(|c: char| c.is_ascii_lowercase());
            out.push_str(&if bare { text.to_owned() } else { format!("'{text}'") });
        }
        Term::Binary(bytes) => write_binary(bytes, out),
        Term::ByteList(bytes) => out.push_str(&format!("{bytes:?}")),
        Term::Tuple(elements) => write_all(elements, ('{', '}'), sorted, out),
        Term::List(elements) => write_all(elements, ('[', ']'), sorted, out),
        Term::Map(pairs) => {
            let mut texts: Vec<String> = pairs
                .iter()
                .map(|(key, value)| {
                    let mut text = String::new();
                    write_term(key, sorted, &mut text);
                    text.push_str(" => ");
                    write_term(value, sorted, &mut text);
                    text
                })
                .collect();
            if sorted {
                texts.sort_unstable();
            }
            out.push_str(&format!("#{{{}}}", texts.join(",")));
        }
    }
}

fn write_all(elements: &[Term<'_>], (open, close): (char, char), sorted: bool, out: &mut String) {
    out.push(open);
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_term(element, sorted, out);
    }
    out.push(close);
}

fn write_binary(bytes: &[u8], out: &mut String) {
    let printable = |byte: &u8| (32..127).contains(byte);
    if bytes.is_empty() {
        out.push_str("<<>>");
    } else if bytes.iter().all(printable) {
        out.push_str(&format!("<<\"{}\">>", String::from_utf8_lossy(bytes)));
    } else {
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        out.push_str(&format!("<<{}>>", numbers.join(",")));
    }
}
