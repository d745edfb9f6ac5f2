//! Bodies of the fuzz targets `etf_decode`, `link_message` and `rest_link_json`. They run as
//! property tests too; anything they find is a panic.

use crate::config::{ParseContext, REDACTED, Reveal, parse_create, parse_stored};
use crate::message::{ControlOp, MessageRecord};
use crate::term::{DecodeLimits, decode, unwrap_payload};
use bytes::Bytes;

/// Any bytes as a term: an error or a term, within the limits.
pub fn etf_decode(data: &[u8]) {
    let limits = DecodeLimits::default();
    if let Ok(plain) = unwrap_payload(Bytes::copy_from_slice(data), limits) {
        assert!(plain.len() <= limits.inflated_bytes.max(data.len()).saturating_add(1));
        if let Ok(decoded) = decode(&plain, limits) {
            assert!(decoded.trailing_bytes < plain.len());
        }
    }
}

/// Any bytes as a control operation or a record: what is accepted reads back after encoding.
pub fn link_message(data: &[u8]) {
    let limits = DecodeLimits::default();
    let payload = Bytes::copy_from_slice(data);
    if let Ok(received) = ControlOp::decode(payload.clone(), limits) {
        let again = ControlOp::decode(received.message.encode(), limits).map(|r| r.message);
        assert_eq!(again.as_ref(), Ok(&received.message));
    }
    if let Ok(received) = MessageRecord::decode(payload, limits) {
        let once = MessageRecord::decode(received.message.encode(true), limits);
        // A sender known by an atom becomes text; from then on nothing changes.
        if let Ok(once) = once {
            let twice = MessageRecord::decode(once.message.encode(true), limits);
            assert_eq!(twice, Ok(once));
        }
    }
}

/// Any text as the body of a create: violations, or a link that is stored and read back.
pub fn rest_link_json(data: &[u8]) {
    let context = ParseContext { local_cluster: "local" };
    let Ok(body) = serde_json::from_slice(data) else { return };
    if let Ok(link) = parse_create(&body, context) {
        let stored = parse_stored(&link.to_json(Reveal::Stored), context);
        assert_eq!(stored.as_ref(), Ok(&link));
        let shown = link.to_json(Reveal::Redacted);
        let visible = shown["password"].as_str().unwrap_or(REDACTED);
        assert!(visible == REDACTED || visible.starts_with("file://"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Target = fn(&[u8]);

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let targets: [(&str, Target); 3] = [
            ("etf_decode", super::etf_decode),
            ("link_message", super::link_message),
            ("rest_link_json", super::rest_link_json),
        ];
        for (name, target) in targets {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
            for entry in std::fs::read_dir(corpus).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }
}
