//! The REST API of a real cluster of three, through each of its nodes, with a node dead and with the
//! leader paused (issue "one REST API, one config, one CLI").

use std::time::{Duration, Instant};

use anyhow::Context;
use cluster_tests::client::Client;
use cluster_tests::harness::{Cluster, Node, Rest, eventually};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SETTLE: Duration = Duration::from_secs(20);

fn link(name: &str) -> Value {
    json!({ "name": name, "server": "127.0.0.1:1", "clientid": name, "topics": ["t/#"] })
}

/// The nodes by what they call themselves: one that leads and the two others.
fn leader_and_others(cluster: &Cluster) -> anyhow::Result<(&Node, Vec<&Node>)> {
    let answer = cluster.nodes[0].rest().get("/cluster")?.expect(200)?;
    let leader = answer["leader"].as_str().context("no leader")?.to_owned();
    let mut others = Vec::new();
    let mut found = None;
    for node in &cluster.nodes {
        let own = node.rest().get("/status")?.expect(200)?["node"].clone();
        if own == leader.as_str() { found = Some(node) } else { others.push(node) }
    }
    Ok((found.context("the leader is no node of ours")?, others))
}

/// The paths of EMQX's link API, as its scripts call them (LINK-SPEC 4.2).
fn emqx_script(write: &Rest, read: &Rest, name: &str) -> anyhow::Result<()> {
    let path = format!("/cluster/links/link/{name}");
    let made = write.post("/cluster/links", &link(name))?.expect(201)?;
    anyhow::ensure!(made["pool_size"] == 8, "{made}");
    write.post("/cluster/links", &link(name))?.expect(400)?;
    let mut shown = read.get(&path)?.expect(200)?;
    anyhow::ensure!(shown["status"] != "running", "EMQX's words: {shown}");
    shown["pool_size"] = 2.into();
    let changed = read.put(&path, &shown)?.expect(200)?;
    anyhow::ensure!(changed["pool_size"] == 2, "{changed}");
    let metrics = write.get(&format!("{path}/metrics"))?.expect(200)?;
    anyhow::ensure!(metrics["metrics"]["forwarding"]["matched"].is_number(), "{metrics}");
    write.put(&format!("{path}/metrics/reset"), &json!({}))?.expect(204)?;
    read.delete(&path)?.expect(204)?;
    write.get(&path)?.expect(404)?;
    Ok(())
}

/// The paths of the user guide (LINK-SPEC 4.3).
fn guide_script(write: &Rest, read: &Rest, name: &str) -> anyhow::Result<()> {
    let path = format!("/cluster/links/{name}");
    write.put("/cluster/links", &link(name))?.expect(201)?;
    read.put("/cluster/links", &link(name))?.expect(200)?;
    let list = read.get("/cluster/links")?.expect(200)?;
    let mine = list.as_array().context("a list")?.iter().find(|link| link["name"] == name);
    let mine = mine.context("not in the list")?;
    for field in ["server", "topics", "status", "node_status"] {
        anyhow::ensure!(mine.get(field).is_some(), "{field}: {mine}");
    }
    let metrics = write.get(&format!("{path}/metrics"))?.expect(200)?;
    anyhow::ensure!(metrics["metrics"]["routers"].is_number(), "{metrics}");
    anyhow::ensure!(metrics["node_metrics"].as_array().is_some_and(|n| !n.is_empty()), "{metrics}");
    write.delete(&path)?.expect(204)?;
    read.get(&path)?.expect(404)?;
    Ok(())
}

#[test]
fn both_scripts_work_through_every_pair_of_nodes() -> anyhow::Result<()> {
    let cluster = Cluster::start("rest-scripts", 3)?;
    for (n, write) in cluster.nodes.iter().enumerate() {
        let read = &cluster.nodes[(n + 1) % 3].rest();
        emqx_script(&write.rest(), read, &format!("emqx-{n}"))?;
        guide_script(&write.rest(), read, &format!("guide-{n}"))?;
    }
    Ok(())
}

#[test]
fn users_and_keys_of_one_node_count_on_all_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::start("rest-users", 3)?;
    let users = "/authentication/password_based:built_in_database/users";
    for (n, node) in cluster.nodes.iter().enumerate() {
        let body = json!({ "user_id": format!("u{n}"), "password": "p" });
        node.rest().post(users, &body)?.expect(201)?;
        let next = cluster.nodes[(n + 1) % 3].rest();
        next.get(&format!("{users}/u{n}"))?.expect(200)?;
        next.post(users, &body)?.expect(409)?;
    }
    let list = cluster.nodes[0].rest().get(users)?.expect(200)?;
    anyhow::ensure!(list["data"].as_array().is_some_and(|rows| rows.len() == 3), "{list}");
    Ok(())
}

#[test]
fn clients_messages_and_audit_are_those_of_the_whole_cluster() -> anyhow::Result<()> {
    let cluster = Cluster::start("rest-clients", 3)?;
    let mut clients = Vec::new();
    for (n, node) in cluster.nodes.iter().enumerate() {
        let mut client = Client::simple(node.mqtt_port(), &format!("c{n}"))?;
        client.subscribe("news", 1)?;
        clients.push(client);
    }
    for node in &cluster.nodes {
        let rest = node.rest();
        let list = rest.get("/clients?limit=2")?.expect(200)?;
        anyhow::ensure!(list["data"][1]["clientid"] == "c1", "{list}");
        anyhow::ensure!(list["meta"]["hasnext"] == true, "{list}");
        let subscriptions = rest.get("/subscriptions")?.expect(200)?;
        anyhow::ensure!(subscriptions["data"].as_array().context("rows")?.len() == 3);
        let route = rest.get("/routes?topic=news")?.expect(200)?;
        anyhow::ensure!(route["data"][0]["nodes"].as_array().context("nodes")?.len() == 3);
        let message = json!({ "topic": "news", "payload": "hi", "qos": 1 });
        rest.post("/publish", &message)?.expect(200)?;
        for client in &mut clients {
            anyhow::ensure!(client.payload()? == b"hi");
        }
    }
    let rest = cluster.nodes[0].rest();
    rest.delete("/clients/c2")?.expect(204)?;
    eventually(SETTLE, || rest.get("/clients/c2")?.expect(404).map(drop))?;
    let audit = cluster.nodes[1].rest().get("/audit")?.expect(200)?;
    let kicked = |row: &Value| row["operation"] == "/api/v5/clients/c2";
    anyhow::ensure!(audit.as_array().context("rows")?.iter().any(kicked), "{audit}");
    Ok(())
}

#[test]
fn with_a_node_dead_answers_are_whole_for_the_rest_and_name_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("rest-dead", 3)?;
    cluster.nodes[0].rest().post("/cluster/links", &link("eu"))?.expect(201)?;
    let dead = cluster.nodes[2].rest().get("/status")?.expect(200)?["node"].clone();
    cluster.nodes[2].kill();
    for node in &cluster.nodes[..2] {
        let rest = node.rest();
        let begun = Instant::now();
        let shown = eventually(SETTLE, || {
            let shown = rest.get("/cluster/links/link/eu")?.expect(200)?;
            anyhow::ensure!(shown["status"] == "inconsistent", "{shown}");
            Ok(shown)
        })?;
        let rows = shown["node_status"].as_array().context("node_status")?;
        let row = rows.iter().find(|row| row["node"] == dead).context("the dead node")?;
        anyhow::ensure!(row["status"] == "inconsistent" && row.get("reason").is_some(), "{row}");
        for path in ["/metrics", "/stats", "/clients", "/cluster/links/eu/metrics", "/nodes"] {
            rest.get(path)?.expect(200).with_context(|| path.to_owned())?;
        }
        anyhow::ensure!(begun.elapsed() < SETTLE + Duration::from_secs(30));
        let clients = rest.get("/clients")?.expect(200)?;
        anyhow::ensure!(clients["meta"]["unreachable"] == json!([dead]), "{clients}");
    }
    let (a, b) = (cluster.nodes[0].rest(), cluster.nodes[1].rest());
    eventually(SETTLE, || emqx_script(&a, &b, "after"))
}

#[test]
fn with_the_leader_paused_reads_answer_and_writes_go_on_after_an_election() -> anyhow::Result<()> {
    let cluster = Cluster::start("rest-paused", 3)?;
    cluster.nodes[0].rest().post("/cluster/links", &link("eu"))?.expect(201)?;
    let (leader, others) = leader_and_others(&cluster)?;
    leader.signal(Signal::SIGSTOP)?;
    let outcome = (|| {
        for node in &others {
            let rest = node.rest();
            for path in ["/status", "/cluster", "/cluster/links?consistency=local", "/metrics"] {
                rest.get(path)?.expect(200).with_context(|| path.to_owned())?;
            }
        }
        eventually(SETTLE, || {
            let answer = others[0].rest().post("/cluster/links", &link("us"))?;
            // 400: an attempt without an answer was committed all the same.
            anyhow::ensure!([201, 400].contains(&answer.status), "{}", answer.text);
            Ok(())
        })?;
        let shown = others[1].rest().get("/cluster/links/us")?.expect(200)?;
        anyhow::ensure!(shown["name"] == "us", "{shown}");
        Ok(())
    })();
    leader.signal(Signal::SIGCONT)?;
    outcome
}

#[test]
fn without_a_majority_writes_are_503_with_retry_after_and_status_goes_on() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("rest-minority", 3)?;
    cluster.nodes[0].rest().post("/cluster/links", &link("eu"))?.expect(201)?;
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let rest = cluster.nodes[0].rest();
    let answer = eventually(SETTLE, || {
        let answer = rest.post("/cluster/links", &link("us"))?;
        anyhow::ensure!(answer.status == 503, "{}: {}", answer.status, answer.text);
        Ok(answer)
    })?;
    anyhow::ensure!(answer.json()?["code"] == "SERVICE_UNAVAILABLE", "{}", answer.text);
    let list = rest.get("/cluster/links")?.expect(200)?;
    anyhow::ensure!(list[0]["name"] == "eu", "{list}");
    for path in ["/status", "/cluster", "/nodes", "/metrics", "/prometheus/stats"] {
        let answer = rest.get(path)?;
        anyhow::ensure!(answer.status == 200, "{path}: {}", answer.text);
    }
    eventually(SETTLE, || {
        let status = rest.get("/status")?.expect(200)?;
        anyhow::ensure!(status["quorum"] == false, "{status}");
        anyhow::ensure!(status["failures_tolerated"] == 0, "{status}");
        Ok(())
    })
}
