//! Defaults, file, environment and flags: who wins, and where a value came from.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Files, config};
use spanmq_config::{Durability, Flags, KeyPath, Origin};

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = Files::default().load(&[], Flags::default()).unwrap().config;
    assert_eq!(config.node.name.as_str(), "spanmq@127.0.0.1");
    assert_eq!(config.listeners.tcp["default"].bind.0.to_string(), "0.0.0.0:1883");
    assert_eq!(config.dashboard.listeners.http.bind.0.to_string(), "127.0.0.1:18083");
    assert_eq!(config.cluster.listen.0.port(), 5370);
    assert_eq!(config.cluster.name.as_str(), "emqxcl");
    assert_eq!(config.durability, Durability::Local);
    assert_eq!(config.mqtt.max_packet_size.0, 1 << 20);
    assert_eq!(config.cluster.join.timeout.as_secs(), 60);
    assert_eq!(config.advertised(7).to_string(), "127.0.0.1:7");
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let files = Files::with_config(
        "cluster.name = from-file\nnode.name = \"file@h\"\nmqtt.max_inflight = 7\nmqtt.max_topic_levels = 9",
    );
    let env = [("SPANMQ_CLUSTER__NAME", "from-env"), ("SPANMQ_MQTT__MAX_INFLIGHT", "8")];
    let flags = Flags { cluster_name: Some("from-flag".into()), ..Flags::default() };
    let loaded = files.load(&env, flags).unwrap();
    assert_eq!(loaded.config.cluster.name.as_str(), "from-flag");
    assert_eq!(loaded.config.mqtt.max_inflight, 8);
    assert_eq!(loaded.config.node.name.as_str(), "file@h");
    let origin = |key: &str| loaded.origin(&KeyPath::of(key)).to_string();
    assert_eq!(origin("cluster.name"), "flag --cluster-name");
    assert_eq!(origin("mqtt.max_inflight"), "env SPANMQ_MQTT__MAX_INFLIGHT");
    assert_eq!(origin("mqtt.max_topic_levels"), "/etc/spanmq/spanmq.conf:4:1");
    assert_eq!(loaded.origin(&KeyPath::of("durability")), Origin::Default);
}

#[test]
fn every_flag_sets_its_key() {
    let flags = Flags {
        data_dir: Some("d".into()),
        node_name: Some("n@h".into()),
        listen_mqtt: Some("127.0.0.1:0".into()),
        listen_api: Some("127.0.0.1:0".into()),
        listen_cluster: Some("127.0.0.1:0".into()),
        advertise_cluster: Some("n1.example:99".into()),
        join: Some("a:1, [::1]:2".into()),
        join_token: Some(spanmq_config::Secret::new("t0ken")),
        join_timeout: Some("5s".into()),
        dial_map: Some("map".into()),
        allow_anonymous: true,
        raft_heartbeat_ms: Some(50),
        raft_election_ms: Some(200),
        snapshot_after: Some(10),
        link_actor_ttl_ms: Some(3_000),
        gc_interval_ms: Some(1_000),
        ..Flags::default()
    };
    let loaded = Files::default().and("map", "").load(&[], flags).unwrap();
    let config = &loaded.config;
    // A flag's path counts from the working directory.
    assert_eq!(config.node.data_dir.to_str(), Some("d"));
    assert_eq!(config.listeners.tcp["default"].bind.0.to_string(), "127.0.0.1:0");
    assert_eq!(config.advertised(1).to_string(), "n1.example:99");
    let seeds: Vec<_> = config.cluster.join.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["a:1", "[::1]:2"]);
    assert_eq!(config.cluster.join.token.as_ref().unwrap().reveal(), "t0ken");
    assert_eq!(config.raft.heartbeat_interval.as_millis(), 50);
    assert_eq!(config.raft.snapshot_after_entries, 10);
    assert_eq!(config.links.actor_ttl.as_millis(), 3_000);
    assert!(config.allow_anonymous);
    assert!(!format!("{loaded:?}").contains("t0ken"));
    assert!(!serde_json::to_string(config).unwrap().contains("t0ken"));
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file() {
    let config = config("").config;
    assert_eq!(config.node.data_dir.to_str(), Some("/etc/spanmq/data"));
    let files = Files::with_config("authorization.sources = [{type = file, path = acl.conf}]");
    let loaded = files.and("/etc/spanmq/acl.conf", "{allow, all}.").load(&[], Flags::default());
    let path = loaded.unwrap().config.authorization.sources[0].path.clone().unwrap();
    assert_eq!(path.to_str(), Some("/etc/spanmq/acl.conf"));
}

#[test]
fn the_environment_reaches_elements_of_lists() {
    let files = Files::with_config(
        "cluster.links = [{name = eu, server = \"eu:1\", topics = [], password = old}]",
    );
    let env = [
        ("SPANMQ_CLUSTER__LINKS__1__PASSWORD", "n#w${x}"),
        ("SPANMQ_CLUSTER__LINKS__2", "{name = asia, server = \"as:1\", topics = [\"a/#\"]}"),
    ];
    let loaded = files.load(&env, Flags::default()).unwrap();
    let links: Vec<_> = loaded.config.cluster.links.iter().collect();
    assert_eq!(links.len(), 2);
    assert_eq!(links[0].value()["password"], "n#w${x}");
    assert_eq!(links[1].value()["topics"][0], "a/#");
    assert!(!format!("{:?}", loaded.config).contains("n#w"));
    let hole = [("SPANMQ_CLUSTER__LINKS__3__NAME", "x")];
    assert_eq!(
        files.load(&hole, Flags::default()).unwrap_err(),
        [
            "env SPANMQ_CLUSTER__LINKS__3__NAME: `cluster.links.3.name`: the list has 1 elements, so the next one is number 2"
        ]
    );
}

#[test]
fn a_list_in_the_environment_replaces_the_one_of_the_file() {
    let files = Files::with_config("cluster.links = [{name = eu, server = \"eu:1\", topics = []}]");
    let env = [("EMQX_CLUSTER__LINKS", "[{name = us, server = \"us:1\", topics = []}]")];
    let loaded = files.load(&env, Flags::default()).unwrap();
    assert_eq!(loaded.config.cluster.links.iter().next().unwrap().value()["name"], "us");
    let notice = loaded.warnings.iter().find(|warning| warning.is_notice()).unwrap();
    assert_eq!(
        notice.to_string(),
        "environment variable EMQX_CLUSTER__LINKS is read as SPANMQ_CLUSTER__LINKS, its name here"
    );
}

#[test]
fn ours_wins_over_the_alias() {
    let env = [("SPANMQ_CLUSTER__NAME", "ours"), ("EMQX_CLUSTER__NAME", "theirs")];
    let loaded = Files::default().load(&env, Flags::default()).unwrap();
    assert_eq!(loaded.config.cluster.name.as_str(), "ours");
}

#[test]
fn unknown_names_in_the_environment_only_warn() {
    let env = [
        ("SPANMQ_MQTT__MAX_INFLIGT", "3"),
        ("SPANMQ_CONFIG", "x"),
        ("EMQX_HOME", "/opt"),
        ("EMQX_NODE__COOKIE", "c"),
        ("SPANMQ_DURABILITY", ""),
        ("PATH", "/bin"),
    ];
    let loaded = Files::default().load(&env, Flags::default()).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings[0],
        "environment variable SPANMQ_MQTT__MAX_INFLIGT names no key and is ignored; did you mean \
         SPANMQ_MQTT__MAX_INFLIGHT?"
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn broken_hocon_in_the_environment_is_an_error_of_that_variable() {
    let env = [("SPANMQ_CLUSTER__LINKS", "[{name = x")];
    assert_eq!(
        Files::default().load(&env, Flags::default()).unwrap_err(),
        [
            "env SPANMQ_CLUSTER__LINKS: this `{` is never closed; text that begins with [ is read as \
          HOCON and may need quotes around it"
        ]
    );
}

#[test]
fn includes_substitutions_and_concatenation_work() {
    let files = Files::with_config(
        "include \"base.conf\"\nbase = \"/srv\"\nnode.data_dir = ${base}/data\nmqtt {\n  include file(\"mqtt\")\n}\n\
         log.console.level = ${?LEVEL}\nnode.name = \"n@\"${HOST}\n",
    )
    .and("/etc/spanmq/base.conf", "cluster { name = base }\nmqtt.max_inflight = 3\n")
    .and("/etc/spanmq/mqtt.conf", "max_topic_levels = 5\nmax_inflght = 4\n");
    let error = files.load(&[("HOST", "h1")], Flags::default()).unwrap_err();
    assert_eq!(
        error,
        [
            "/etc/spanmq/mqtt.conf:2:1: unknown key `mqtt.max_inflght`; did you mean `mqtt.max_inflight`?"
        ]
    );
    let files = files.and("/etc/spanmq/mqtt.conf", "max_topic_levels = 5");
    let loaded = files.load(&[("HOST", "h1")], Flags::default()).unwrap();
    assert_eq!(loaded.config.node.data_dir.to_str(), Some("/srv/data"));
    assert_eq!(loaded.config.node.name.as_str(), "n@h1");
    assert_eq!(loaded.config.mqtt.max_inflight, 3);
    let origin = loaded.origin(&KeyPath::of("mqtt.max_inflight")).to_string();
    assert_eq!(origin, "/etc/spanmq/base.conf:2:1");
}

#[test]
fn includes_may_be_absent_unless_required_and_must_not_loop() {
    let loaded = config("include \"none.conf\"");
    assert!(loaded.warnings[0].to_string().contains("/etc/spanmq/none.conf does not exist"));
    assert_eq!(
        common::errors("\ninclude required(file(\"none.conf\"))"),
        ["2:1: cannot read /etc/spanmq/none.conf: no such file"]
    );
    let files =
        Files::with_config("include \"a.conf\"").and("/etc/spanmq/a.conf", "include \"a.conf\"");
    assert_eq!(
        files.load(&[], Flags::default()).unwrap_err(),
        ["/etc/spanmq/a.conf:1:1: /etc/spanmq/a.conf includes itself"]
    );
}

#[test]
fn secrets_may_lie_in_files() {
    let files = Files::with_config("dashboard.default_password = \"file://pw\"");
    let loaded = files.clone().and("/etc/spanmq/pw", "s3cret\n").load(&[], Flags::default());
    let password = loaded.unwrap().config.dashboard.default_password.unwrap();
    assert_eq!(password.reveal(), "s3cret");
    assert_eq!(
        files.load(&[], Flags::default()).unwrap_err(),
        [
            "/etc/spanmq/spanmq.conf:1:1: `dashboard.default_password`: cannot read /etc/spanmq/pw: no such file"
        ]
    );
}

#[test]
fn a_last_short_key_is_not_lost() {
    // hocon-rs alone takes `i=1` at the very end for the beginning of `include`.
    assert_eq!(common::errors("i=1"), ["1:1: unknown key `i`"]);
    config("dev=on");
    config("mqtt {max_inflight = 1,},");
}

#[test]
fn many_substitutions_are_allowed() {
    let mut text = String::from("base = 3\n");
    for index in 0..200 {
        text.push_str(&format!("listeners.tcp.l{index}.tcp_options.backlog = ${{base}}\nlisteners.tcp.l{index}.bind = 0\n"));
    }
    assert_eq!(config(&text).config.listeners.tcp["l7"].tcp_options.backlog, 3);
}
