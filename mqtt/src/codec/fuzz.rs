//! Bodies of the fuzz targets `mqtt_v3_packet` and `mqtt_v5_packet`: decode → encode → decode
//! gives the same, and no bytes make the codec panic.

use bytes::Bytes;
use ntex_bytes::{BufMut, BytePages, BytesMut};
use ntex_codec::{Decoder as _, Encoder as _};
use ntex_mqtt::{v3::codec as v3, v5::codec as v5};

use super::{
    Encoder, Frame, Packet, PublishIn, PublishOut, Version, cut, decode, kind, parse_publish,
    peek_version,
};

/// The packet limit of the target; the input is smaller anyway.
const LIMIT: u32 = 1 << 20;

/// A client's bytes on a 3.1.1 connection.
///
/// # Panics
/// When a packet that was accepted does not survive being written and read.
pub fn mqtt_v3_packet(data: &[u8]) {
    packets(Version::V311, data);
}

/// A client's bytes on a 5.0 connection.
///
/// # Panics
/// As [`mqtt_v3_packet`].
pub fn mqtt_v5_packet(data: &[u8]) {
    packets(Version::V5, data);
}

fn packets(version: Version, mut data: &[u8]) {
    while let Ok(Some(frame)) = cut(data, LIMIT) {
        let Some((bytes, rest)) = data.split_at_checked(frame.total) else { return };
        if one(version, frame, bytes).is_none() {
            return;
        }
        data = rest;
    }
}

/// `None` when the packet was refused, which would end the connection.
fn one(version: Version, frame: Frame, bytes: &[u8]) -> Option<()> {
    let body = bytes.get(frame.header..).unwrap_or_default();
    if frame.kind() == kind::PUBLISH {
        let read = parse_publish(version, frame.first, body).ok()?;
        publish_again(version, &read);
        return Some(());
    }
    if frame.kind() == kind::CONNECT && peek_version(body) != Ok(version) {
        return None;
    }
    let packet = decode(version, frame, bytes).ok()?;
    let again = match &packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            let encoder = Encoder { version, problem_info: true, packet_max: None };
            pages(|out| encoder.ack(frame.kind(), ack.id, ack.code, out))
        }
        // Without content, so that there is nothing to write again.
        Packet::PingReq | Packet::Auth => return Some(()),
        _ => by_the_library(version, bytes),
    };
    let frame = cut(&again, LIMIT).ok().flatten().expect("what we wrote is a frame");
    let read = decode(version, frame, &again);
    assert_eq!(read.as_ref(), Ok(&packet), "from {bytes:02x?} by {again:02x?}");
    Some(())
}

fn pages(write: impl FnOnce(&mut BytePages)) -> Bytes {
    let mut pages = BytePages::default();
    write(&mut pages);
    Bytes::copy_from_slice(&pages.freeze())
}

/// What a client sends is written by nobody in the broker, so the library writes it.
fn by_the_library(version: Version, bytes: &[u8]) -> Bytes {
    let mut input = BytesMut::copy_from_slice(bytes);
    pages(|out| {
        let written = if version.is_v5() {
            let Ok(Some(v5::Decoded::Packet(packet, _))) = v5::Codec::new().decode(&mut input)
            else {
                panic!("the library does not read {bytes:02x?} twice")
            };
            v5::Codec::new().encodev(v5::Encoded::Packet(packet), out).is_ok()
        } else {
            let Ok(Some(v3::Decoded::Packet(packet, _))) = v3::Codec::new().decode(&mut input)
            else {
                panic!("the library does not read {bytes:02x?} twice")
            };
            v3::Codec::new().encodev(v3::Encoded::Packet(packet), out).is_ok()
        };
        assert!(written, "the library does not write what it read from {bytes:02x?}");
    })
}

fn publish_again(version: Version, read: &PublishIn<'_>) {
    let list = property_list(read);
    let out = PublishOut {
        dup: read.dup,
        retain: read.retain,
        qos: read.qos,
        topic: read.topic,
        packet_id: read.packet_id,
        properties: &list,
        payload: read.payload,
    };
    let again = pages(|pages| out.write(version, pages));
    let frame = cut(&again, LIMIT).ok().flatten().expect("what we wrote is a frame");
    assert_eq!(frame.total, again.len());
    let body = again.get(frame.header..).unwrap_or_default();
    let twice = parse_publish(version, frame.first, body).expect("what was read is well formed");
    assert_eq!(
        (twice.dup, twice.retain, twice.qos, twice.topic, twice.packet_id, twice.payload),
        (read.dup, read.retain, read.qos, read.topic, read.packet_id, read.payload)
    );
    assert_eq!(property_list(&twice), list);
    assert_eq!(twice.properties.topic_alias, read.properties.topic_alias);
}

/// The properties as a list in the order of their numbers, user properties last.
fn property_list(publish: &PublishIn<'_>) -> Vec<u8> {
    let properties = &publish.properties;
    let mut out = Vec::new();
    if let Some(flag) = properties.payload_is_utf8 {
        out.extend_from_slice(&[0x01, flag.into()]);
    }
    if let Some(seconds) = properties.expiry_secs {
        out.push(0x02);
        out.put_u32(seconds);
    }
    let texts = [(0x03, properties.content_type), (0x08, properties.response_topic)];
    for (id, text) in texts {
        text.into_iter().for_each(|text| with_length(&mut out, Some(id), text.as_bytes()));
    }
    if let Some(data) = properties.correlation_data {
        with_length(&mut out, Some(0x09), data);
    }
    if let Some(alias) = properties.topic_alias {
        out.push(0x23);
        out.put_u16(alias);
    }
    for (key, value) in properties.user_properties() {
        with_length(&mut out, Some(0x26), key.as_bytes());
        with_length(&mut out, None, value.as_bytes());
    }
    out
}

fn with_length(out: &mut Vec<u8>, id: Option<u8>, bytes: &[u8]) {
    out.extend(id);
    out.put_u16(u16::try_from(bytes.len()).expect("it was read with two bytes of length"));
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// First bytes that clients send.
    fn first() -> impl Strategy<Value = u8> {
        let good = [0x10, 0x30, 0x32, 0x3d, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0, 0xf0];
        prop_oneof![9 => proptest::sample::select(good.to_vec()), 1 => any::<u8>()]
    }

    /// Small numbers are lengths and property ids, so these reach deeper than noise does.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![6 => 0_u8..5, 2 => 0_u8..0x30, 1 => Just(b'a'), 1 => any::<u8>()], 0..60)
    }

    fn framed(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
        packet.extend_from_slice(body);
        packet
    }

    proptest! {
        #[test]
        fn packets_are_refused_or_survive_being_written(parts in vec((first(), body()), 1..4)) {
            let stream: Vec<u8> =
                parts.iter().flat_map(|(first, body)| framed(*first, body)).collect();
            mqtt_v3_packet(&stream);
            mqtt_v5_packet(&stream);
        }

        #[test]
        fn a_connect_with_any_flags_is_refused_or_survives(
            flags in any::<u8>(), level in 4_u8..6, rest in body(),
        ) {
            let mut start = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 60];
            start.extend_from_slice(&rest);
            mqtt_v3_packet(&framed(0x10, &start));
            mqtt_v5_packet(&framed(0x10, &start));
        }

        #[test]
        fn any_bytes_are_survived(data in vec(any::<u8>(), 0..300)) {
            mqtt_v3_packet(&data);
            mqtt_v5_packet(&data);
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 2] =
            [("mqtt_v3_packet", mqtt_v3_packet), ("mqtt_v5_packet", mqtt_v5_packet)];
        for (name, target) in targets {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            for entry in std::fs::read_dir(corpus).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }
}
