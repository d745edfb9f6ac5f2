//! Health, nodes, metrics, alarms.

use serde_json::{Value, json};
use spanmq_state::Command;
use spanmq_state::command::AlarmCommand;

use crate::client::Mqtt;
use crate::rig::{CLUSTER, Rig};

#[test]
fn health_cluster_and_nodes_answer() {
    let rig = Rig::with(2, |_| {});
    assert_eq!(rig.stranger().get("/livez").expect(200).text, "ok");
    assert_eq!(rig.stranger().get("/readyz").expect(200).text, "ok");
    let verbose = rig.stranger().get("/readyz?verbose").expect(200).json();
    assert_eq!((&verbose["ready"], &verbose["checks"]["quorum"]), (&json!(true), &json!("ok")));
    let http = rig.admin_of(1);
    let status = http.get("/status").expect(200).json();
    assert_eq!((&status["node"], &status["quorum"]), (&json!("n2@127.0.0.1"), &json!(true)));
    let cluster = http.get("/cluster").expect(200).json();
    assert_eq!((&cluster["name"], &cluster["self"]), (&json!(CLUSTER), &json!("n2@127.0.0.1")));
    assert_eq!(cluster["nodes"], json!(["n1@127.0.0.1", "n2@127.0.0.1"]));
    assert_eq!(cluster["leader"], "n1@127.0.0.1");
    let nodes = http.get("/nodes").expect(200).json();
    assert_eq!(
        (&nodes[1]["node_status"], &nodes[1]["role"]),
        (&json!("running"), &json!("follower"))
    );
    let one = http.get("/nodes/n1@127.0.0.1").expect(200).json();
    for field in ["node", "id", "role", "version", "term", "connections", "memory_used"] {
        assert!(one.get(field).is_some() && one[field] == nodes[0][field], "{field}: {one}");
    }
    assert!(one["uptime"].is_u64() && one["applied"].is_u64(), "{one}");
    http.get("/nodes/n9@127.0.0.1").refused(404, "NOT_FOUND");
    assert_eq!(http.get("/features").expect(200).json()["features"], json!(["cluster_link"]));
}

#[test]
fn membership_is_refused_with_what_the_cluster_says() {
    let rig = Rig::with(2, |_| {});
    let http = rig.admin();
    let token = http.post("/cluster/join_token", &json!({})).expect(200).json();
    assert_eq!(token["token"], "spanmq-join-x");
    assert_eq!(token["expires_at"], "1970-01-02T00:00:00.000Z", "a day is the default");
    let endless = http.post("/cluster/join_token", &json!({ "expires_in": 0 })).expect(200).json();
    assert_eq!(endless["expires_at"], "infinity");
    let long = http.post("/cluster/join_token", &json!({ "expires_in": u64::MAX }));
    let message = long.refused(400, "BAD_REQUEST").message();
    assert!(message.contains("expires_in"), "{message}");
    http.delete("/cluster/n9@127.0.0.1/force_leave").refused(404, "NOT_FOUND");
    let refused = http.delete("/cluster/n2@127.0.0.1/force_leave").refused(409, "CONFLICT");
    let message = refused.message();
    assert!(message.contains("fixture"), "{message}");
    let transfer = |body| http.post("/cluster/transfer_leader", &body);
    transfer(json!({})).refused(503, "SERVICE_UNAVAILABLE");
    transfer(json!({ "node": "n9@127.0.0.1" })).refused(404, "NOT_FOUND");
    rig.stranger().post("/cluster/join_token", &json!({})).expect(401);
}

#[test]
fn metrics_and_stats_are_per_node_or_summed() {
    let rig = Rig::with(2, |_| {});
    let _clients = [Mqtt::connect(rig.mqtt(0), "a", None), Mqtt::connect(rig.mqtt(1), "b", None)];
    let http = rig.admin();
    let stats = http.get("/stats").expect(200).json();
    let rows = stats.as_array().unwrap();
    assert!(rows.iter().all(|row| row["clients"] == 1 && row["cluster_sessions"] == 2), "{stats}");
    assert!(rows[0].get("bytes_received").is_none());
    let sum = http.get("/stats?aggregate=true").expect(200).json();
    assert_eq!((&sum[0]["clients"], &sum[0]["cluster_sessions"]), (&json!(2), &json!(2)));
    let metrics = http.get("/metrics?aggregate=true").expect(200).json();
    assert_eq!(metrics[0]["connects_accepted"], 2);
    assert!(metrics[0].get("clients").is_none() && metrics[0].get("node").is_none());
    assert_eq!(http.get("/metrics").expect(200).json()[1]["node"], "n2@127.0.0.1");
}

#[test]
fn prometheus_names_follow_the_practice_and_name_no_client() {
    let rig = Rig::start();
    let mut client = Mqtt::connect(rig.mqtt(0), "secret-client", Some("secret-user"));
    client.subscribe("secret/topic", 0);
    let link = json!({ "name": "eu", "server": "127.0.0.1:1", "topics": ["t"] });
    rig.admin().post("/cluster/links", &link).expect(201);
    let answer = rig.admin().get("/prometheus/stats").expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = &answer.text;
    let mut kinds = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.filter(|of| kinds.get(*of).is_some_and(|kind| kind == "histogram"));
            let known = kinds.contains_key(family.unwrap_or(name));
            assert!(name.starts_with("spanmq_") && known, "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(!text.contains("secret"), "{text}");
    for line in [
        "spanmq_clients 1",
        "spanmq_cluster_quorum 1",
        "spanmq_connects_total{result=\"accepted\"} 1",
        "spanmq_links 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
    }
    crate::rig::eventually("link metrics", || {
        let text = rig.admin().get("/prometheus/stats").text;
        text.contains("spanmq_cluster_link_status{link=\"eu\",state=")
            && text.contains(
                "spanmq_cluster_link_forward_dropped_total{link=\"eu\",reason=\"expired\"} 0",
            )
            && text.contains("spanmq_cluster_link_routes{link=\"eu\"} 0")
    });
}

#[test]
fn alarms_stand_end_and_are_forgotten_o3() {
    let rig = Rig::start();
    let alarm = |at_ms| {
        Command::Alarm(AlarmCommand::Activate {
            name: "cluster_link:eu".into(),
            node: 1,
            message: "down".into(),
            details: r#"{"reason":"resource_down"}"#.into(),
            at_ms,
        })
    };
    rig.replicated.apply(vec![alarm(1_000)]).unwrap();
    let standing = rig.admin().get("/alarms").expect(200).json();
    assert_eq!(standing[0]["node"], "n1@127.0.0.1");
    assert_eq!(standing[0]["details"]["reason"], "resource_down");
    assert_eq!(standing[0]["activate_at"], "1970-01-01T00:00:01.000Z");
    assert_eq!(standing[0]["deactivate_at"], "infinity");
    let end = |at_ms| AlarmCommand::Deactivate { name: "cluster_link:eu".into(), node: 1, at_ms };
    rig.replicated.apply(vec![Command::Alarm(end(3_000))]).unwrap();
    assert_eq!(rig.admin().get("/alarms").json(), json!([]));
    rig.replicated.apply(vec![alarm(4_000), Command::Alarm(end(5_000))]).unwrap();
    let ended = rig.admin().get("/alarms?activated=false").expect(200).json();
    let durations: Vec<&Value> = ended.as_array().unwrap().iter().map(|a| &a["duration"]).collect();
    assert_eq!(durations, [1_000, 2_000], "the newest first");
    rig.viewer().delete("/alarms").refused(403, "UNAUTHORIZED_ROLE");
    rig.admin().delete("/alarms").expect(204);
    assert_eq!(rig.admin().get("/alarms?activated=false").json(), json!([]));
}
