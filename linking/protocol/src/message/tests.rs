use super::*;
use crate::term::DecodeLimits;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: DecodeLimits = DecodeLimits { depth: 16, terms: 65_536, inflated_bytes: 1 << 20 };

fn record() -> MessageRecord {
    MessageRecord {
        id: [7; 16],
        qos: Qos::ExactlyOnce,
        from: Sender::Client("pub".into()),
        retain: true,
        dup: false,
        topic: "t/1".into(),
        payload: Bytes::from_static(b"hello"),
        timestamp_ms: 1_790_000_000_123,
        publisher: Publisher {
            username: Some("u".into()),
            address: Some("[2001:db8::1]:1883".parse().unwrap()),
            protocol_version: Some(4),
            client_attrs: BTreeMap::from([("k".into(), "v".into())]),
        },
        properties: MessageProperties::default(),
    }
}

#[test]
fn the_carrier_is_at_most_qos_one() {
    assert_eq!(Qos::ExactlyOnce.on_carrier(), Qos::AtLeastOnce);
    assert_eq!(Qos::AtLeastOnce.on_carrier(), Qos::AtLeastOnce);
    assert_eq!(Qos::AtMostOnce.on_carrier(), Qos::AtMostOnce);
}

#[test]
fn a_record_of_nine_or_eleven_fields_is_refused() {
    let whole = record().encode(true);
    assert!(MessageRecord::decode(whole.clone(), LIMITS).is_ok());
    for arity in [9, 11] {
        let mut bytes = whole.to_vec();
        bytes[2] = arity;
        bytes.extend_from_slice(&[116, 0, 0, 0, 0]);
        assert_eq!(
            MessageRecord::decode(bytes.into(), LIMITS),
            Err(MessageError::NotARecord),
            "{arity}"
        );
    }
}

#[test]
fn a_payload_in_nested_lists_is_gathered() {
    let whole = record().encode(true);
    let binary = [&[109, 0, 0, 0, 5][..], b"hello"].concat();
    // [<<"h">>, [101, "ll"], <<"o">>]
    let nested = [
        &[108, 0, 0, 0, 3][..],
        &[109, 0, 0, 0, 1, b'h'],
        &[108, 0, 0, 0, 2, 97, b'e', 107, 0, 2, b'l', b'l', 106],
        &[109, 0, 0, 0, 1, b'o', 106],
    ]
    .concat();
    let at = whole.windows(binary.len()).position(|window| window == binary).unwrap();
    let bytes = [&whole[..at], &nested, &whole[at + binary.len()..]].concat();
    let received = MessageRecord::decode(bytes.into(), LIMITS).unwrap();
    assert_eq!(received.message, record());
}

#[test]
fn a_sender_known_by_an_atom_is_accepted_and_leaves_as_text() {
    let internal = MessageRecord { from: Sender::Internal("sys".into()), ..record() };
    let decoded = MessageRecord::decode(internal.encode(true), LIMITS).unwrap().message;
    assert_eq!(decoded.from, Sender::Client("sys".into()));
}

#[test]
fn trailing_bytes_are_flagged_on_both_kinds() {
    let mut bytes = record().encode(true).to_vec();
    bytes.push(0);
    assert_eq!(MessageRecord::decode(bytes.into(), LIMITS).unwrap().trailing_bytes, 1);
    let beat = ControlOp::Heartbeat(Heartbeat { actor: "n1@h".into(), incarnation: 1 });
    let mut bytes = beat.encode().to_vec();
    bytes.extend_from_slice(&[1, 2]);
    assert_eq!(ControlOp::decode(bytes.into(), LIMITS).unwrap().trailing_bytes, 2);
}

#[test]
fn an_actor_name_that_is_no_topic_level_is_refused() {
    for actor in ["", "a/b", "a+", "#", "a\nb", &"x".repeat(ACTOR_BYTES_MAX + 1)] {
        let beat = ControlOp::Heartbeat(Heartbeat { actor: actor.into(), incarnation: 1 });
        let error = ControlOp::decode(beat.encode(), LIMITS).unwrap_err();
        assert_eq!(error, MessageError::BadField("actor (10)"), "{actor:?}");
    }
}

#[test]
fn a_batch_past_ten_thousand_routes_is_refused() {
    let batch = |count: usize| {
        let ops = (0..count).map(|n| RouteOp::add(&format!("t/{n}"), "#")).collect();
        ControlOp::Route(RouteBatch { actor: "n1@h".into(), incarnation: 1, ops })
    };
    let full = batch(BATCH_ENTRIES_ACCEPTED_MAX);
    assert_eq!(ControlOp::decode(full.encode(), LIMITS).unwrap().message, full);
    let over = batch(BATCH_ENTRIES_ACCEPTED_MAX + 1);
    assert_eq!(ControlOp::decode(over.encode(), LIMITS), Err(MessageError::TooManyRoutes));
}

#[test]
fn a_long_bootstrap_splits_at_4000_entries_and_at_the_remotes_packet_size() {
    let ops: Vec<RouteOp> = (0..9000).map(|n| RouteOp::add(&format!("t/{n}"), "#")).collect();
    let sizes: Vec<usize> =
        Batches::new(ops.clone(), "n1@h", BatchLimits::default()).map(|b| b.len()).collect();
    assert_eq!(sizes, [4000, 4000, 1000]);

    let limits = BatchLimits::for_packet_size(Some(8192));
    let mut sent = Vec::new();
    for batch in Batches::new(ops.clone(), "n1@h", limits) {
        let payload = encode_batch("n1@h", u64::MAX, batch.iter());
        assert!(payload.len() <= limits.bytes, "{}", payload.len());
        sent.extend(batch);
    }
    assert_eq!(sent, ops);
    assert_eq!(limits.bytes, 8192 - 1024);
}

#[test]
fn entry_sizes_are_those_of_the_encoder() {
    for op in [RouteOp::add("t/1", "$s/g/t/1"), RouteOp::delete("", "x")] {
        let with = encode_batch("a", 1, [op.clone(), op.clone()].iter()).len();
        let without = encode_batch("a", 1, [op.clone()].iter()).len();
        assert_eq!(with - without, entry_bytes(&op));
    }
}

#[test]
fn nothing_to_report_is_no_batch() {
    let mut batches = Batches::new(Vec::new(), "n1@h", BatchLimits::default());
    assert!(batches.is_empty());
    assert_eq!(batches.next(), None);
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/+#$äß]{0,12}"
}

proptest! {
    #[test]
    fn whatever_record_we_write_we_read_back(
        id in any::<[u8; 16]>(),
        qos in 0_i64..3,
        (retain, dup) in any::<(bool, bool)>(),
        (from, topic) in (text(), text()),
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        timestamp_ms in any::<i64>(),
        username in proptest::option::of(text()),
        version in 3_u8..=5,
        (expiry, format) in any::<(Option<u32>, Option<bool>)>(),
        correlation in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        pairs in proptest::collection::vec((text(), text()), 0..5),
        content_type in proptest::option::of(text()),
    ) {
        let record = MessageRecord {
            id,
            qos: Qos::from_int(qos).unwrap(),
            from: Sender::Client(from),
            retain,
            dup,
            topic,
            payload: payload.into(),
            timestamp_ms,
            publisher: Publisher {
                username,
                protocol_version: Some(version),
                ..record().publisher
            },
            properties: MessageProperties {
                payload_format_indicator: format.map(u8::from),
                message_expiry_interval_s: expiry,
                response_topic: content_type.clone(),
                content_type,
                correlation_data: correlation.map(Bytes::from),
                user_properties: pairs,
            },
        };
        for payload in [record.encode(true), record.encode_compressed(true)] {
            let received = MessageRecord::decode(payload, LIMITS).unwrap();
            prop_assert_eq!(&received.message, &record);
        }
    }

    #[test]
    fn whatever_batch_we_write_we_read_back(
        entries in proptest::collection::vec((any::<bool>(), text(), text()), 0..40),
        incarnation in 0..i64::MAX as u64,
    ) {
        let op = |(add, filter, id): &(bool, String, String)| {
            if *add { RouteOp::add(filter, id) } else { RouteOp::delete(filter, id) }
        };
        let ops = entries.iter().map(op).collect();
        let batch = ControlOp::Route(RouteBatch { actor: "n1@h".into(), incarnation, ops });
        let received = ControlOp::decode(batch.encode(), LIMITS).unwrap();
        prop_assert_eq!(received.message, batch);
    }
}
