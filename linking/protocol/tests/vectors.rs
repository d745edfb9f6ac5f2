//! Payloads recorded from a real EMQX 5.10.3, and the vectors of LINK-SPEC 2.8: we read them all,
//! and what we write means the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use bytes::Bytes;
use serde_json::Value;
use spanmq_link_protocol::config::TopicList;
use spanmq_link_protocol::ids;
use spanmq_link_protocol::message::{ControlOp, InitResult, MessageRecord, Qos, RouteOp, Sender};
use spanmq_link_protocol::term::{DecodeLimits, compress_when_smaller};
use spanmq_link_protocol::topics::ControlTopic;
use support::{bytes_of, canonical, notation, publish_payload, recorded, spec_vectors};

const LIMITS: DecodeLimits = DecodeLimits { depth: 16, terms: 65_536, inflated_bytes: 1_114_112 };

/// Decodes a payload and checks that our encoding of it means the same.
fn check_payload(name: &str, topic_kind: &str, payload: &Bytes) {
    match topic_kind {
        "msg" => {
            let record = MessageRecord::decode(payload.clone(), LIMITS).unwrap();
            assert_eq!(record.trailing_bytes, 0, "{name}");
            let mut expected = record.clone();
            // A version must be sent; 5 stands for an unknown one.
            expected.message.publisher.protocol_version.get_or_insert(5);
            for again in [record.message.encode(true), record.message.encode_compressed(true)] {
                let decoded = MessageRecord::decode(again, LIMITS).unwrap();
                assert_eq!(decoded, expected, "{name}");
            }
            if !name.contains("minimal") {
                assert_eq!(canonical(&record.message.encode(true)), canonical(payload), "{name}");
            }
        }
        _ => {
            let op = ControlOp::decode(payload.clone(), LIMITS).unwrap();
            let again = op.message.encode();
            assert_eq!(ControlOp::decode(again.clone(), LIMITS).unwrap(), op, "{name}");
            let packed = compress_when_smaller(again.clone());
            assert_eq!(ControlOp::decode(packed, LIMITS).unwrap(), op, "{name}");
            let refused_58 = name.ends_with("58form");
            if !refused_58 {
                assert_eq!(canonical(&again), canonical(payload), "{name}");
            }
        }
    }
}

#[test]
fn every_encoder_vector_is_read_and_written_with_the_same_meaning() {
    let recorded = recorded();
    let vectors = recorded["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 27);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let payload = bytes_of(&vector["payload_hex"]);
        let topic = vector["mqtt_topic"].as_str().unwrap();
        let kind = topic.split('/').nth(2).unwrap();
        assert!(ControlTopic::parse(topic).is_some(), "{topic}");
        check_payload(name, kind, &payload);
        let text = vector["term"].as_str().unwrap();
        assert_eq!(notation(&payload), text, "{name}");
    }
}

#[test]
fn every_vector_of_the_specification_is_read_and_written_with_the_same_meaning() {
    let vectors = spec_vectors();
    assert_eq!(vectors.len(), 14);
    for (title, bytes) in &vectors {
        let payload = if title.contains("whole PUBLISH") {
            publish_payload(bytes)
        } else {
            Bytes::from(bytes.clone())
        };
        let is_message = title.starts_with("message") || title.contains("payload only: message");
        check_payload(title, if is_message { "msg" } else { "route" }, &payload);
    }
}

#[test]
fn every_captured_packet_holds_what_the_capture_says() {
    let recorded = recorded();
    let packets = recorded["wire_capture"].as_array().unwrap();
    assert_eq!(packets.len(), 37);
    let mut publishes = 0;
    for packet in packets {
        if let Some(client_id) = packet["clientid"].as_str() {
            assert!(is_ours(client_id), "{client_id}");
        }
        let Some(topic) = packet["topic"].as_str() else { continue };
        let raw = support::hex(packet["raw_mqtt_packet_hex"].as_str().unwrap());
        let payload = bytes_of(&packet["payload_hex"]);
        assert_eq!(publish_payload(&raw), payload);
        check_payload(topic, topic.split('/').nth(2).unwrap(), &payload);
        publishes += 1;
    }
    assert_eq!(publishes, 16);
}

/// Whether a captured client id is one that our functions build for the captured nodes.
fn is_ours(client_id: &str) -> bool {
    let nodes = ["a1@127.0.0.1", "b1@127.0.0.1"].map(ids::NodeHash::of);
    ["link.a", "link.b"].iter().zip(&nodes).any(|(base, node)| {
        client_id == ids::routesync(base, node)
            || (1..=2).any(|worker| client_id == ids::forwarder(base, node, worker))
    })
}

#[test]
fn every_answer_that_a_live_node_gave_to_a_probe_is_read() {
    let recorded = recorded();
    let probes = recorded["probes"].as_array().unwrap();
    assert_eq!(probes.len(), 48);
    let mut answers = 0;
    for probe in probes {
        let title = probe["probe"].as_str().unwrap();
        for line in probe["answers"].as_array().unwrap() {
            let line = line.as_str().unwrap().trim_start_matches("(pre) ");
            let Some((_, rest)) = line.split_once("$LINK/cluster/resp/") else { continue };
            let payload = Bytes::from(support::hex(rest.split_once("payload=").unwrap().1));
            check_payload(title, "resp", &payload);
            let op = ControlOp::decode(payload, LIMITS).unwrap().message;
            let ControlOp::ActorInitAck(ack) = op else { panic!("{title}: {op:?}") };
            assert_eq!(ack.actor, "n1@x");
            let refused = match &ack.result {
                InitResult::Accepted { .. } => None,
                InitResult::Refused { reason } => Some(reason.as_str()),
            };
            let expected = match title {
                "actor_init wrong target" => Some("bad_remote_cluster_link_name"),
                "actor_init unknown cluster" => Some("unknown_cluster"),
                "actor_init disabled link" => Some("cluster_link_disabled"),
                _ => None,
            };
            assert_eq!(refused, expected, "{title}");
            answers += 1;
        }
    }
    assert!(answers >= 15, "{answers}");
}

#[test]
fn a_mixed_batch_keeps_order_deletes_and_ids() {
    let payload = vector("route_batch_mixed");
    let ControlOp::Route(batch) = ControlOp::decode(payload, LIMITS).unwrap().message else {
        panic!("not a batch")
    };
    assert_eq!(batch.incarnation, 1_700_000_000_123);
    assert_eq!(
        batch.ops,
        [
            RouteOp::delete("t/1", "t/1"),
            RouteOp::add("sh/1", "$s/g1/sh/1"),
            RouteOp::delete("q/1", "$s/$queue/q/1"),
            RouteOp::add("p/#", "$p/client-7/p/#"),
            RouteOp::add("ps/#", "$sp/g2/client-7/ps/#"),
        ]
    );
}

#[test]
fn all_properties_of_a_forwarded_message_arrive() {
    let record = MessageRecord::decode(vector("fwd_props"), LIMITS).unwrap().message;
    assert_eq!(record.qos, Qos::AtLeastOnce);
    assert_eq!(record.from, Sender::Client("pub-a".into()));
    assert_eq!(record.topic, "t/p");
    assert_eq!(record.timestamp_ms, 1_700_000_000_456);
    assert_eq!(record.publisher.address, Some("127.0.0.1:46774".parse().unwrap()));
    assert_eq!(record.publisher.username, None);
    assert_eq!(record.publisher.protocol_version, Some(5));
    let properties = record.properties;
    assert_eq!(properties.payload_format_indicator, Some(0));
    assert_eq!(properties.message_expiry_interval_s, Some(60));
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.response_topic.as_deref(), Some("re/1"));
    assert_eq!(properties.correlation_data.as_deref(), Some(&[1, 2, 255][..]));
    let pairs = [("k1", "v1"), ("k1", "v2"), ("k2", "z")];
    assert_eq!(properties.user_properties, pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn a_hidden_address_goes_out_as_unspecified_and_reads_back_as_unknown() {
    let record = MessageRecord::decode(vector("fwd_v6peer"), LIMITS).unwrap().message;
    assert_eq!(record.publisher.address, Some("[::1]:46774".parse().unwrap()));
    let hidden = MessageRecord::decode(record.encode(false), LIMITS).unwrap().message;
    assert_eq!(hidden.publisher.address, None);
    assert_eq!(hidden.payload, record.payload);
}

#[test]
fn subscriptions_meet_a_links_topics_as_recorded() {
    for case in recorded()["link_topic_intersections"].as_array().unwrap() {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
        };
        // Some recorded lists hold covered filters, which we refuse; the union means the same.
        let given = texts(&case["link_topics"]);
        let topics = TopicList::new(&spanmq_topic::union(&given).effective).unwrap();
        let mut ours = topics.intersections(case["local_filter"].as_str().unwrap());
        let mut theirs = texts(&case["result"]);
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{case}");
    }
}

fn vector(name: &str) -> Bytes {
    let recorded = recorded();
    let all = recorded["vectors"].as_array().unwrap();
    bytes_of(&all.iter().find(|vector| vector["name"] == name).unwrap()["payload_hex"])
}
