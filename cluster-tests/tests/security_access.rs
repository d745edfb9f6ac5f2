//! Who may do what, on one node with users and rules (SECURITY-REQUIREMENTS A3–A6).

use std::sync::LazyLock;
use std::time::Duration;

use cluster_tests::client::{Client, Connect, Packet, Version};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const CLOSE: Duration = Duration::from_secs(10);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

const CONFIG: &str = r#"
authentication = [{
  mechanism = password_based, backend = built_in_database, user_id_type = username
  password_hash_algorithm { name = sha256, salt_position = prefix }
  bootstrap_file = "users.csv", bootstrap_type = plain
}]
authorization { sources = [{ type = file, path = "acl.conf" }], no_match = deny }
"#;

const USERS: &str = "user_id,password,is_superuser\n\
    ann,ann-secret,false\n\
    bob,bob-secret,false\n\
    watch,watch-secret,false\n\
    root,root-secret,true\n";

/// The widest rule comes last: it must not open what it does not name.
const RULES: &str = r##"
{deny, {username, "bob"}, all, ["secret/#", "ann/#"]}.
{deny, {username, "bob"}, publish, ["read/only"]}.
{allow, {username, "watch"}, subscribe, ["$SYS/#", "$LINK/#"]}.
{allow, {username, "ann"}, all, ["ann/${clientid}/#"]}.
{deny, {username, "ann"}, all, ["ann/#"]}.
{allow, all, all, ["#", "+/#"]}.
{allow, all}.
"##;

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let options = NodeOptions { config: Some(CONFIG.to_owned()), ..NodeOptions::default() };
    let files = [("users.csv", USERS), ("acl.conf", RULES)];
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "access", options, &files)
});

fn node() -> Lease {
    NODE.lease()
}

fn login(version: Version, user: &str, id: &str) -> Connect {
    let connect = Connect { version, ..Connect::new(&format!("{id}-{version:?}")) };
    connect.login(user, &format!("{user}-secret"))
}

fn client(node: &Lease, version: Version, user: &str, id: &str) -> anyhow::Result<Client> {
    Ok(Client::connect(node.mqtt_port(), &login(version, user, id))?.0)
}

/// What CONNECT is answered; 0 = let in.
fn code(node: &Lease, connect: &Connect) -> anyhow::Result<u8> {
    match Client::try_connect(node.mqtt_port(), connect)? {
        (mut client, Packet::ConnAck { code, session_present: false, .. }) if code != 0 => {
            assert_eq!(client.expect_close(CLOSE)?, []);
            Ok(code)
        }
        (_, Packet::ConnAck { code, .. }) => Ok(code),
        (_, other) => anyhow::bail!("{other:?}"),
    }
}

// A3, and [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]
#[test]
fn nobody_comes_in_without_the_right_password() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        assert_eq!(code(&node, &login(version, "ann", "right"))?, 0);
        let anonymous = Connect { version, ..Connect::new("anonymous") };
        let mut no_password = anonymous.clone();
        no_password.username = Some("ann".into());
        let wrong = [
            anonymous.clone(),
            no_password,
            anonymous.clone().login("ann", "bob-secret"),
            anonymous.clone().login("ann", ""),
            anonymous.clone().login("", ""),
            anonymous.clone().login("ANN", "ann-secret"),
            anonymous.clone().login("nobody", "ann-secret"),
            anonymous.login("watch", "watch-secret "),
        ];
        for connect in wrong {
            let code = code(&node, &connect)?;
            let right = match version {
                Version::V311 => [4, 5],
                Version::V5 => [0x86, 0x87],
            };
            assert!(right.contains(&code), "{version:?} {:?}: {code:#x}", connect.username);
        }
    }
    Ok(())
}

const REFUSED_FILTERS: [&str; 9] = [
    "$SYS/#",
    "$SYS/+",
    "$SYS/brokers",
    "$LINK/#",
    "$LINK/+/route/x",
    "$LINK/cluster/msg/x",
    "$share/g/$SYS/#",
    "$share/g/$LINK/#",
    "$share/g/$LINK/cluster/route/x",
];

// A4
#[test]
fn ordinary_clients_cannot_subscribe_below_sys_and_link() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut client = client(&node, version, "ann", "below")?;
        for filter in REFUSED_FILTERS {
            let codes = client.subscribe_with(&[(filter, 0)], &[])?;
            let refused = if version == Version::V5 { 0x87 } else { 0x80 };
            assert_eq!(codes, [refused], "{version:?} {filter}");
        }
        client.expect_silence()?;
    }
    Ok(())
}

// A4, and [MQTT311-3.3.5-2]
#[test]
fn ordinary_clients_cannot_publish_below_sys_and_link() -> anyhow::Result<()> {
    let node = node();
    let topics = ["$SYS/x", "$LINK/x", "$LINK/cluster/route/x", "$LINK/cluster/msg/x"];
    for version in VERSIONS {
        let mut watch = client(&node, version, "watch", "spy")?;
        watch.subscribe("$LINK/#", 0)?;
        watch.subscribe("$SYS/x", 0)?;
        let mut ann = client(&node, version, "ann", "forger")?;
        for topic in topics {
            for qos in 0..=2 {
                for retain in [false, true] {
                    let id = ann.send_publish(topic, b"forged", qos, retain, &[])?;
                    let code = ann.finish_publish(id, qos)?;
                    // 3.1.1 has no way to say no: the answer is plain, the message is gone.
                    let told = if version == Version::V5 && qos > 0 { 0x87 } else { 0 };
                    assert_eq!(code, told, "{version:?} {topic} QoS {qos}");
                }
            }
        }
        ann.expect_silence()?;
        watch.expect_silence()?;
        let mut late = client(&node, version, "watch", "late-spy")?;
        late.subscribe("$LINK/#", 0)?;
        late.subscribe("$SYS/x", 0)?;
        late.expect_silence()?;
    }
    Ok(())
}

// A4
#[test]
fn wills_below_sys_and_link_are_refused_at_connect() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        for user in ["ann", "root"] {
            for topic in ["$SYS/x", "$LINK/cluster/msg/x", "$LINK/x"] {
                let connect = login(version, user, "undertaker").will(topic, b"x", 1, true);
                let told = if version == Version::V5 { 0x87 } else { 5 };
                assert_eq!(code(&node, &connect)?, told, "{version:?} {user} {topic}");
            }
        }
    }
    Ok(())
}

// A4, and [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
#[test]
fn wildcards_reach_nothing_below_sys_and_link_even_for_a_superuser() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut root = client(&node, version, "root", "wide")?;
        for filter in ["#", "+/#", "+/+", "+/cluster/#"] {
            root.subscribe(filter, 0)?;
        }
        let mut other = client(&node, version, "root", "other-root")?;
        other.publish_retained("$LINK/mine", b"x", 1)?;
        other.publish("wide/end", b"end", 1)?;
        loop {
            let message = root.received()?;
            assert!(!message.topic.starts_with('$'), "{message:?}");
            if message.topic == "wide/end" {
                break;
            }
        }
        let mut late = client(&node, version, "root", "late-root")?;
        late.subscribe("#", 0)?;
        late.publish("wide/late", b"end", 1)?;
        loop {
            let message = late.received()?;
            assert!(!message.topic.starts_with('$'), "{message:?}");
            if message.topic == "wide/late" {
                break;
            }
        }
        other.publish_retained("$LINK/mine", b"", 1)?;
    }
    Ok(())
}

// A5
#[test]
fn each_filter_of_a_subscribe_is_checked_alone_and_a_refused_one_is_not_stored()
-> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let refused = if version == Version::V5 { 0x87 } else { 0x80 };
        let connect = login(version, "bob", "alone").persistent();
        let (mut bob, _) = Client::connect(node.mqtt_port(), &connect)?;
        let filters = [
            ("open/a", 1),
            ("secret/a", 1),
            ("$share/g/secret/a", 1),
            ("open/b", 1),
            ("$share/g/open/c", 1),
        ];
        let codes = bob.subscribe_with(&filters, &[])?;
        assert_eq!(codes, [1, refused, refused, 1, 1], "{version:?}");
        let first_refused = [("secret/b", 1), ("open/d", 1)];
        assert_eq!(bob.subscribe_with(&first_refused, &[])?, [refused, 1]);
        let mut ann = client(&node, version, "ann", "alone-pub")?;
        for _ in 0..2 {
            for topic in ["secret/a", "secret/b"] {
                let told = ann.publish(topic, b"x", 1)?;
                assert_eq!(told, if version == Version::V5 { 0x10 } else { 0 }, "{topic}");
            }
            bob.expect_silence()?;
            for topic in ["open/a", "open/b", "open/c", "open/d"] {
                ann.publish(topic, b"x", 1)?;
                assert!(
                    matches!(bob.message()?, Packet::Publish { topic: got, .. } if got == topic)
                );
            }
            // Nor was it stored with the session.
            bob.disconnect()?;
            let (back, present) = Client::connect(node.mqtt_port(), &connect)?;
            assert!(present);
            bob = back;
        }
        let clean = Connect { resume: false, ..login(version, "bob", "alone") };
        Client::connect(node.mqtt_port(), &clean)?.0.disconnect()?;
    }
    Ok(())
}

// A5: a filter wider than the denied one must not bring its messages along.
#[test]
fn a_denied_topic_is_not_read_through_a_wider_filter_that_names_it() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut bob = client(&node, version, "bob", "wider")?;
        let refused = if version == Version::V5 { 0x87 } else { 0x80 };
        for filter in ["secret/#", "secret/+", "secret/+/a", "$share/g/secret/+"] {
            assert_eq!(bob.subscribe_with(&[(filter, 0)], &[])?, [refused], "{filter}");
        }
        assert_eq!(bob.subscribe_with(&[("read/only", 0)], &[])?, [0]);
        let told = bob.publish("read/only", b"x", 1)?;
        assert_eq!(told, if version == Version::V5 { 0x87 } else { 0 });
        bob.expect_silence()?;
    }
    Ok(())
}

// A6
#[test]
fn a_will_needs_the_right_to_publish_it() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let connect = login(version, "bob", "heir").will("secret/will", b"x", 1, false);
        let told = if version == Version::V5 { 0x87 } else { 5 };
        assert_eq!(code(&node, &connect)?, told);
        let connect = login(version, "bob", "heir").will("open/will", b"x", 1, false);
        let mut ann = client(&node, version, "ann", "mourner")?;
        ann.subscribe("open/will", 1)?;
        drop(Client::connect(node.mqtt_port(), &connect)?);
        assert_eq!(ann.payload()?, b"x");
    }
    Ok(())
}

// A6
#[test]
fn a_session_is_taken_over_only_by_its_owner() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let owner = login(version, "ann", "house").persistent();
        let (mut ann, _) = Client::connect(node.mqtt_port(), &owner)?;
        ann.subscribe("house/t", 1)?;
        let told = if version == Version::V5 { 0x87 } else { 5 };
        for clean in [false, true] {
            let thief = Connect { resume: !clean, ..login(version, "bob", "house") };
            assert_eq!(code(&node, &thief)?, told, "{version:?} clean {clean}");
        }
        ann.expect_silence()?;
        ann.disconnect()?;
        let thief = Connect { resume: true, ..login(version, "bob", "house") };
        assert_eq!(code(&node, &thief)?, told, "{version:?}, the owner away");
        let (mut ann, present) = Client::connect(node.mqtt_port(), &owner)?;
        assert!(present, "the session is untouched");
        ann.publish("house/t", b"x", 1)?;
        assert_eq!(ann.payload()?, b"x");
    }
    Ok(())
}

// A6
#[test]
fn a_client_id_with_wildcards_or_slashes_widens_no_rule() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let refused = if version == Version::V5 { 0x87 } else { 0x80 };
        let connect = |id: &str| Connect { version, ..Connect::new(id) }.login("ann", "ann-secret");
        let (mut own, _) = Client::connect(node.mqtt_port(), &connect("own"))?;
        assert_eq!(own.subscribe_with(&[("ann/own/#", 0), ("ann/other/a", 0)], &[])?, [0, refused]);
        for id in ["+", "#", "other/#", "+/a", "other/..", "o/+/#"] {
            let Ok((mut client, _)) = Client::connect(node.mqtt_port(), &connect(id)) else {
                continue;
            };
            for filter in ["ann/other/a", "ann/+/a", "ann/#", "ann/other/#"] {
                let codes = client.subscribe_with(&[(filter, 0)], &[])?;
                assert_eq!(codes, [refused], "{id} {filter}");
            }
        }
    }
    Ok(())
}
