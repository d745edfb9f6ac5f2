//! SECURITY-REQUIREMENTS L3: every malformed packet ends its connection with the right code, and
//! nothing else of the broker notices.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::TestBroker;
use support::client::{Client, put, put_varint};

const MALFORMED: u8 = 0x81;
const PROTOCOL: u8 = 0x82;
const TOPIC_NAME: u8 = 0x90;
const ALIAS: u8 = 0x94;

/// What is wrong, the packet, and the code of the DISCONNECT in 5.0.
type Row = (&'static str, Vec<u8>, u8);

fn raw(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Bad in both versions.
fn rows_of_both() -> Vec<Row> {
    vec![
        ("reserved type 0", raw(&[0x00, 0]), MALFORMED),
        ("a length of five bytes", raw(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01]), MALFORMED),
        ("a length with a needless byte", raw(&[0xc0, 0x80, 0x00]), MALFORMED),
        ("CONNACK from a client", raw(&[0x20, 2, 0, 0]), PROTOCOL),
        ("SUBACK from a client", raw(&[0x90, 3, 0, 1, 0]), PROTOCOL),
        ("UNSUBACK from a client", raw(&[0xb0, 2, 0, 1]), PROTOCOL),
        ("PINGRESP from a client", raw(&[0xd0, 0]), PROTOCOL),
        ("PINGREQ with flags", raw(&[0xc1, 0]), MALFORMED),
        ("PINGREQ with a body", raw(&[0xc0, 1, 0]), MALFORMED),
        ("PUBACK with flags", raw(&[0x41, 2, 0, 1]), MALFORMED),
        ("PUBACK without an id", raw(&[0x40, 0]), MALFORMED),
        ("PUBACK with half an id", raw(&[0x40, 1, 0]), MALFORMED),
        ("PUBACK with id 0", raw(&[0x40, 2, 0, 0]), PROTOCOL),
        ("PUBREC with flags", raw(&[0x52, 2, 0, 1]), MALFORMED),
        ("PUBREL without flags", raw(&[0x60, 2, 0, 1]), MALFORMED),
        ("PUBREL with id 0", raw(&[0x62, 2, 0, 0]), PROTOCOL),
        ("PUBCOMP with flags", raw(&[0x72, 2, 0, 1]), MALFORMED),
        ("SUBSCRIBE without flags", raw(&[0x80, 2, 0, 1]), MALFORMED),
        ("SUBSCRIBE without a body", raw(&[0x82, 0]), MALFORMED),
        ("UNSUBSCRIBE without flags", raw(&[0xa0, 2, 0, 1]), MALFORMED),
        ("UNSUBSCRIBE without a body", raw(&[0xa2, 0]), MALFORMED),
        ("DISCONNECT with flags", raw(&[0xe1, 0]), MALFORMED),
        ("PUBLISH with QoS 3", raw(b"\x36\x06\x00\x01a\x00\x01\x00"), MALFORMED),
        ("PUBLISH with DUP and QoS 0", raw(b"\x38\x04\x00\x01a\x00"), MALFORMED),
        ("PUBLISH without a topic", raw(&[0x30, 0]), MALFORMED),
        ("PUBLISH with half a topic length", raw(&[0x30, 1, 0]), MALFORMED),
        ("PUBLISH with a topic beyond its end", raw(b"\x30\x04\x00\x63ab"), MALFORMED),
        ("PUBLISH with an empty topic", raw(b"\x30\x03\x00\x00\x00"), TOPIC_NAME),
        ("PUBLISH with +", raw(b"\x30\x06\x00\x03a/+\x00"), TOPIC_NAME),
        ("PUBLISH with #", raw(b"\x30\x04\x00\x01#\x00"), TOPIC_NAME),
        ("PUBLISH with U+0000", raw(b"\x30\x06\x00\x03a\x00b\x00"), MALFORMED),
        ("PUBLISH with bad UTF-8", raw(b"\x30\x05\x00\x02\xc3\x28\x00"), MALFORMED),
        ("PUBLISH with a surrogate", raw(b"\x30\x06\x00\x03\xed\xa0\x80\x00"), MALFORMED),
        ("PUBLISH QoS 1 without an id", raw(b"\x32\x03\x00\x01a"), MALFORMED),
        ("PUBLISH QoS 1 with id 0", raw(b"\x32\x06\x00\x01a\x00\x00\x00"), PROTOCOL),
    ]
}

fn publish5(list: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x01a".to_vec();
    put_varint(list.len(), &mut body);
    body.extend(list);
    let mut bytes = vec![0x30];
    put_varint(body.len(), &mut bytes);
    bytes.extend(body);
    bytes
}

fn subscribe5(list: &[u8], filter: &[u8], options: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    put_varint(list.len(), &mut body);
    body.extend(list);
    put(filter, &mut body);
    body.push(options);
    let mut bytes = vec![0x82];
    put_varint(body.len(), &mut bytes);
    bytes.extend(body);
    bytes
}

fn rows_of_v5() -> Vec<Row> {
    vec![
        ("a property list beyond the end", raw(b"\x30\x05\x00\x01a\x09\x01"), MALFORMED),
        ("an unknown property", publish5(&[0x7f, 0]), MALFORMED),
        ("a property of another packet", publish5(&[0x21, 0, 1]), PROTOCOL),
        ("a repeated property", publish5(&[0x01, 0, 0x01, 0]), PROTOCOL),
        ("a truncated property", publish5(&[0x02, 0, 0]), MALFORMED),
        ("payload format 2", publish5(&[0x01, 2]), PROTOCOL),
        ("topic alias 0", publish5(&[0x23, 0, 0]), ALIAS),
        ("topic alias above the maximum", publish5(&[0x23, 0xff, 0xff]), ALIAS),
        ("a subscription id from a client", publish5(&[0x0b, 1]), PROTOCOL),
        ("a response topic with a wildcard", publish5(b"\x08\x00\x01#"), TOPIC_NAME),
        ("a user property with U+0000", publish5(b"\x26\x00\x01\x00\x00\x01v"), MALFORMED),
        ("an alias never set", raw(b"\x30\x06\x00\x00\x03\x23\x00\x05"), PROTOCOL),
        ("subscription options with QoS 3", subscribe5(&[], b"a", 3), MALFORMED),
        ("reserved subscription options", subscribe5(&[], b"a", 0x40), MALFORMED),
        ("retain handling 3", subscribe5(&[], b"a", 0x30), PROTOCOL),
        ("subscription id 0", subscribe5(&[0x0b, 0], b"a", 0), PROTOCOL),
        ("two subscription ids", subscribe5(&[0x0b, 1, 0x0b, 2], b"a", 0), PROTOCOL),
        ("no local on a shared one", subscribe5(&[], b"$share/g/a", 4), PROTOCOL),
        ("a filter with U+0000", subscribe5(&[], b"a\0", 0), MALFORMED),
        ("SUBSCRIBE without filters", raw(&[0x82, 3, 0, 1, 0]), PROTOCOL),
        ("SUBSCRIBE with id 0", raw(b"\x82\x07\x00\x00\x00\x00\x01a\x00"), PROTOCOL),
        ("UNSUBSCRIBE without filters", raw(&[0xa2, 3, 0, 1, 0]), PROTOCOL),
        ("PUBACK with an unknown code", raw(&[0x40, 3, 0, 1, 0x55]), MALFORMED),
        ("PUBREL with PUBACK's code", raw(&[0x62, 3, 0, 1, 0x97]), MALFORMED),
        ("PUBACK with trailing bytes", raw(&[0x40, 5, 0, 1, 0, 0, 9]), MALFORMED),
        ("DISCONNECT with a server's code", raw(&[0xe0, 1, 0x8e]), MALFORMED),
        ("DISCONNECT creating an expiry", raw(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9]), PROTOCOL),
        ("AUTH without a method", raw(&[0xf0, 2, 0x18, 0]), PROTOCOL),
        ("AUTH with flags", raw(&[0xf1, 0]), MALFORMED),
    ]
}

fn rows_of_v3() -> Vec<Row> {
    vec![
        ("AUTH in 3.1.1", raw(&[0xf0, 0]), 0),
        ("DISCONNECT with a body", raw(&[0xe0, 1, 0]), 0),
        ("PUBACK with a code", raw(&[0x40, 3, 0, 1, 0]), 0),
        ("SUBSCRIBE with QoS 3", raw(b"\x82\x06\x00\x01\x00\x01a\x03"), 0),
        ("SUBSCRIBE with 5.0 options", raw(b"\x82\x06\x00\x01\x00\x01a\x04"), 0),
        ("SUBSCRIBE without filters", raw(&[0x82, 2, 0, 1]), 0),
        ("SUBSCRIBE without options", raw(b"\x82\x05\x00\x01\x00\x01a"), 0),
        ("UNSUBSCRIBE without filters", raw(&[0xa2, 2, 0, 1]), 0),
    ]
}

#[test]
fn each_malformed_packet_of_5_0_ends_its_connection_with_its_code() {
    let broker = TestBroker::start();
    let mut bystander = Client::v5(broker.address(), "bystander");
    let rows: Vec<Row> = rows_of_both().into_iter().chain(rows_of_v5()).collect();
    assert!(rows.len() >= 60);
    for (what, bytes, code) in &rows {
        let mut client = Client::v5(broker.address(), "bad");
        client.send(bytes);
        assert_eq!(client.closed(), Some(*code), "{what}");
    }
    bystander.assert_silent();
    assert_eq!(broker.handle.metrics().closed_protocol.get(), rows.len() as u64);
    assert_eq!(broker.handle.metrics().closed_panic.get(), 0);
}

#[test]
fn each_malformed_packet_of_3_1_1_ends_its_connection_without_a_word() {
    let broker = TestBroker::start();
    for (what, bytes, _) in rows_of_both().into_iter().chain(rows_of_v3()) {
        let mut client = Client::v3(broker.address(), "bad");
        client.send(&bytes);
        assert_eq!(client.closed(), None, "{what}");
    }
    assert_eq!(broker.handle.metrics().closed_panic.get(), 0);
}

// [MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection() {
    let broker = TestBroker::start();
    let mut client = Client::v5(broker.address(), "c");
    client.packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c");
    assert_eq!(client.closed(), Some(PROTOCOL));
}

/// What is wrong, the bytes, and the beginning of CONNACK.
type BadConnect = (&'static str, Vec<u8>, Option<[u8; 2]>);

/// CONNECTs and what comes back: CONNACK's code, or nothing.
fn bad_connects() -> Vec<BadConnect> {
    let with = |body: &[u8]| {
        let mut bytes = vec![0x10];
        put_varint(body.len(), &mut bytes);
        bytes.extend(body);
        bytes
    };
    vec![
        // [MQTT-3.1.0-1]
        ("PINGREQ first", raw(&[0xc0, 0]), None),
        ("PUBLISH first", raw(b"\x30\x03\x00\x01a"), None),
        ("HTTP", raw(b"GET / HTTP/1.1\r\n\r\n"), None),
        ("CONNECT with flags", raw(&[0x11, 0]), None),
        ("another protocol", with(b"\x00\x04HTTP\x04\x02\x00\x3c\x00\x01c"), None),
        // [MQTT-3.1.2-2]
        ("MQTT 3.1", with(b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01c"), Some([0, 1])),
        ("level 3", with(b"\x00\x04MQTT\x03\x02\x00\x3c\x00\x01c"), Some([0, 1])),
        ("level 6", with(b"\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01c"), Some([0, 0x84])),
        // [MQTT-3.1.2-3]
        ("reserved flag, 3.1.1", with(b"\x00\x04MQTT\x04\x03\x00\x3c\x00\x01c"), None),
        ("reserved flag, 5.0", with(b"\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01c"), Some([0, 0x81])),
        // [MQTT-3.1.3-8]
        ("no id, not clean, 3.1.1", with(b"\x00\x04MQTT\x04\x00\x00\x3c\x00\x00"), Some([0, 2])),
        (
            "will QoS 3",
            with(b"\x00\x04MQTT\x05\x1e\x00\x3c\x00\x00\x01c\x00\x00\x01t\x00\x00"),
            Some([0, 0x81]),
        ),
        ("trailing bytes", with(b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01cX"), Some([0, 0x81])),
        (
            "receive maximum 0",
            with(b"\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x01c"),
            Some([0, 0x82]),
        ),
        (
            "a repeated property",
            with(b"\x00\x04MQTT\x05\x02\x00\x3c\x04\x19\x00\x19\x00\x00\x01c"),
            Some([0, 0x82]),
        ),
        (
            "auth data alone",
            with(b"\x00\x04MQTT\x05\x02\x00\x3c\x04\x16\x00\x01x\x00\x01c"),
            Some([0, 0x82]),
        ),
        // [MQTT-4.12.0-1]
        (
            "an auth method",
            with(b"\x00\x04MQTT\x05\x02\x00\x3c\x04\x15\x00\x01x\x00\x01c"),
            Some([0, 0x8c]),
        ),
        ("bad user", with(b"\x00\x04MQTT\x04\x82\x00\x3c\x00\x01c\x00\x06nobody"), Some([0, 4])),
        (
            "bad user, 5.0",
            with(b"\x00\x04MQTT\x05\x82\x00\x3c\x00\x00\x01c\x00\x06nobody"),
            Some([0, 0x86]),
        ),
    ]
}

#[test]
fn each_bad_connect_gets_the_answer_its_version_has() {
    let broker = TestBroker::start();
    for (what, bytes, answer) in bad_connects() {
        let mut client = Client::dial(broker.address(), true);
        client.send(&bytes);
        let got = match client.try_read() {
            Ok(Some(raw)) => {
                assert_eq!(raw.kind(), 2, "{what}: {raw:?}");
                assert_eq!(client.closed(), None);
                Some([raw.body[0], raw.body[1]])
            }
            Ok(None) | Err(_) => None,
        };
        assert_eq!(got, answer, "{what}");
    }
}

#[test]
fn packets_may_come_byte_by_byte_or_many_at_once() {
    let broker = TestBroker::start();
    let mut subscriber = Client::v5(broker.address(), "sub");
    subscriber.subscribe("t", 0);
    let mut client = Client::dial(broker.address(), false);
    for byte in b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c" {
        client.send(&[*byte]);
    }
    client.read_kind(2);
    let mut burst = Vec::new();
    for n in 0..100u8 {
        burst.extend([0x30, 4, 0, 1, b't', n]);
    }
    client.send(&burst);
    for n in 0..100u8 {
        assert_eq!(subscriber.read_publish().payload, [n]);
    }
}
