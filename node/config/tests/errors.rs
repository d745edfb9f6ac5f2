//! Every kind of error, with its text and its place.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Files, config, errors};
use spanmq_config::Flags;

fn one_error(text: &str, expected: &str) {
    assert_eq!(errors(text), [expected], "{text}");
}

#[test]
fn open_brackets_and_quotes_are_named_where_they_begin() {
    one_error("node {\n  name = \"a@b\"\n", "1:6: this `{` is never closed");
    one_error("x = 1\ncluster.links = [\n {a = 1}", "2:17: this `[` is never closed");
    one_error("node.name = \"a@b\n", "1:13: the text that begins here has no closing quote");
    one_error(
        "node.name = \"\"\"a@b\n\n",
        "1:13: the text that begins here has no closing `\"\"\"`",
    );
    one_error("a {\n b = [1\n}", "3:1: this `}` meets the `[` of line 2");
    one_error("a = 1\n}", "2:1: this `}` closes nothing");
    one_error("{ dev = false }\nx = 1", "2:1: text after the brace that closes the file");
}

#[test]
fn keys_without_values_and_values_without_quotes_are_named() {
    one_error("durability", "1:1: `durability` is followed by neither `=` nor `{`");
    one_error("durability =\n", "1:1: this key has no value");
    one_error("a { b }", "1:5: `b` is followed by neither `=` nor `{`");
    one_error("node.name = a@b", "1:14: text with `@` must stand in quotes");
    one_error(
        "dev = false durability = local",
        "1:24: `=` follows a value; is a line end or a comma missing?",
    );
    one_error(
        "node.name = \"a\\qb\"",
        "1:17: a backslash must be followed by one of \" \\ / b f n r t u",
    );
}

#[test]
fn comments_and_quotes_hide_brackets() {
    let text =
        "# { [ \"\n// }\nlog.console.level = debug # }\nnode { data_dir = \"/a{b]\" } // [\n";
    assert_eq!(config(text).config.node.data_dir.to_str(), Some("/a{b]"));
}

#[test]
fn the_dots_of_the_guide_are_explained() {
    let expected = "`...` stands for left-out text; remove it or write what belongs there";
    one_error("cluster {\n  ...\n}", &format!("2:3: {expected}"));
    one_error("a = [1, ...]", &format!("1:9: {expected}"));
}

#[test]
fn unknown_keys_get_a_suggestion_and_all_of_them_are_told() {
    let text =
        "durabilty = local\nmqtt { max_inflght = 3\n zzz = 1 }\nlisteners.tcp.default.bnd = 1\n";
    assert_eq!(
        errors(text),
        [
            "1:1: unknown key `durabilty`; did you mean `durability`?",
            "2:8: unknown key `mqtt.max_inflght`; did you mean `mqtt.max_inflight`?",
            "3:2: unknown key `mqtt.zzz`",
            "4:1: unknown key `listeners.tcp.default.bnd`; did you mean `listeners.tcp.default.bind`?",
        ]
    );
}

#[test]
fn a_wrong_value_says_what_is_expected() {
    for (text, expected) in [
        (
            "mqtt.idle_timeout = soon",
            "`mqtt.idle_timeout`: soon is not a duration such as 15s, 1m30s or a number of milliseconds",
        ),
        (
            "mqtt.max_packet_size = 1.5MB",
            "`mqtt.max_packet_size`: 1.5MB is not a size such as 512KB, 1MB or a number of bytes",
        ),
        (
            "mqtt.max_packet_size = 1GB",
            "`mqtt.max_packet_size`: 1GB is not between 64B and 268435455B",
        ),
        ("mqtt.max_inflight = 0", "`mqtt.max_inflight`: 0 is not between 1 and 65535"),
        (
            "mqtt.max_inflight = 70000",
            "`mqtt.max_inflight`: 70000 is not a whole number between 0 and 65535",
        ),
        ("mqtt.retain_available = maybe", "`mqtt.retain_available`: maybe is not true or false"),
        (
            "mqtt.server_keepalive = never",
            "`mqtt.server_keepalive`: never is not a whole number between 0 and 65535 or disabled",
        ),
        ("mqtt = 3", "`mqtt`: 3 is not a section in braces"),
        ("authentication = 3", "`authentication`: 3 is not a list in brackets"),
        ("durability = disk", "`durability`: disk is not one of memory, local, local_fsync"),
        (
            "mqtt.shared_subscription_strategy = round_robbin",
            "round_robbin is not one of random, round_robin, round_robin_per_group, local, sticky, hash_clientid, hash_topic",
        ),
        (
            "node.name = spanmq",
            "`node.name`: spanmq is not allowed: a node name is NAME@HOST with exactly one `@`, such as spanmq@10.0.0.1",
        ),
        (
            "node.name = \"a/b@c\"",
            "`node.name`: a/b@c is not allowed: a node name is NAME@HOST without `/`, `+` and `#`",
        ),
        (
            "cluster.name = \"a+b\"",
            "`cluster.name`: a+b is not allowed: a cluster name has no `/`, `+`, `#` and no control characters",
        ),
        (
            "listeners.tcp.default.bind = \"h:1:2\"",
            "`listeners.tcp.default.bind`: h:1:2 is not an address such as 0.0.0.0:1883, \"[::1]:1883\" or a port",
        ),
        (
            "authentication = [{backend = http}]",
            "`authentication.1.backend`: http is not one of built_in_database",
        ),
    ] {
        let found = errors(text);
        assert!(found.len() == 1 && found[0].ends_with(expected), "{text}\n{found:#?}");
    }
}

#[test]
fn wrong_secrets_are_not_repeated() {
    let found = errors("dashboard.default_password = [hunter2]");
    assert_eq!(found, ["1:1: `dashboard.default_password`: the value is not text"]);
}

#[test]
fn an_api_beyond_loopback_needs_tls_or_a_word() {
    one_error(
        "dashboard.listeners.http.bind = \"0.0.0.0:18083\"",
        "1:1: `dashboard.listeners.http.bind`: 0.0.0.0:18083 would serve the API without TLS beyond \
         this machine; use `dashboard.listeners.https`, or --insecure if you must",
    );
    config("insecure = true, dashboard.listeners.http.bind = \"0.0.0.0:18083\"");
    // A bare port stays on loopback.
    let port = config("dashboard.listeners.http.bind = 8080").config.dashboard.listeners.http;
    assert_eq!(port.bind.0.to_string(), "127.0.0.1:8080");
}

#[test]
fn dev_keeps_everything_on_loopback() {
    let loaded = config("dev = true");
    assert_eq!(loaded.config.cluster.listen.0.to_string(), "127.0.0.1:5370");
    let bind = loaded.config.listeners.tcp["default"].bind;
    assert_eq!(bind.0.to_string(), "127.0.0.1:1883");
    let text = "dev = true\nlisteners.ws.default.bind = \"0.0.0.0:8083\"";
    one_error(
        text,
        "2:1: `listeners.ws.default.bind`: 0.0.0.0:8083 leaves loopback, which --dev does not allow",
    );
}

#[test]
fn init_and_join_exclude_each_other() {
    let flags = Flags {
        init: true,
        join: Some("n1:5370".into()),
        join_token: Some(spanmq_config::Secret::new("t")),
        ..Flags::default()
    };
    assert_eq!(
        Files::default().load(&[], flags).unwrap_err(),
        [
            "flag --join: --init makes a new cluster, --join enters an existing one; give only one of them"
        ]
    );
    let flags = Flags { join: Some("n1:5370".into()), ..Flags::default() };
    assert_eq!(
        Files::default().load(&[], flags).unwrap_err(),
        ["flag --join: `cluster.join.token` is missing: joining needs the token that `spanmq \
          cluster token` prints on a member"]
    );
}

#[test]
fn two_listeners_cannot_share_an_address() {
    one_error(
        "listeners.tcp.other.bind = 1883",
        "1:1: `listeners.tcp.other.bind`: 0.0.0.0:1883 is already taken by `listeners.tcp.default.bind`",
    );
    config("listeners.tcp { default.bind = 0, other.bind = 0 }");
}

#[test]
fn a_tls_listener_needs_files_that_exist() {
    assert_eq!(
        errors("listeners.ssl.default { ssl_options.verify = verify_peer }"),
        [
            "1:25: `listeners.ssl.default.ssl_options.certfile` is missing: a TLS listener needs it",
            "1:25: `listeners.ssl.default.ssl_options.keyfile` is missing: a TLS listener needs it",
            "1:25: `listeners.ssl.default.ssl_options.cacertfile` is missing: verify_peer checks client certificates against it",
        ]
    );
    assert_eq!(
        errors(
            "listeners.ssl.default.ssl_options { certfile = certs/c.pem, keyfile = \"/k.pem\" }"
        ),
        [
            "1:37: `listeners.ssl.default.ssl_options.certfile`: cannot read /etc/spanmq/certs/c.pem: no such file",
            "1:61: `listeners.ssl.default.ssl_options.keyfile`: cannot read /k.pem: no such file",
        ]
    );
}

#[test]
fn links_are_checked_by_their_own_rules_with_places() {
    let text = "cluster { name = us\n links = [\n\
        { name = us, server = \"h:1\", topics = [] },\n\
        { name = eu, server = \"h:1\", topics = [],\n  pasword = hunter2, pool_size = 0 },\n\
        { name = a, server = \"a:1\", topics = [\"a/#\",\n \"a/b\"] } ] }";
    let found = errors(text);
    assert!(
        found
            .iter()
            .any(|error| error.starts_with("3:3: `cluster.links.1.name`: cluster_link_to_self")),
        "{found:#?}"
    );
    assert!(found.iter().any(|error| error == "5:3: unknown key `cluster.links.2.pasword`; did you mean `cluster.links.2.password`?"), "{found:#?}");
    assert!(
        found
            .iter()
            .any(|error| error == "5:22: `cluster.links.2.pool_size`: expected = pos_integer()"),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|error| error.starts_with("6:29: `cluster.links.3.topics`: redundant_topics")),
        "{found:#?}"
    );
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(!found.join("").contains("hunter2"));
}

#[test]
fn two_links_to_one_cluster_are_refused() {
    let link = "{ name = eu, server = \"h:1\", topics = [] }";
    one_error(
        &format!("cluster.links = [{link}, {link}]"),
        "1:1: `cluster.links`: duplicated_cluster_links (duplicates = [\"eu\"])",
    );
}

#[test]
fn the_best_known_password_is_refused() {
    one_error(
        "dashboard.default_password = public",
        "1:1: `dashboard.default_password` is one that everybody knows; leave it out to get a random one",
    );
}

#[test]
fn elections_must_outlast_heartbeats() {
    one_error(
        "raft { heartbeat_interval = 300ms\n election_timeout = 500ms }",
        "2:2: `raft.election_timeout` must be at least three times `raft.heartbeat_interval`, or a \
         late heartbeat starts an election",
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let inputs = spanmq_config::Inputs { file: Some("/no.conf".into()), ..Default::default() };
    let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let errors = spanmq_config::load(&inputs, none).unwrap_err();
    assert_eq!(errors.to_string(), "flag --config: cannot read /no.conf: entity not found");
}

#[test]
fn substitutions_that_lead_nowhere_are_named_where_they_stand() {
    let found = errors("a = 1\nnode.data_dir = ${nowhere.at.all}");
    assert!(found.len() == 1 && found[0].starts_with("2:17: "), "{found:?}");
    let found = errors("node.data_dir = ${node.data_dir2}\nnode.data_dir2 = ${node.data_dir}");
    assert!(found.len() == 1 && found[0].contains("cycle"), "{found:?}");
}

#[test]
fn keys_of_emqx_without_meaning_here_only_warn() {
    let loaded = config("node.cookie = abc\ntelemetry.enable = true");
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("spanmq.conf:1:1: `node.cookie` is ignored")));
    assert!(
        warnings.iter().any(|text| text.contains("`telemetry` is ignored: nothing is sent home"))
    );
}
