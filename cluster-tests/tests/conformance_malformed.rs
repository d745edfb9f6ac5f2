//! Packets that break the rules (SECURITY-REQUIREMENTS L3): each ends its connection, a 5.0 client is
//! told why with the right code, a 3.1.1 client is just closed, and the node serves the next one.

use std::sync::LazyLock;
use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet, Version, binary, connect_v5, frame};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const CLOSE: Duration = Duration::from_secs(10);
const MALFORMED: u8 = 0x81;
const PROTOCOL: u8 = 0x82;
const TOPIC: u8 = 0x90;
const ALIAS: u8 = 0x94;
const TOO_LARGE: u8 = 0x95;

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let flags = vec!["--dev".to_owned()];
    let options = NodeOptions { flags, ..NodeOptions::default() };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "malformed", options, &[])
});

fn node() -> Lease {
    NODE.lease()
}

/// What is wrong, the packet, and the codes that name it rightly: where the specification lets a
/// server choose between two, both stand here.
type Case = (&'static str, Vec<u8>, &'static [u8]);

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, first, body);
    out
}

/// Sends each case on a connection of its own that is open already.
fn refused_after_connect(version: Version, cases: &[Case]) -> anyhow::Result<()> {
    let node = node();
    for (number, (what, bytes, codes)) in cases.iter().enumerate() {
        let id = format!("bad-{version:?}-{:x}-{number}", bytes.first().unwrap_or(&0));
        let connect = Connect { version, ..Connect::new(&id) };
        let (mut client, _) = Client::connect(node.mqtt_port(), &connect)?;
        client.send(bytes)?;
        let came = client.expect_close(CLOSE).map_err(|error| error.context(*what))?;
        match (version, came.as_slice()) {
            (Version::V311, []) => {}
            (Version::V5, [Packet::Disconnect { code, .. }]) if codes.contains(code) => {}
            _ => anyhow::bail!("{version:?}, {what}: {came:02x?}, expected {codes:02x?}"),
        }
    }
    still_serving(&node)
}

/// Sends each case as the first packet.
fn refused_as_connect(version: Version, cases: &[Case]) -> anyhow::Result<()> {
    let node = node();
    for (what, bytes, codes) in cases {
        let mut client = Client::open(node.mqtt_port(), version)?;
        client.send(bytes)?;
        let came = client.expect_close(CLOSE).map_err(|error| error.context(*what))?;
        match (version, came.as_slice()) {
            (Version::V311, []) => {}
            // What does not begin as a CONNECT does gets no CONNACK.
            (Version::V5, []) if codes.is_empty() => {}
            (Version::V5, [Packet::ConnAck { session_present: false, code, .. }])
                if codes.contains(code) => {}
            _ => anyhow::bail!("{version:?}, {what}: {came:02x?}, expected {codes:02x?}"),
        }
    }
    still_serving(&node)
}

fn still_serving(node: &Lease) -> anyhow::Result<()> {
    let (mut next, _) = Client::connect(node.mqtt_port(), &Connect::new(""))?;
    next.expect_silence()
}

/// A CONNECT of 3.1.1 with these flags and payload.
fn connect_v311(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.extend([flags, 0, 0]);
    body.extend_from_slice(payload);
    packet(0x10, &body)
}

const ID: &[u8] = b"\x00\x01c";

fn with_id(rest: &[u8]) -> Vec<u8> {
    [ID, rest].concat()
}

// [MQTT-3.1.4-1] [MQTT-3.1.2-3] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-3]
// [MQTT-3.1.3-4] [MQTT-3.1.3-8] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
// [MQTT-1.5.7-1] [MQTT-2.1.3-1] [MQTT-2.2.2-1] [MQTT-4.13.1-1] [MQTT-3.14.0-1] [MQTT-3.2.2-7]
#[test]
fn malformed_connects_of_5_0_get_a_connack_with_the_code() -> anyhow::Result<()> {
    let connect = connect_v5;
    let cases: Vec<Case> = vec![
        ("reserved flag", connect(0x03, b"", ID), &[MALFORMED]),
        ("flags of the fixed header", packet(0x12, &connect(2, b"", ID)[2..]), &[]),
        ("will QoS 3", connect(0x1e, b"", &with_id(b"\x00\x00\x01w\x00\x00")), &[MALFORMED]),
        ("will QoS without will", connect(0x0a, b"", ID), &[MALFORMED]),
        ("will retain without will", connect(0x22, b"", ID), &[MALFORMED]),
        ("will without its fields", connect(0x06, b"", ID), &[MALFORMED]),
        ("will without payload", connect(0x06, b"", &with_id(b"\x00\x00\x01w")), &[MALFORMED]),
        (
            "will fields without flag",
            connect(2, b"", &with_id(b"\x00\x00\x01w\x00\x00")),
            &[MALFORMED],
        ),
        (
            "will topic with wildcard",
            connect(0x06, b"", &with_id(b"\x00\x00\x01#\x00\x00")),
            &[MALFORMED, TOPIC],
        ),
        (
            "empty will topic",
            connect(0x06, b"", &with_id(b"\x00\x00\x00\x00\x00")),
            &[MALFORMED, PROTOCOL, TOPIC],
        ),
        (
            "will topic not UTF-8",
            connect(0x06, b"", &with_id(b"\x00\x00\x01\xff\x00\x00")),
            &[MALFORMED],
        ),
        (
            "will with a property of others",
            connect(0x06, b"", &with_id(b"\x05\x11\0\0\0\x05\x00\x01w\x00\x00")),
            &[MALFORMED, PROTOCOL],
        ),
        ("user name without flag", connect(2, b"", &with_id(b"\x00\x01u")), &[MALFORMED]),
        ("user name flag without user name", connect(0x82, b"", ID), &[MALFORMED]),
        ("password flag without password", connect(0x42, b"", ID), &[MALFORMED]),
        (
            "password without flag",
            connect(0x82, b"", &with_id(b"\x00\x01u\x00\x01p")),
            &[MALFORMED],
        ),
        ("user name not UTF-8", connect(0x82, b"", &with_id(b"\x00\x02\xc3\x28")), &[MALFORMED]),
        ("user name with U+0000", connect(0x82, b"", &with_id(b"\x00\x01\x00")), &[MALFORMED]),
        ("no client id", connect(2, b"", b""), &[MALFORMED]),
        ("client id longer than the packet", connect(2, b"", b"\x00\x05c"), &[MALFORMED]),
        ("client id not UTF-8", connect(2, b"", b"\x00\x01\x80"), &[MALFORMED, 0x85]),
        (
            "client id with a surrogate",
            connect(2, b"", b"\x00\x03\xed\xa0\x80"),
            &[MALFORMED, 0x85],
        ),
        ("client id with U+0000", connect(2, b"", b"\x00\x02a\x00"), &[MALFORMED, 0x85]),
        ("an overlong encoding", connect(2, b"", b"\x00\x02\xc0\xaf"), &[MALFORMED, 0x85]),
        ("bytes after the payload", connect(2, b"", &with_id(b"x")), &[MALFORMED]),
        ("unknown property", connect(2, b"\x7e\x00", ID), &[MALFORMED, PROTOCOL]),
        ("property of a PUBLISH", connect(2, b"\x01\x00", ID), &[MALFORMED, PROTOCOL]),
        ("truncated property", connect(2, b"\x11\x00", ID), &[MALFORMED]),
        ("repeated property", connect(2, b"\x21\0\x05\x21\0\x05", ID), &[PROTOCOL]),
        ("receive maximum 0", connect(2, b"\x21\0\0", ID), &[PROTOCOL]),
        ("maximum packet size 0", connect(2, b"\x27\0\0\0\0", ID), &[PROTOCOL]),
        ("request problem information 2", connect(2, b"\x17\x02", ID), &[PROTOCOL]),
        ("request response information 7", connect(2, b"\x19\x07", ID), &[PROTOCOL]),
        ("authentication data without method", connect(2, b"\x16\0\x01x", ID), &[PROTOCOL]),
        (
            "user property whose value is not UTF-8",
            connect(2, b"\x26\0\x01k\0\x01\xff", ID),
            &[MALFORMED],
        ),
        ("no property length", packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00"), &[MALFORMED]),
        (
            "property length beyond the packet",
            packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x7f\x00\x01c"),
            &[MALFORMED],
        ),
    ];
    refused_as_connect(Version::V5, &cases)
}

// [MQTT311-3.1.4-1] [MQTT311-3.1.2-3] [MQTT311-3.1.2-9] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13]
// [MQTT311-3.1.2-14] [MQTT311-3.1.2-15] [MQTT311-3.1.2-18] [MQTT311-3.1.2-19] [MQTT311-3.1.2-20]
// [MQTT311-3.1.2-21] [MQTT311-3.1.2-22] [MQTT311-3.1.3-1] [MQTT311-3.1.3-3] [MQTT311-3.1.3-4]
// [MQTT311-3.1.3-10] [MQTT311-3.1.3-11] [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-2.2.2-1]
// [MQTT311-2.2.2-2] [MQTT311-3.2.2-6] [MQTT311-4.8.0-1]
#[test]
fn malformed_connects_of_3_1_1_are_closed_without_connack() -> anyhow::Result<()> {
    let connect = connect_v311;
    let cases: Vec<Case> = vec![
        ("reserved flag", connect(0x03, ID), &[]),
        ("flags of the fixed header", packet(0x11, &connect(2, ID)[2..]), &[]),
        ("will QoS 3", connect(0x1e, &with_id(b"\x00\x01w\x00\x00")), &[]),
        ("will QoS without will", connect(0x12, ID), &[]),
        ("will retain without will", connect(0x22, ID), &[]),
        ("will without its fields", connect(0x06, ID), &[]),
        ("will fields without flag", connect(2, &with_id(b"\x00\x01w\x00\x00")), &[]),
        ("will topic not UTF-8", connect(0x06, &with_id(b"\x00\x01\xff\x00\x00")), &[]),
        ("will topic with wildcard", connect(0x06, &with_id(b"\x00\x01+\x00\x00")), &[]),
        ("user name without flag", connect(2, &with_id(b"\x00\x01u")), &[]),
        ("user name flag without user name", connect(0x82, ID), &[]),
        ("password flag without password", connect(0xc2, &with_id(b"\x00\x01u")), &[]),
        ("password without user name", connect(0x42, &with_id(b"\x00\x01p")), &[]),
        ("password without flag", connect(0x82, &with_id(b"\x00\x01u\x00\x01p")), &[]),
        ("user name not UTF-8", connect(0x82, &with_id(b"\x00\x01\xfe")), &[]),
        ("no client id", connect(2, b""), &[]),
        ("client id not UTF-8", connect(2, b"\x00\x01\xff"), &[]),
        ("client id with U+0000", connect(2, b"\x00\x02a\x00"), &[]),
        ("client id with a surrogate", connect(2, b"\x00\x03\xed\xbf\xbf"), &[]),
        ("cut off in the header", packet(0x10, b"\x00\x04MQTT\x04"), &[]),
    ];
    refused_as_connect(Version::V311, &cases)
}

/// Wrong in both versions, whatever the properties are.
fn headers() -> Vec<Case> {
    vec![
        ("packet type 0", packet(0x00, b""), &[MALFORMED]),
        ("a CONNACK from a client", packet(0x20, b"\x00\x00"), &[MALFORMED, PROTOCOL]),
        ("a SUBACK from a client", packet(0x90, b"\x00\x01\x00"), &[MALFORMED, PROTOCOL]),
        ("an UNSUBACK from a client", packet(0xb0, b"\x00\x01"), &[MALFORMED, PROTOCOL]),
        ("a PINGRESP from a client", packet(0xd0, b""), &[MALFORMED, PROTOCOL]),
        ("a length of five bytes", vec![0xc0, 0x80, 0x80, 0x80, 0x80, 0x01], &[MALFORMED]),
        ("a length that never ends", vec![0xc0, 0xff, 0xff, 0xff, 0xff], &[MALFORMED]),
        ("PINGREQ with a body", packet(0xc0, b"x"), &[MALFORMED]),
        ("PINGREQ with flags", packet(0xc1, b""), &[MALFORMED]),
        ("PUBACK with flags", packet(0x42, b"\x00\x01"), &[MALFORMED]),
        ("PUBREC with flags", packet(0x58, b"\x00\x01"), &[MALFORMED]),
        ("PUBREL with flags 0", packet(0x60, b"\x00\x01"), &[MALFORMED]),
        ("PUBREL with flags 3", packet(0x63, b"\x00\x01"), &[MALFORMED]),
        ("PUBCOMP with flags", packet(0x71, b"\x00\x01"), &[MALFORMED]),
        ("SUBSCRIBE with flags 0", packet(0x80, b"\x00\x01\x00\x00\x01t\x00"), &[MALFORMED]),
        ("SUBSCRIBE with flags 3", packet(0x83, b"\x00\x01\x00\x00\x01t\x00"), &[MALFORMED]),
        ("UNSUBSCRIBE with flags 0", packet(0xa0, b"\x00\x01\x00\x00\x01t"), &[MALFORMED]),
        ("UNSUBSCRIBE with flags 6", packet(0xa6, b"\x00\x01\x00\x00\x01t"), &[MALFORMED]),
        ("DISCONNECT with flags", packet(0xe1, b""), &[MALFORMED]),
        ("AUTH with flags", packet(0xf2, b""), &[MALFORMED]),
        ("PUBACK without id", packet(0x40, b""), &[MALFORMED]),
        ("PUBREL cut in its id", packet(0x62, b"\x00"), &[MALFORMED]),
        ("PUBACK with id 0", packet(0x40, b"\x00\x00"), &[MALFORMED, PROTOCOL]),
        ("an empty PUBLISH", packet(0x30, b""), &[MALFORMED]),
        ("a packet over the limit", vec![0x30, 0xff, 0xff, 0xff, 0x7f], &[TOO_LARGE]),
    ]
}

// [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
// [MQTT-1.5.5-1] [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.2-1] [MQTT-3.14.4-2]
#[test]
fn bad_headers_of_5_0_are_answered_by_disconnect() -> anyhow::Result<()> {
    let mut cases = headers();
    cases.extend([
        ("a length that is too long a form", vec![0xc0, 0x80, 0x00], &[MALFORMED] as &[u8]),
        ("AUTH without a method in CONNECT", packet(0xf0, b""), &[PROTOCOL]),
        ("AUTH to continue", packet(0xf0, b"\x18\x00"), &[PROTOCOL]),
        ("AUTH cut off", packet(0xf0, b"\x18\x05\x15"), &[MALFORMED, PROTOCOL]),
        ("PUBACK with an unknown code", packet(0x40, b"\x00\x01\x42"), &[MALFORMED, PROTOCOL]),
        ("PUBREL with a code of PUBACK", packet(0x62, b"\x00\x01\x10"), &[MALFORMED, PROTOCOL]),
        ("PUBACK with half a property", packet(0x40, b"\x00\x01\x00\x03\x1f\x00"), &[MALFORMED]),
        (
            "PUBACK with an alias",
            packet(0x40, b"\x00\x01\x00\x03\x23\x00\x01"),
            &[MALFORMED, PROTOCOL],
        ),
        ("DISCONNECT with a server's code", packet(0xe0, b"\x8e"), &[MALFORMED, PROTOCOL]),
        ("DISCONNECT with an unknown code", packet(0xe0, b"\x01"), &[MALFORMED, PROTOCOL]),
        (
            "DISCONNECT that asks for a session that CONNECT had ended",
            packet(0xe0, b"\x00\x05\x11\x00\x00\x00\x3c"),
            &[PROTOCOL],
        ),
        ("DISCONNECT cut off", packet(0xe0, b"\x00\x05\x11\x00"), &[MALFORMED]),
    ]);
    refused_after_connect(Version::V5, &cases)
}

// [MQTT311-2.2.2-1] [MQTT311-2.2.2-2] [MQTT311-3.6.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1]
// [MQTT311-3.14.1-1] [MQTT311-4.8.0-1]
#[test]
fn bad_headers_of_3_1_1_close() -> anyhow::Result<()> {
    let mut cases = headers();
    cases.extend([
        ("packet type 15", packet(0xf0, b""), &[] as &[u8]),
        ("DISCONNECT with a body", packet(0xe0, b"\x00"), &[]),
        ("PUBACK with a code", packet(0x40, b"\x00\x01\x00"), &[]),
    ]);
    refused_after_connect(Version::V311, &cases)
}

// [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT-2.2.1-2] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-3.3.2-8]
// [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] [MQTT-3.3.4-6] [MQTT-4.7.0-1] [MQTT-4.7.3-1]
// [MQTT-4.7.3-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-4.13.1-1]
#[test]
fn malformed_publishes_of_5_0_are_answered_by_disconnect() -> anyhow::Result<()> {
    let publish = |first: u8, body: &[u8]| packet(first, body);
    let cases: Vec<Case> = vec![
        ("QoS 3", publish(0x36, b"\x00\x01t\x00\x01\x00"), &[MALFORMED]),
        ("DUP at QoS 0", publish(0x38, b"\x00\x01t\x00"), &[MALFORMED, PROTOCOL]),
        ("topic longer than the packet", publish(0x30, b"\x00\x10t\x00"), &[MALFORMED]),
        ("topic cut in its length", publish(0x30, b"\x00"), &[MALFORMED]),
        ("empty topic without alias", publish(0x30, b"\x00\x00\x00"), &[PROTOCOL, TOPIC]),
        ("topic +", publish(0x30, b"\x00\x01+\x00"), &[TOPIC, MALFORMED]),
        ("topic a/#", publish(0x30, b"\x00\x03a/#\x00"), &[TOPIC, MALFORMED]),
        ("topic a/+b", publish(0x32, b"\x00\x04a/+b\x00\x01\x00"), &[TOPIC, MALFORMED]),
        ("topic with U+0000", publish(0x30, b"\x00\x02t\x00\x00"), &[MALFORMED]),
        ("topic not UTF-8", publish(0x30, b"\x00\x02\xc3\x28\x00"), &[MALFORMED]),
        ("topic with a surrogate", publish(0x30, b"\x00\x03\xed\xa0\x80\x00"), &[MALFORMED]),
        ("packet id 0", publish(0x32, b"\x00\x01t\x00\x00\x00"), &[MALFORMED, PROTOCOL]),
        ("no packet id", publish(0x32, b"\x00\x01t"), &[MALFORMED]),
        ("no property length", publish(0x30, b"\x00\x01t"), &[MALFORMED]),
        ("property length beyond the packet", publish(0x30, b"\x00\x01t\x09\x01"), &[MALFORMED]),
        (
            "property length of five bytes",
            publish(0x30, b"\x00\x01t\x80\x80\x80\x80\x01"),
            &[MALFORMED],
        ),
        ("unknown property", publish(0x30, b"\x00\x01t\x02\x7f\x00"), &[MALFORMED, PROTOCOL]),
        (
            "property of CONNECT",
            publish(0x30, b"\x00\x01t\x03\x21\x00\x05"),
            &[MALFORMED, PROTOCOL],
        ),
        ("subscription identifier", publish(0x30, b"\x00\x01t\x02\x0b\x01"), &[PROTOCOL]),
        ("alias 0", publish(0x30, b"\x00\x01t\x03\x23\x00\x00"), &[ALIAS, PROTOCOL]),
        ("alias above the maximum", publish(0x30, b"\x00\x01t\x03\x23\xff\xff"), &[ALIAS]),
        ("alias never set", publish(0x30, b"\x00\x00\x03\x23\x00\x05"), &[PROTOCOL, ALIAS]),
        ("two aliases", publish(0x30, b"\x00\x01t\x06\x23\0\x01\x23\0\x01"), &[PROTOCOL]),
        ("two content types", publish(0x30, b"\x00\x01t\x08\x03\0\x01a\x03\0\x01b"), &[PROTOCOL]),
        ("two expiries", publish(0x30, b"\x00\x01t\x0a\x02\0\0\0\x01\x02\0\0\0\x01"), &[PROTOCOL]),
        ("payload format 2", publish(0x30, b"\x00\x01t\x02\x01\x02"), &[MALFORMED, PROTOCOL]),
        (
            "response topic with wildcard",
            publish(0x30, b"\x00\x01t\x06\x08\0\x03a/#"),
            &[MALFORMED, PROTOCOL, TOPIC],
        ),
        ("response topic not UTF-8", publish(0x30, b"\x00\x01t\x04\x08\0\x01\xff"), &[MALFORMED]),
        ("content type not UTF-8", publish(0x30, b"\x00\x01t\x04\x03\0\x01\xff"), &[MALFORMED]),
        ("user property, half", publish(0x30, b"\x00\x01t\x04\x26\0\x01k"), &[MALFORMED]),
        (
            "user property key with U+0000",
            publish(0x30, b"\x00\x01t\x07\x26\0\x01\0\0\x01v"),
            &[MALFORMED],
        ),
    ];
    refused_after_connect(Version::V5, &cases)
}

// [MQTT311-3.3.1-4] [MQTT311-3.3.1-2] [MQTT311-2.3.1-1] [MQTT311-2.3.1-5] [MQTT311-3.3.2-1]
// [MQTT311-3.3.2-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2] [MQTT311-1.5.3-1]
// [MQTT311-1.5.3-2] [MQTT311-4.8.0-1]
#[test]
fn malformed_publishes_of_3_1_1_close() -> anyhow::Result<()> {
    let publish = |first: u8, body: &[u8]| packet(first, body);
    let cases: Vec<Case> = vec![
        ("QoS 3", publish(0x36, b"\x00\x01t\x00\x01"), &[]),
        ("DUP at QoS 0", publish(0x38, b"\x00\x01t"), &[]),
        ("topic longer than the packet", publish(0x30, b"\x00\x10t"), &[]),
        ("empty topic", publish(0x30, b"\x00\x00"), &[]),
        ("topic with wildcard", publish(0x30, b"\x00\x03a/+"), &[]),
        ("topic with U+0000", publish(0x30, b"\x00\x02t\x00"), &[]),
        ("topic not UTF-8", publish(0x30, b"\x00\x01\xff"), &[]),
        ("topic with a surrogate", publish(0x30, b"\x00\x03\xed\xa0\x80"), &[]),
        ("packet id 0", publish(0x32, b"\x00\x01t\x00\x00"), &[]),
        ("no packet id", publish(0x34, b"\x00\x01t"), &[]),
    ];
    refused_after_connect(Version::V311, &cases)
}

// [MQTT-3.8.3-1] [MQTT-3.8.3-2] [MQTT-3.8.3-4] [MQTT-3.8.3-5] [MQTT-3.10.3-1] [MQTT-3.10.3-2]
// [MQTT-4.7.3-2] [MQTT-1.5.4-1] [MQTT-1.5.4-2]
#[test]
fn malformed_subscribes_of_5_0_are_answered_by_disconnect() -> anyhow::Result<()> {
    let subscribe = |body: &[u8]| packet(0x82, body);
    let unsubscribe = |body: &[u8]| packet(0xa2, body);
    let options = |options: u8| {
        let mut body = vec![0, 1, 0];
        binary(&mut body, b"t");
        body.push(options);
        packet(0x82, &body)
    };
    let cases: Vec<Case> = vec![
        ("no filter", subscribe(b"\x00\x01\x00"), &[PROTOCOL, MALFORMED]),
        ("no id", subscribe(b""), &[MALFORMED]),
        ("id 0", subscribe(b"\x00\x00\x00\x00\x01t\x00"), &[MALFORMED, PROTOCOL]),
        ("filter without options", subscribe(b"\x00\x01\x00\x00\x01t"), &[MALFORMED]),
        ("filter longer than the packet", subscribe(b"\x00\x01\x00\x00\x09t\x00"), &[MALFORMED]),
        ("second filter cut off", subscribe(b"\x00\x01\x00\x00\x01t\x00\x00"), &[MALFORMED]),
        ("filter not UTF-8", subscribe(b"\x00\x01\x00\x00\x01\xff\x00"), &[MALFORMED]),
        ("filter with U+0000", subscribe(b"\x00\x01\x00\x00\x02t\x00\x00"), &[MALFORMED]),
        ("QoS 3", options(3), &[MALFORMED, PROTOCOL]),
        ("reserved bit 6", options(0x40), &[MALFORMED]),
        ("reserved bit 7", options(0x80), &[MALFORMED]),
        ("retain handling 3", options(0x30), &[PROTOCOL, MALFORMED]),
        (
            "no local on a shared subscription",
            subscribe(b"\x00\x01\x00\x00\x0a$share/g/t\x04"),
            &[PROTOCOL],
        ),
        ("identifier 0", subscribe(b"\x00\x01\x02\x0b\x00\x00\x01t\x00"), &[PROTOCOL]),
        ("two identifiers", subscribe(b"\x00\x01\x04\x0b\x01\x0b\x02\x00\x01t\x00"), &[PROTOCOL]),
        (
            "identifier of five bytes",
            subscribe(b"\x00\x01\x06\x0b\x80\x80\x80\x80\x01\x00\x01t\x00"),
            &[MALFORMED],
        ),
        ("UNSUBSCRIBE without filter", unsubscribe(b"\x00\x01\x00"), &[PROTOCOL, MALFORMED]),
        ("UNSUBSCRIBE with id 0", unsubscribe(b"\x00\x00\x00\x00\x01t"), &[MALFORMED, PROTOCOL]),
        ("UNSUBSCRIBE cut off", unsubscribe(b"\x00\x01\x00\x00\x05t"), &[MALFORMED]),
        ("UNSUBSCRIBE not UTF-8", unsubscribe(b"\x00\x01\x00\x00\x01\xff"), &[MALFORMED]),
        (
            "UNSUBSCRIBE with a property of SUBSCRIBE",
            unsubscribe(b"\x00\x01\x02\x0b\x01\x00\x01t"),
            &[MALFORMED, PROTOCOL],
        ),
    ];
    refused_after_connect(Version::V5, &cases)
}

// [MQTT311-3.8.3-1] [MQTT311-3.8.3-3] [MQTT311-3.8.3-4] [MQTT311-3.10.3-1] [MQTT311-3.10.3-2]
// [MQTT311-2.3.1-1] [MQTT311-4.7.3-2] [MQTT311-1.5.3-1] [MQTT311-1.5.3-2]
#[test]
fn malformed_subscribes_of_3_1_1_close() -> anyhow::Result<()> {
    let subscribe = |body: &[u8]| packet(0x82, body);
    let unsubscribe = |body: &[u8]| packet(0xa2, body);
    let cases: Vec<Case> = vec![
        ("no filter", subscribe(b"\x00\x01"), &[]),
        ("id 0", subscribe(b"\x00\x00\x00\x01t\x00"), &[]),
        ("filter without QoS", subscribe(b"\x00\x01\x00\x01t"), &[]),
        ("QoS 3", subscribe(b"\x00\x01\x00\x01t\x03"), &[]),
        ("reserved bit 2", subscribe(b"\x00\x01\x00\x01t\x04"), &[]),
        ("reserved bit 7", subscribe(b"\x00\x01\x00\x01t\x80"), &[]),
        ("filter not UTF-8", subscribe(b"\x00\x01\x00\x01\xff\x00"), &[]),
        ("filter with U+0000", subscribe(b"\x00\x01\x00\x02t\x00\x00"), &[]),
        ("UNSUBSCRIBE without filter", unsubscribe(b"\x00\x01"), &[]),
        ("UNSUBSCRIBE with id 0", unsubscribe(b"\x00\x00\x00\x01t"), &[]),
        ("UNSUBSCRIBE not UTF-8", unsubscribe(b"\x00\x01\x00\x01\xff"), &[]),
        ("UNSUBSCRIBE cut off", unsubscribe(b"\x00\x01\x00\x07t"), &[]),
    ];
    refused_after_connect(Version::V311, &cases)
}

// [MQTT-4.13.1-1] [MQTT311-4.8.0-1]
#[test]
fn one_bad_client_disturbs_no_other() -> anyhow::Result<()> {
    let node = node();
    let mut good = Client::simple(node.mqtt_port(), "good")?;
    good.subscribe("good/t", 1)?;
    for number in 0..20u8 {
        let mut bad = Client::simple(node.mqtt_port(), "bad-neighbour")?;
        bad.send(&[0x36, 3, 0, 1, number])?;
        bad.expect_close(CLOSE)?;
        good.publish("good/t", &[number], 1)?;
        assert_eq!(good.payload()?, [number]);
    }
    good.expect_silence()
}
