//! Trying a link before it is stored, and counting anew (LINK-SPEC 4.4, R-7).

use cluster_tests::client::Client;
use cluster_tests::harness::Cluster;
use cluster_tests::harness::links::{
    Setup, adds_up, link_body, linked, metrics_become, routes_learnt, running,
};
use serde_json::{Value, json};

fn probe(from: &Cluster, body: &Value) -> anyhow::Result<Value> {
    from.nodes[0].rest().post("/cluster/links/test", body)?.expect(200)
}

fn steps(report: &Value) -> Vec<&str> {
    let steps = report["steps"].as_array().into_iter().flatten();
    steps.filter(|step| step["ok"] == true).filter_map(|step| step["step"].as_str()).collect()
}

// Issue, point 7
#[test]
fn a_trial_takes_every_step_stores_nothing_and_leaves_a_live_link_alone() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let report = probe(&a, &link_body("a", &b, &["g/#"]))?;
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(steps(&report), ["dns", "tcp", "connack", "suback", "handshake"]);
    assert!(report["connack"]["receive_maximum"].as_u64() >= Some(1), "{report:#}");
    // The live link under the same prefix did not notice.
    running(&a, "b")?;
    let events = a.nodes[0].rest().get("/cluster/links/link/b/events")?.expect(200)?.to_string();
    assert!(!events.contains("disconnected"), "{events}");
    let links = a.nodes[0].rest().get("/cluster/links")?.expect(200)?;
    assert_eq!(links.as_array().map(Vec::len), Some(1));
    Ok(())
}

// Issue, point 7; 8.1-9
#[test]
fn a_trial_that_fails_says_at_which_step_and_what_to_do() -> anyhow::Result<()> {
    let a = Setup::default().start("a", 1)?;
    let b = Setup::default().start("b", 1)?;
    let mut body = link_body("a", &b, &["g/#"]);
    let report = probe(&a, &body)?;
    assert_eq!(report["reason"], "unknown_cluster", "{report:#}");
    assert_eq!(report["reached"], "handshake");
    let message = report["message"].as_str().unwrap_or_default();
    assert!(message.contains("Create a link named \"a\""), "{message}");

    body["clientid"] = json!("not-in-the-acl-");
    let report = probe(&a, &body)?;
    assert_eq!(report["reason"], "resp_subscription_denied", "{report:#}");
    assert_eq!(steps(&report), ["dns", "tcp", "connack"]);

    body["server"] = json!("127.0.0.1:1");
    let report = probe(&a, &body)?;
    assert_eq!(report["reason"], "connection_refused", "{report:#}");
    assert_eq!(steps(&report), ["dns"]);

    body["server"] = json!(format!("127.0.0.1:{}", b.nodes[0].mqtt_port()));
    body["ssl"] = json!({"enable": true, "verify": "verify_none"});
    let report = probe(&a, &body)?;
    assert_eq!(report["reached"], "tls", "{report:#}");
    Ok(())
}

//
#[test]
fn a_reset_begins_all_counters_anew_and_the_sums_hold() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("g/#", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for number in 0..10u8 {
        publisher.publish("g/x", &[number], 1)?;
        assert_eq!(subscriber.payload()?, [number]);
    }
    metrics_become(&a.nodes[0], "b", |m| m["forwarding"]["success"] == 10 && adds_up(m))?;
    let path = "/cluster/links/link/b/metrics/reset";
    a.nodes[0].rest().put(path, &json!({}))?.expect(204)?;
    let zero = metrics_become(&a.nodes[0], "b", |m| m["forwarding"]["matched"] == 0)?;
    assert_eq!(zero["forwarding"]["success"], 0, "{zero:#}");
    assert_eq!(zero["routers"], 1, "routes are no counter");
    publisher.publish("g/x", b"after", 1)?;
    let after = metrics_become(&a.nodes[0], "b", |m| m["forwarding"]["success"] == 1)?;
    assert!(adds_up(&after), "{after:#}");
    Ok(())
}
