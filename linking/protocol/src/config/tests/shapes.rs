//! What a valid link looks like: defaults, units, forms, rendering.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn the_smallest_body_gives_every_default() {
    let link = created(json!({}));
    let shown = link.to_json(Reveal::Redacted);
    assert_eq!(
        shown,
        json!({
            "name": "eu-west", "enable": true, "server": "mqtt.eu.example",
            "clientid": "us-east",
            "topics": ["global/#"],
            "ssl": { "enable": false, "verify": "verify_peer", "depth": 10,
                     "versions": ["tlsv1.3", "tlsv1.2"], "ciphers": [],
                     "secure_renegotiate": true, "reuse_sessions": false,
                     "log_level": "notice", "hibernate_after": "5s", "middlebox_comp_mode": true },
            "pool_size": 8, "retry_interval": "15s", "max_inflight": 32,
            "resource_opts": { "buffer_mode": "memory_only", "worker_pool_size": 16,
                     "dispatch_strategy": "per_clientid", "health_check_interval": "15s",
                     "health_check_interval_jitter": "0ms", "health_check_timeout": "60s",
                     "start_timeout": "5s", "request_ttl": "infinity", "inflight_window": 100,
                     "max_buffer_bytes": "1GB" },
            "buffer": { "mode": "disk", "disk_max_bytes": "1GB", "memory_max_bytes": "64MB",
                        "max_age": "infinity", "overflow": "drop_oldest" },
            "share_client_address": true,
            "ps_actor_incarnation": 0,
        })
    );
}

#[test]
fn everything_that_can_be_set_is_stored_and_read_back() {
    let link = created(json!({
        "enable": "false", "server": "mqtts://a:8883, [::1]:1884", "clientid": 7,
        "username": "u", "password": "p", "topics": [], "pool_size": "4",
        "retry_interval": "1m30s", "max_inflight": 0,
        "ssl": { "enable": true, "verify": "verify_none", "cacertfile": "ca.pem",
                 "server_name_indication": "disable", "versions": ["tlsv1.2"],
                 "ciphers": ["X"], "partial_chain": true, "keyfile": "k.pem", "certfile": "c.pem" },
        "tcp_opts": { "nodelay": true, "sndbuf": "4KB", "active_n": 10, "keepalive": "true" },
        "resource_opts": { "request_timeout": "2h", "async_inflight_window": 5,
                 "max_queue_bytes": "512mb", "enable_queue": true, "auto_restart_interval": "60s",
                 "dispatch_strategy": "random", "health_check_timeout": "infinity",
                 "resume_interval": "3s", "buffer_seg_bytes": 1024 },
        "buffer": { "mode": "memory", "overflow": "reject_qos1" },
        "inbound": { "clientid_prefix": "clink-eu-", "cert_cn": "eu" },
        "share_client_address": false, "ps_actor_incarnation": 9,
    }));
    assert!(!link.enable);
    assert_eq!(link.server.addresses().len(), 2);
    assert_eq!(link.server.addresses()[1].to_string(), "[::1]:1884");
    assert_eq!(link.server.scheme(), Some(Scheme::Mqtts));
    assert_eq!((link.clientid.as_str(), link.pool_size), ("7", 4));
    assert_eq!(link.retry_interval.as_duration(), Duration::from_secs(90));
    assert_eq!(link.effective_inflight(), 1);
    assert_eq!(link.resource_opts.inflight_window, 5);
    assert_eq!(link.buffer.max_age.as_duration(), Some(Duration::from_secs(7200)));
    assert_eq!(link.buffer.disk_max_bytes.as_bytes(), 512 << 20);
    assert_eq!(link.ps_actor_incarnation, 9);
    let stored = link.to_json(Reveal::Stored);
    assert_eq!(parse_stored(&stored, CONTEXT).unwrap(), link);
    assert_eq!(stored["retry_interval"], "1m30s");
    assert_eq!(stored["resource_opts"]["max_buffer_bytes"], "512mb");
}

#[test]
fn durations_are_read_as_the_reference_reads_them() {
    for (text, ms) in [
        ("15s", 15_000),
        ("1m30s", 90_000),
        ("1.5s", 1_500),
        ("100ms", 100),
        ("250", 250),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1f", 1_209_600_000),
        ("0ms", 0),
    ] {
        assert_eq!(Span::parse(text).map(|span| span.as_ms()), Some(ms), "{text}");
    }
    for text in ["", "s", "15x", "1.s", ".5s", "-1s", "1s2", "1e3s", "999999999999999999w", "1..5s"]
    {
        assert_eq!(Span::parse(text), None, "{text}");
    }
}

#[test]
fn sizes_are_read_as_the_reference_reads_them() {
    for (text, bytes) in
        [("0", 0), ("100", 100), ("100B", 100), ("4KB", 4096), ("4kb", 4096), ("1GB", 1 << 30)]
    {
        assert_eq!(ByteSize::parse(text).map(|size| size.as_bytes()), Some(bytes), "{text}");
    }
    for text in ["", "KB", "1.5MB", "1 MB", "1Mb", "1TB", "-1", "99999999999GB"] {
        assert_eq!(ByteSize::parse(text), None, "{text}");
    }
}

#[test]
fn addresses_have_a_default_port_whatever_the_scheme() {
    for (text, host, port) in [
        ("h", "h", 1883),
        ("h:11883", "h", 11883),
        ("mqtt://h", "h", 1883),
        ("10.0.0.1", "10.0.0.1", 1883),
        ("[2001:db8::1]", "2001:db8::1", 1883),
        ("[2001:db8::1]:8883", "2001:db8::1", 8883),
    ] {
        let servers = Servers::parse(text).unwrap();
        let address = &servers.addresses()[0];
        assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
    }
}

#[test]
fn a_round_of_attempts_visits_every_address_once_from_any_start() {
    let servers = Servers::parse("a,b,c").unwrap();
    for (random, order) in [(0, "abc"), (1, "bca"), (5, "cab")] {
        let hosts: String = servers.round(random).map(|address| address.host.as_str()).collect();
        assert_eq!(hosts, order);
    }
}

#[test]
fn read_only_fields_of_an_answer_may_be_sent_back() {
    let mut shown = created(json!({})).to_json(Reveal::Redacted);
    for field in ["status", "node_status", "replication_status", "reason", "since", "warnings"] {
        shown[field] = json!("x");
    }
    assert!(parse_create(&shown, CONTEXT).is_ok());
}

#[test]
fn an_update_keeps_the_name_and_the_hidden_counter() {
    let stored = LinkConfig { ps_actor_incarnation: 41, ..created(json!({})) };
    let sent = body(json!({ "name": "other", "ps_actor_incarnation": 0 }));
    let updated = parse_update(&sent, &stored, CONTEXT).unwrap();
    assert_eq!((updated.name.as_str(), updated.ps_actor_incarnation), ("eu-west", 41));
}

#[test]
fn an_update_replaces_the_entry_so_omitted_options_return_to_their_defaults() {
    let stored = created(json!({ "pool_size": 2, "buffer": { "mode": "memory" } }));
    let updated = parse_update(&body(json!({})), &stored, CONTEXT).unwrap();
    assert_eq!((updated.pool_size, updated.buffer.mode), (8, BufferMode::Disk));
}

#[test]
fn of_two_names_for_one_limit_the_one_that_was_changed_counts() {
    let stored = created(json!({}));
    let shown = stored.to_json(Reveal::Redacted);
    let mut old_name = shown.clone();
    old_name["resource_opts"]["request_ttl"] = json!("45s");
    old_name["resource_opts"]["max_buffer_bytes"] = json!("2GB");
    let updated = parse_update(&old_name, &stored, CONTEXT).unwrap();
    assert_eq!(updated.buffer.max_age.as_text(), "45s");
    assert_eq!(updated.buffer.disk_max_bytes.as_text(), "2GB");
    let mut our_name = shown;
    our_name["buffer"]["max_age"] = json!("1h");
    our_name["buffer"]["disk_max_bytes"] = json!("4GB");
    let updated = parse_update(&our_name, &stored, CONTEXT).unwrap();
    assert_eq!(updated.buffer.max_age.as_text(), "1h");
    assert_eq!(updated.buffer.disk_max_bytes.as_text(), "4GB");
}

#[test]
fn state_of_a_newer_version_is_read_without_its_new_fields() {
    let mut stored = created(json!({})).to_json(Reveal::Stored);
    stored["from_the_future"] = json!(1);
    assert!(parse_stored(&stored, CONTEXT).is_ok());
    assert!(parse_file(&stored, CONTEXT).is_err());
}

#[test]
fn certificates_given_as_text_are_named_for_the_shell() {
    let pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----";
    let link = created(json!({ "ssl": { "cacertfile": pem, "certfile": "etc/c.pem" } }));
    assert_eq!(link.ssl.inline_pems(), [("cacertfile", pem)]);
}

#[test]
fn empty_credentials_are_none() {
    let link = created(json!({ "username": "", "password": "", "clientid": "" }));
    assert_eq!((link.username, link.password), (None, None));
    assert_eq!(link.clientid, "us-east");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9/+#:.$, -]{0,12}".prop_map(Value::from),
        proptest::sample::select(vec!["infinity", "15s", "1MB", "mqtts://h:1", REDACTED, "disk"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((field(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    let names = [
        "name",
        "enable",
        "server",
        "clientid",
        "username",
        "password",
        "ssl",
        "topics",
        "pool_size",
        "retry_interval",
        "max_inflight",
        "tcp_opts",
        "resource_opts",
        "buffer",
        "inbound",
        "verify",
        "keyfile",
        "versions",
        "request_ttl",
        "max_buffer_bytes",
        "mode",
        "max_age",
        "health_check_interval",
        "sndbuf",
        "cert_cn",
        "foo",
    ];
    proptest::sample::select(names.to_vec()).prop_map(str::to_owned)
}

proptest! {
    /// Whatever is accepted is stored and read back; nothing panics; every error has a text.
    #[test]
    fn no_json_makes_the_checks_panic(
        fields in proptest::collection::vec((field(), any_json()), 0..6),
        whole in any_json(),
    ) {
        let mut sent = body(json!({}));
        for (name, value) in fields {
            sent[name] = value;
        }
        for value in [&sent, &whole] {
            crate::fuzz::rest_link_json(value.to_string().as_bytes());
            if let Err(errors) = parse_create(value, CONTEXT) {
                let text = all_errors_text(&errors, PathBase::Create);
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            }
            let _ = parse_update(value, &created(json!({})), CONTEXT);
        }
    }
}
