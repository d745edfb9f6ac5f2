//! Who a link is at the remote: client ids, users, passwords, secrets (LINK-SPEC W-4, C-9, 6).

use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::links::{
    Setup, change_link, create_link, link_becomes, link_body, linked, routes_learnt, running,
};
use serde_json::json;

const USERS: &str =
    "authentication = [{ bootstrap_file = \"DIR/users.csv\", bootstrap_type = plain }]";

// The guide's paragraph on user and password; C-9, 8.1-12
#[test]
fn a_link_logs_in_with_user_and_password_and_hides_them() -> anyhow::Result<()> {
    const RIGHT: &str = "the-right-password-of-clink";
    const WRONG: &str = "a-wrong-password-of-clink";
    let users = format!("user_id,password,is_superuser\nclink,{RIGHT},false\n");
    let b = Setup::default().config(USERS).file("users.csv", &users).start("b", 1)?;
    let a = Setup::default().start("a", 1)?;
    create_link(&b, &link_body("b", &a, &[]))?;
    let mut body = link_body("a", &b, &["g/#"]);
    body["username"] = json!("clink");
    body["password"] = json!(WRONG);
    let made = create_link(&a, &body)?;
    assert_eq!(made["password"], "******");
    let link = link_becomes(&a, "b", |link| link["reason"]["code"] == "login_refused")?;
    assert_eq!(link["password"], "******");

    let changed = change_link(&a, "b", &json!({"password": RIGHT}))?;
    assert_eq!(changed["password"], "******");
    running(&a, "b")?;
    // What was read can be written back: the mark keeps the secret.
    change_link(&a, "b", &json!({"pool_size": 1}))?;
    running(&a, "b")?;

    // A password file is read at each connection.
    let file = a.nodes[0].data_dir().join("clink-password");
    std::fs::write(&file, format!("{RIGHT}\n"))?;
    let reference = format!("file://{}", file.display());
    let changed = change_link(&a, "b", &json!({"password": reference.clone()}))?;
    assert_eq!(changed["password"], reference, "a reference is no secret");
    running(&a, "b")?;
    change_link(&a, "b", &json!({"password": "file:///nowhere/at/all"}))?;
    link_becomes(&a, "b", |link| link["reason"]["code"] == "secret_unreadable")?;

    for cluster in [&a, &b] {
        let log = cluster.nodes[0].log();
        for secret in [RIGHT, WRONG] {
            assert!(!log.contains(secret), "{secret} in the log of {}", cluster.name);
        }
    }
    let events = a.nodes[0].rest().get("/cluster/links/link/b/events")?.expect(200)?.to_string();
    assert!(!events.contains(RIGHT) && !events.contains(WRONG), "{events}");
    Ok(())
}

// The guide's paragraph on the client-id prefix; W-4
#[test]
fn the_client_ids_at_the_remote_begin_with_the_configured_prefix() -> anyhow::Result<()> {
    let (_a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let clients = b.nodes[0].rest().get("/clients?limit=100")?.expect(200)?;
    let ids: Vec<&str> = clients["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["clientid"].as_str())
        .collect();
    // SHA-1 of n1@127.0.0.1 begins with these digits.
    for id in ["clink-a-:routesync:f72ddb4a", "clink-a-:msg:f72ddb4a:1", "clink-a-:msg:f72ddb4a:2"]
    {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
    Ok(())
}

// 8.1-11
#[test]
fn a_shared_group_in_both_clusters_gets_one_copy_per_cluster() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let mut members = Vec::new();
    for (cluster, name) in [(&a, "a1"), (&a, "a2"), (&b, "b1"), (&b, "b2")] {
        let mut client = Client::simple(cluster.nodes[0].mqtt_port(), name)?;
        client.subscribe("$share/team/g/x", 1)?;
        members.push(client);
    }
    routes_learnt(&a.nodes[0], "b", 1)?;
    routes_learnt(&b.nodes[0], "a", 1)?;
    let mut publisher = Client::simple(a.nodes[0].mqtt_port(), "pub")?;
    for number in 0..10u8 {
        publisher.publish("g/x", &[number], 1)?;
    }
    // A marker to each member shows that all its copies have come.
    let mut marker = Client::simple(b.nodes[0].mqtt_port(), "marker")?;
    let mut counts = Vec::new();
    for (index, member) in members.iter_mut().enumerate() {
        let own = format!("own/{index}");
        member.subscribe(&own, 1)?;
        let port = if index < 2 { a.nodes[0].mqtt_port() } else { b.nodes[0].mqtt_port() };
        std::thread::sleep(std::time::Duration::from_millis(200));
        Client::simple(port, &format!("end-{index}"))?.publish(&own, b"end", 1)?;
        let mut count = 0;
        while member.payload()? != b"end" {
            count += 1;
        }
        counts.push(count);
    }
    assert_eq!(counts[0] + counts[1], 10, "{counts:?}");
    assert_eq!(counts[2] + counts[3], 10, "{counts:?}");
    marker.expect_silence()
}

// W-4: two clusters that use the same client id at one remote
#[test]
fn a_client_id_that_somebody_else_uses_too_is_reported() -> anyhow::Result<()> {
    let (a, b) = linked(&Setup::default(), 1, 1, &["g/#"])?;
    let port = b.nodes[0].mqtt_port();
    let start = std::time::Instant::now();
    let found = loop {
        drop(Client::simple(port, "clink-a-:routesync:f72ddb4a")?);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let events = a.nodes[0].rest().get("/cluster/links/link/b/events")?.expect(200)?;
        if events.to_string().contains("clientid_conflict") {
            break true;
        }
        if start.elapsed() > std::time::Duration::from_secs(30) {
            break false;
        }
    };
    assert!(found, "two take-overs in a minute are a conflict");
    running(&a, "b")
}

// A-7, K4: without a rule, whoever spoke first for a name holds it while it speaks, on all nodes
#[test]
fn another_user_may_not_speak_for_a_remote_whose_link_is_up() -> anyhow::Result<()> {
    let users = "user_id,password,is_superuser\nclink,right-1,false\nmallory,right-2,false\n";
    let b = Setup::default().config(USERS).file("users.csv", users).start("b", 2)?;
    let a = Setup::default().start("a", 1)?;
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    let mut body = link_body("a", &b, &["g/#"]);
    body["username"] = json!("clink");
    body["password"] = json!("right-1");
    create_link(&a, &body)?;
    running(&a, "b")?;
    let connect = Connect::new("clink-mallory").login("mallory", "right-2");
    // The link speaks to the first node only.
    for node in &b.nodes {
        let (mut mallory, _) = Client::connect(node.mqtt_port(), &connect)?;
        assert_eq!(mallory.publish("$LINK/cluster/msg/a", b"a lie", 1)?, 0x87);
        assert_eq!(mallory.publish("$LINK/cluster/route/a", b"a lie", 1)?, 0x87);
        assert_eq!(mallory.publish("$LINK/cluster/msg/nobody", b"a lie", 1)?, 0x87);
    }
    running(&a, "b")
}
