//! Publishing over REST, and retained messages.

use serde_json::json;

use crate::client::Mqtt;
use crate::rig::{Rig, eventually};

#[test]
fn a_message_reaches_its_subscribers_and_nobody_is_told_apart() {
    let rig = Rig::start();
    let mut client = Mqtt::connect(rig.mqtt(0), "c", None);
    client.subscribe("t/#", 0);
    let http = rig.admin();
    let answer = http.post("/publish", &json!({ "topic": "t/1", "payload": "hi" })).expect(200);
    assert_eq!(answer.json()["id"].as_str().unwrap().len(), 32);
    assert_eq!(client.receive(), ("t/1".into(), b"hi".to_vec()));
    let bytes = json!({ "topic": "t/2", "payload": "AP8=", "payload_encoding": "base64" });
    http.post("/publish", &bytes).expect(200);
    assert_eq!(client.receive(), ("t/2".into(), vec![0, 255]));
    let nobody = http.post("/publish", &json!({ "topic": "x", "payload": "hi" })).expect(202);
    assert_eq!(nobody.json()["reason_code"], 16);
    assert_eq!(nobody.json()["message"], "no_matching_subscribers");
}

#[test]
fn a_bulk_keeps_its_order_and_answers_one_by_one() {
    let rig = Rig::start();
    let mut client = Mqtt::connect(rig.mqtt(0), "c", None);
    client.subscribe("t/#", 0);
    let message = |topic: &str, n: u32| json!({ "topic": topic, "payload": n.to_string() });
    let bulk: Vec<_> = (0..20).map(|n| message("t/1", n)).collect();
    let answers = rig.admin().post("/publish/bulk", &json!(bulk)).expect(200).json();
    assert_eq!(answers.as_array().unwrap().len(), 20);
    for n in 0..20 {
        assert_eq!(client.receive().1, n.to_string().as_bytes());
    }
    let mixed = json!([message("t/1", 1), message("x", 2)]);
    let answers = rig.admin().post("/publish/bulk", &mixed).expect(200).json();
    assert_eq!((answers[0].get("reason_code"), &answers[1]["reason_code"]), (None, &json!(16)));
    rig.admin().post("/publish/bulk", &json!([message("x", 2)])).expect(202);
    rig.admin().post("/publish/bulk", &json!([])).expect(200);
    let bad = json!([message("t/1", 1), message("t/#", 2)]);
    let refusal = rig.admin().post("/publish/bulk", &bad).refused(400, "BAD_REQUEST");
    assert!(refusal.message().starts_with("[1].topic"), "{refusal:?}");
}

#[test]
fn bad_messages_are_refused_one_by_one() {
    let rig = Rig::start();
    let table = [
        (json!({ "payload": "x" }), "topic"),
        (json!({ "topic": "" }), "topic"),
        (json!({ "topic": "a/+" }), "topic"),
        (json!({ "topic": "$SYS/x" }), "topic"),
        (json!({ "topic": "$LINK/cluster/route/x" }), "topic"),
        (json!({ "topic": "t", "qos": 3 }), "qos"),
        (json!({ "topic": "t", "qos": "1" }), "qos"),
        (json!({ "topic": "t", "payload": "%", "payload_encoding": "base64" }), "payload"),
        (json!({ "topic": "t", "payload_encoding": "hex" }), "payload_encoding"),
        (json!({ "topic": "t", "extra": 1 }), "extra"),
        (json!({ "topic": "t", "properties": { "response_topic": "#" } }), "response_topic"),
        (json!({ "topic": "t", "properties": { "x": 1 } }), "properties"),
    ];
    for (body, field) in table {
        let refusal = rig.admin().post("/publish", &body).refused(400, "BAD_REQUEST");
        assert!(refusal.message().contains(field), "{body}: {refusal:?}");
    }
}

#[test]
fn retained_messages_are_listed_shown_and_forgotten() {
    let rig = Rig::start();
    let http = rig.admin();
    for topic in ["a/1", "a/2", "b"] {
        let properties = json!({ "message_expiry_interval": 1000 });
        let body = json!({
            "topic": topic, "payload": "hi", "qos": 1, "retain": true, "properties": properties,
        });
        http.post("/publish", &body).expect(202);
    }
    let count = || http.get("/retainer/messages").json()["data"].as_array().unwrap().len();
    eventually("three retained messages", || count() == 3);
    let found = http.get("/retainer/messages?topic=a/%2B").expect(200).json();
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    assert_eq!(found["data"][0].get("payload"), None);
    let one = http.get("/retainer/message/a%2F1").expect(200).json();
    assert_eq!((&one["topic"], &one["payload"]), (&json!("a/1"), &json!("aGk=")));
    assert_eq!((&one["qos"], &one["payload_bytes"]), (&json!(1), &json!(2)));
    assert_eq!(one["from_username"], "admin");
    assert!(one["expiry_at"].is_string() && one["publish_at"].is_string());
    http.delete("/retainer/message/a%2F1").expect(204);
    http.delete("/retainer/message/a%2F1").refused(404, "NOT_FOUND");
    http.get("/retainer/message/a%2F1").refused(404, "NOT_FOUND");
    assert_eq!(count(), 2);
}
