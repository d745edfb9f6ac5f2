use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::rig::{QOS1, QOS2, filter, message, meta};
use crate::{
    Entry, JournalOp, Message, MessageId, Origin, Properties, QoS, RetainHandling, SessionExport,
    SubscriptionIds, SubscriptionOptions,
    codec::{
        CodecError, RECORD_BYTES_MAX, decode_export, decode_message, decode_op, encode_export,
        encode_message, encode_op,
    },
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rich(now: Instant) -> Message {
    Message {
        received: now,
        retain: true,
        properties: Properties {
            payload_is_utf8: Some(true),
            message_expiry: Some(60),
            content_type: Some("c".into()),
            response_topic: Some("r".into()),
            correlation_data: Some(vec![1, 2].into()),
            user: vec![("k".into(), "v".into())],
        },
        publisher: crate::Publisher {
            username: Some("u".into()),
            peer: Some(([127, 0, 0, 1], 1883).into()),
            version: crate::ProtocolVersion::V5,
        },
        origin: Origin::Link("eu".into()),
        repeated: false,
        ..message(7, QOS2)
    }
}

fn all_ops() -> Vec<JournalOp> {
    let options = SubscriptionOptions {
        qos: QOS1,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Skip,
        id: Some(300),
    };
    let spanmq_topic::Subscription::Shared(shared) = filter("$share/g/t/+") else {
        panic!("a shared filter");
    };
    let entry = Entry {
        seq: 1,
        message: message(7, QOS1).id,
        size: 10,
        qos: QoS::ExactlyOnce,
        retain: true,
        ids: SubscriptionIds::Many(Arc::new([1, 2])),
        shared: Some(Arc::new(shared)),
    };
    vec![
        JournalOp::Meta(meta()),
        JournalOp::Subscribed { filter: filter("a/#"), options },
        JournalOp::Unsubscribed(filter("a/#")),
        JournalOp::Enqueued(entry),
        JournalOp::InFlight { seq: 1, packet_id: 2 },
        JournalOp::Released { seq: 1, packet_id: 2 },
        JournalOp::Acked { seq: 1, packet_id: 2 },
        JournalOp::Dropped { seq: 1 },
        JournalOp::Qos2Received { packet_id: 2 },
        JournalOp::Qos2Done { packet_id: 2 },
        JournalOp::Qos2Begun { packet_id: 2, message: MessageId([7; 16]) },
        JournalOp::Took { message: MessageId([7; 16]) },
    ]
}

#[test]
fn the_bytes_of_a_message_never_change() {
    let (now, mut bytes) = (Instant::now(), Vec::new());
    encode_message(&rich(now), now, &mut bytes).unwrap();
    assert_eq!(hex(&bytes), MESSAGE);
    assert_eq!(decode_message(&bytes, now, Duration::ZERO).unwrap(), rich(now));
}

#[test]
fn the_bytes_of_each_op_never_change() {
    for (op, golden) in all_ops().into_iter().zip(OPS) {
        let mut bytes = Vec::new();
        encode_op(&op, &mut bytes).unwrap();
        assert_eq!(hex(&bytes), golden, "{op:?}");
        assert_eq!(decode_op(&bytes).unwrap(), op);
    }
}

#[test]
fn the_bytes_of_an_export_never_change() {
    let now = Instant::now();
    let export = SessionExport {
        client_id: "client".into(),
        ops: vec![JournalOp::Dropped { seq: 1 }],
        messages: vec![Arc::new(Message { received: now, ..message(7, QOS1) })],
    };
    let bytes = encode_export(&export, now).unwrap();
    assert_eq!(hex(&bytes), EXPORT);
    assert_eq!(decode_export(&bytes, now).unwrap(), export);
}

#[test]
fn that_a_message_may_be_a_repeat_travels_with_it() {
    let (now, mut bytes) = (Instant::now(), Vec::new());
    let message = Message { repeated: true, ..rich(now) };
    encode_message(&message, now, &mut bytes).unwrap();
    assert_eq!(decode_message(&bytes, now, Duration::ZERO).unwrap(), message);
}

#[test]
fn the_age_of_a_message_travels_with_it() {
    let (now, mut bytes) = (Instant::now(), Vec::new());
    let later = now + Duration::from_millis(1_500);
    encode_message(&rich(now), later, &mut bytes).unwrap();
    let read = decode_message(&bytes, later, Duration::from_secs(20)).unwrap();
    assert_eq!(read.remaining_expiry(later), Some(60 - 21));
}

#[test]
fn a_message_older_than_the_clock_keeps_what_remains_of_its_expiry() {
    let (now, mut bytes) = (Instant::now(), Vec::new());
    let mut message = rich(now);
    message.properties.message_expiry = Some(u32::MAX);
    encode_message(&message, now, &mut bytes).unwrap();
    let ages = Duration::from_secs(u64::from(u32::MAX) - 10);
    let read = decode_message(&bytes, now, ages).unwrap();
    assert_eq!(read.remaining_expiry(now), Some(10));
}

#[test]
fn every_cut_and_every_other_version_is_an_error() {
    let now = Instant::now();
    let mut bytes = Vec::new();
    encode_message(&rich(now), now, &mut bytes).unwrap();
    let decode = |bytes: &[u8]| decode_message(bytes, now, Duration::ZERO);
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end}");
    }
    bytes.push(0);
    assert!(matches!(decode(&bytes), Err(CodecError::Trailing { bytes: 1 })));
    bytes[0] = 2;
    assert!(matches!(decode(&bytes), Err(CodecError::Version { version: 2 })));
    assert!(matches!(decode_op(&[]), Err(CodecError::Empty)));
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    // Version, 16 bytes of id, then a topic that claims 2^63 bytes.
    let mut bytes = vec![1; 17];
    bytes.extend([0xFD, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    let read = decode_message(&bytes, Instant::now(), Duration::ZERO);
    assert!(matches!(read, Err(CodecError::Decode { .. })));
    let claims = [&[1, 0, 0, 0, 2, 1, 0][..], &[0xFF; 4]].concat();
    assert!(decode_export(&claims, Instant::now()).is_err());
}

#[test]
fn a_record_above_the_limit_is_not_written() {
    let payload = vec![0; RECORD_BYTES_MAX].into();
    let mut out = vec![9];
    let large = Message { payload, ..message(1, QOS1) };
    let refused = encode_message(&large, Instant::now(), &mut out);
    assert!(matches!(refused, Err(CodecError::TooLarge { .. })));
    assert_eq!(out, [9]);
}

const MESSAGE: &str = "01070707070707070707070707070707070174010702010101013c0101630101720102010201016b0176\
     097075626c697368657201017501007f000001fb5b0705fd0068e5cf8b0100000001026575";
const OPS: [&str; 12] = [
    "0100010104757365720000",
    "010103612f230101010201fb2c01",
    "010203612f23",
    "010301070707070707070707070707070707070a020102020102010c2473686172652f672f742f2b",
    "01040102",
    "01050102",
    "01060102",
    "010701",
    "010802",
    "010902",
    "010a0207070707070707070707070707070707",
    "010b07070707070707070707070707070707",
];
const EXPORT: &str = "01000000080106636c69656e740000000100000003010701000000010000003501070707070707070707\
     07070707070707017401070100000000000000097075626c6973686572000005fd0068e5cf8b01000000\
     00";
