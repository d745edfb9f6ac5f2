//! What a link says about itself: after a write, when its buffer cannot be used, when nobody is bound
//! to the remote's name, and when a node is away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster_tests::client::{Client, Packet};
use cluster_tests::harness::eventually;
use cluster_tests::harness::links::{
    ACL, SETTLE, Setup, change_link, create_link, link_becomes, link_body, linked, metrics_become,
    routes_learnt, running,
};
use serde_json::{Value, json};

fn codes(link: &Value) -> Vec<&str> {
    let warnings = link["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    warnings.iter().filter_map(|warning| warning["code"].as_str()).collect()
}

// C-16
#[test]
fn a_write_answers_with_what_came_of_the_pool() -> anyhow::Result<()> {
    let setup = Setup::default();
    let (a, b) = (setup.start("a", 1)?, setup.start("b", 1)?);
    let rest = a.nodes[0].rest();
    let created = rest.post("/cluster/links?style=emqx", &link_body("a", &b, &["t"]))?;
    let created = created.expect(201)?;
    assert_eq!(created["status"], "connected", "{created:#}");
    // A port where nobody listens: the first attempt has failed when the answer comes.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let changed = change_link(&a, "b", &json!({ "server": closed.to_string() }))?;
    assert_eq!(changed["status"], "disconnected", "{changed:#}");
    assert_eq!(changed["reason"]["code"], "connection_refused", "{changed:#}");
    // A pool that connects for ever is waited for as long as `start_timeout` says.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let opts = json!({ "start_timeout": "300ms" });
    let fields = json!({ "server": silent.local_addr()?.to_string(), "resource_opts": opts });
    let changed = change_link(&a, "b", &fields)?;
    assert_eq!(changed["status"], "connecting", "{changed:#}");
    let disabled = change_link(&a, "b", &json!({ "enable": false }))?;
    assert_eq!(disabled["reason"]["code"], "disabled", "{disabled:#}");
    Ok(())
}

#[test]
fn a_buffer_that_cannot_be_opened_is_named_and_heals_without_a_restart() -> anyhow::Result<()> {
    let setup = Setup::default();
    let (a, b) = (setup.start("a", 1)?, setup.start("b", 1)?);
    let folder = a.nodes[0].data_dir().join("links/b");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("buffer"), "in the way")?;
    let created = create_link(&a, &link_body("a", &b, &["t"]))?;
    assert_eq!(created["reason"]["code"], "buffer_unusable", "{created:#}");
    let message = created["reason"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("links/b/buffer"), "{message}");
    create_link(&b, &link_body("b", &a, &["t"]))?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("t", 1)?;
    routes_learnt(&a.nodes[0], "b", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("t", b"lost?", 1)?, 0x97);
    eventually(SETTLE, || {
        let alarms = a.nodes[0].rest().get("/alarms")?.expect(200)?;
        anyhow::ensure!(alarms.to_string().contains("cluster_link:b"), "{alarms:#}");
        Ok(())
    })?;
    std::fs::remove_file(folder.join("buffer"))?;
    running(&a, "b")?;
    assert_eq!(publisher.publish("t", b"kept", 1)?, 0);
    assert_eq!(subscriber.payload()?, b"kept");
    // O-1: the message is in the histogram once it is acknowledged.
    eventually(SETTLE, || {
        let text = a.nodes[0].rest().get("/prometheus/stats")?.text;
        let name = "spanmq_cluster_link_forward_latency_seconds";
        for line in [
            format!("{name}_bucket{{link=\"b\",le=\"+Inf\"}} 1"),
            format!("{name}_count{{link=\"b\"}} 1"),
        ] {
            anyhow::ensure!(text.contains(&line), "no {line}");
        }
        Ok(())
    })
}

// LINK-SPEC 0.1 "Identity", A-7
#[test]
fn a_remote_that_no_rule_binds_is_warned_of_with_the_rule_to_paste() -> anyhow::Result<()> {
    let (a, _b) = linked(&Setup::default(), 1, 1, &["t"])?;
    let link = link_becomes(&a, "b", |link| codes(link).contains(&"peer_not_bound"))?;
    let warning = &link["warnings"][0];
    let advice = warning["advice"].as_str().unwrap_or_default();
    let rule = advice.find('{').map(|at| &advice[at..]).unwrap_or_default();
    let rule: Value = serde_json::from_str(rule)?;
    // Pasted as it is, it admits the remote as it comes.
    change_link(&a, "b", &rule)?;
    link_becomes(&a, "b", |link| codes(link).is_empty() && link["status"] == "running")?;
    Ok(())
}

// 8.1-14
#[test]
fn with_a_node_down_the_status_is_inconsistent_and_the_metrics_are_answered() -> anyhow::Result<()>
{
    let (mut a, _b) = linked(&Setup::default(), 3, 1, &["t"])?;
    a.nodes[2].kill();
    let gone = a.nodes[2].options.name.clone();
    let link = link_becomes(&a, "b", |link| link["status"] == "inconsistent")?;
    let rows = link["node_status"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["node"] == *gone);
    let row = row.ok_or_else(|| anyhow::anyhow!("{link:#}"))?;
    assert_eq!(row["reason"]["code"], "node_unreachable", "{link:#}");
    let others = rows.iter().filter(|row| row["node"] != *gone);
    assert!(others.clone().count() == 2 && others.clone().all(|row| row["status"] == "running"));
    let metrics = a.nodes[0].rest().get("/cluster/links/b/metrics")?.expect(200)?;
    assert_eq!(metrics["node_metrics"].as_array().map(Vec::len), Some(3), "{metrics:#}");
    a.nodes[2].start()?;
    running(&a, "b")
}

// 8.1-17
#[test]
fn both_dialects_have_the_same_effect_and_the_list_keeps_its_order() -> anyhow::Result<()> {
    let setup = Setup::default();
    let (a, b) = (setup.start("a", 1)?, setup.start("b", 1)?);
    let rest = a.nodes[0].rest();
    let body = |name: &str| {
        let mut body = link_body("a", &b, &["x/#", "y"]);
        body["name"] = json!(name);
        body["clientid"] = json!(format!("clink-a-{name}-"));
        body
    };
    rest.post("/cluster/links", &body("m"))?.expect(201)?;
    rest.put("/cluster/links", &body("d"))?.expect(201)?;
    rest.put("/cluster/links", &body("z"))?.expect(201)?;
    let changed = json!({ "topics": ["z/#"], "pool_size": 3 });
    change_link(&a, "m", &changed)?;
    let mut whole = body("d");
    whole["topics"] = changed["topics"].clone();
    whole["pool_size"] = changed["pool_size"].clone();
    rest.put("/cluster/links/d", &whole)?.expect(200)?;
    let (emqx, document) = (
        rest.get("/cluster/links/link/m")?.expect(200)?,
        rest.get("/cluster/links/d")?.expect(200)?,
    );
    let own =
        ["name", "clientid", "revision", "status", "node_status", "reason", "since", "warnings"];
    for (field, value) in emqx.as_object().into_iter().flatten() {
        if !own.contains(&field.as_str()) {
            assert_eq!(value, &document[field], "{field}");
        }
    }
    for style in ["/cluster/links", "/cluster/links?style=emqx"] {
        let list = rest.get(style)?.expect(200)?;
        let names: Vec<_> =
            list.as_array().into_iter().flatten().map(|link| link["name"].clone()).collect();
        assert_eq!(names, ["m", "d", "z"], "{style}");
    }
    Ok(())
}

// 8.1-18
#[test]
fn a_leader_that_dies_during_updates_and_a_bootstrap_leaves_nothing_half_done() -> anyhow::Result<()>
{
    const FILTERS: u64 = 2_000;
    let (mut a, b) = linked(&Setup::default(), 3, 1, &["t/#"])?;
    let dies = a.leader()?;
    let asked = (dies + 1) % 3;
    // The bootstrap goes on while the leader dies.
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "many")?;
    for number in 0..FILTERS {
        subscriber.subscribe(&format!("t/{number}"), 1)?;
        if number == FILTERS / 2 {
            change_link(&b, "a", &json!({ "topics": ["t/#", "u/#"] }))?;
            a.nodes[dies].kill();
        }
    }
    // Whatever is answered: the link is as before or as wanted, on all nodes the same.
    let rest = a.nodes[asked].rest();
    let mut body = rest.get("/cluster/links/link/b?consistency=local")?.expect(200)?;
    body["topics"] = json!(["t/#", "v/#"]);
    let answer = rest.put("/cluster/links/link/b", &body)?;
    a.leader()?;
    eventually(SETTLE, || {
        let read = |at: usize| a.nodes[at].rest().get("/cluster/links/link/b")?.expect(200);
        let (one, two) = (read(asked)?, read((dies + 2) % 3)?);
        anyhow::ensure!(one["revision"] == two["revision"] && one["topics"] == two["topics"]);
        if answer.status == 200 {
            anyhow::ensure!(one["topics"] == json!(["t/#", "v/#"]), "{one:#}");
        }
        Ok(())
    })?;
    a.nodes[dies].start()?;
    running(&a, "b")?;
    for node in &a.nodes {
        routes_learnt(node, "b", FILTERS)?;
    }
    let mut publisher = Client::simple(a.nodes[dies].mqtt_port(), "pub")?;
    for number in [0, FILTERS / 2, FILTERS - 1] {
        assert_eq!(publisher.publish(&format!("t/{number}"), b"x", 1)?, 0);
        assert_eq!(subscriber.payload()?, b"x");
    }
    subscriber.expect_silence()
}

// 8.1-21, W-11: as if the node's clock had been an hour ahead until now.
#[test]
fn after_its_clock_went_back_a_node_s_actors_come_back() -> anyhow::Result<()> {
    let (mut a, b) = linked(&Setup::default(), 1, 1, &["t"])?;
    let file = a.nodes[0].data_dir().join("links/incarnations");
    a.nodes[0].kill();
    let hour_ahead = SystemTime::now() + Duration::from_secs(3_600);
    let ahead = u64::try_from(hour_ahead.duration_since(UNIX_EPOCH)?.as_millis())?;
    let text = std::fs::read_to_string(&file)?;
    let ahead_of = |line: &str| {
        let link = line.split_once(' ').map_or("", |(_, link)| link);
        format!("{ahead} {link}\n")
    };
    std::fs::write(&file, text.lines().map(ahead_of).collect::<String>())?;
    a.nodes[0].start()?;
    running(&a, "b")?;
    // The clock is right again, an hour behind what the remote has seen.
    a.nodes[0].kill();
    a.nodes[0].start()?;
    running(&a, "b")?;
    let mut subscriber = Client::simple(a.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("t", 1)?;
    routes_learnt(&b.nodes[0], "a", 1)?;
    let mut publisher = Client::simple(b.nodes[0].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("t", b"back", 1)?, 0);
    assert_eq!(subscriber.payload()?, b"back");
    Ok(())
}

// O-2
#[test]
fn the_state_of_a_link_is_told_under_sys_and_kept_for_late_subscribers() -> anyhow::Result<()> {
    let acl = format!("{{allow, {{clientid, \"monitor\"}}, subscribe, [\"$SYS/#\"]}}.\n{ACL}");
    let setup = Setup::default().file("acl.conf", &acl).config("sys_topics.sys_msg_interval = 1s");
    let (a, _b) = linked(&setup, 1, 1, &["t"])?;
    let node = a.nodes[0].options.name.clone();
    let mut monitor = Client::simple(a.nodes[0].mqtt_port(), "monitor")?;
    monitor.subscribe(&format!("$SYS/brokers/{node}/links/b/+"), 0)?;
    let told = |monitor: &mut Client| -> anyhow::Result<(String, Vec<u8>)> {
        match monitor.message()? {
            Packet::Publish { topic, payload, .. } => Ok((topic, payload)),
            other => anyhow::bail!("{other:?}"),
        }
    };
    let status = |payload: &[u8]| -> anyhow::Result<String> {
        let value: Value = serde_json::from_slice(payload)?;
        Ok(value["status"].as_str().unwrap_or_default().to_owned())
    };
    let (mut first, mut metrics) = (None, None);
    while first.is_none() || metrics.is_none() {
        let (topic, payload) = told(&mut monitor)?;
        match topic.rsplit('/').next() {
            Some("status") => first = Some(status(&payload)?),
            _ => metrics = Some(serde_json::from_slice::<Value>(&payload)?),
        }
    }
    assert_eq!(first.as_deref(), Some("connected"));
    assert_eq!(metrics.map(|m| m["forwarding"]["matched"].clone()), Some(json!(0)));
    change_link(&a, "b", &json!({ "enable": false }))?;
    loop {
        let (topic, payload) = told(&mut monitor)?;
        if topic.ends_with("/status") && status(&payload)? == "disconnected" {
            break;
        }
    }
    a.nodes[0].rest().delete("/cluster/links/link/b")?.expect(204)?;
    loop {
        let (topic, payload) = told(&mut monitor)?;
        if topic.ends_with("/status") && payload.is_empty() {
            return Ok(());
        }
    }
}

// Lag and latency of a link, and the events of all its nodes
#[test]
fn how_far_a_link_lags_behind_is_told_and_events_come_from_all_nodes() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 2, 1, &["t"])?;
    let mut subscriber = Client::simple(b.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("t", 1)?;
    routes_learnt(&a.nodes[1], "b", 1)?;
    let rest = a.nodes[0].rest();
    rest.post("/cluster/links/link/b/pause", &json!({}))?.expect(200)?;
    // It waits on the other node than the one that is asked.
    eventually(SETTLE, || {
        let paused = a.nodes[1].rest().get("/cluster/links/b?consistency=local")?.expect(200)?;
        anyhow::ensure!(paused["paused"] == true, "{paused:#}");
        Ok(())
    })?;
    let mut publisher = Client::simple(a.nodes[1].mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("t", &[b'x'; 1000], 1)?, 0);
    let waits = metrics_become(&a.nodes[0], "b", |m| m["buffer"]["messages"] == 1)?;
    assert!(waits["buffer"]["bytes"].as_u64() >= Some(200), "{waits:#}");
    assert!(waits["buffer"]["oldest_at_ms"].is_u64(), "{waits:#}");
    rest.post("/cluster/links/link/b/resume", &json!({}))?.expect(200)?;
    assert_eq!(subscriber.payload()?.len(), 1000);
    let done = metrics_become(&a.nodes[0], "b", |m| m["buffer"]["messages"] == 0)?;
    assert_eq!(done["forwarding"]["latency_us"]["count"], 1, "{done:#}");
    assert!(done["forwarding"]["latency_us"]["p50"].as_u64() > Some(0), "{done:#}");
    assert!(done["buffer"].get("oldest_at_ms").is_none(), "{done:#}");
    let events = rest.get("/cluster/links/link/b/events")?.expect(200)?;
    let events = events.as_array().cloned().unwrap_or_default();
    let from = |node: &str| events.iter().any(|event| event["node"] == node);
    assert!(a.nodes.iter().all(|node| from(&node.options.name)), "{events:?}");
    assert!(events.is_sorted_by(|a, b| a["at"].as_str() <= b["at"].as_str()), "{events:?}");
    Ok(())
}
