//! What a change does (1.5), and what is warned about.

use super::*;

fn effect(fields: Value) -> ChangeEffect {
    ChangeEffect::of_update(&created(json!({})), &created(fields))
}

#[test]
fn each_row_of_the_table_of_changes() {
    use PartEffect::{Keep, Restart};
    for (fields, replication, pool) in [
        (json!({ "server": "other" }), Restart, Restart),
        (json!({ "clientid": "x" }), Restart, Restart),
        (json!({ "username": "u" }), Restart, Restart),
        (json!({ "password": "p" }), Restart, Restart),
        (json!({ "ssl": { "enable": true } }), Restart, Restart),
        (json!({ "topics": ["a"] }), Restart, Keep),
        (json!({ "pool_size": 2 }), Keep, Restart),
        (json!({ "retry_interval": "20s" }), Keep, Restart),
        (json!({ "max_inflight": 2 }), Keep, Restart),
        (json!({ "resource_opts": { "start_timeout": "1s" } }), Keep, Restart),
        (json!({ "tcp_opts": { "nodelay": true } }), Keep, Restart),
        (json!({ "inbound": { "username": "u" } }), Keep, Keep),
        (json!({ "share_client_address": false }), Keep, Keep),
    ] {
        let effect = effect(fields.clone());
        assert_eq!((effect.replication, effect.pool), (replication, pool), "{fields}");
        assert!(effect.bump_counter, "{fields}");
        assert!(!effect.drop_buffers, "{fields}: buffers survive every change (C-15)");
    }
}

#[test]
fn no_difference_is_no_effect_however_it_is_written() {
    let effect = effect(json!({ "retry_interval": 15000, "pool_size": "8", "enable": "true" }));
    assert_eq!(effect, ChangeEffect::of_update(&created(json!({})), &created(json!({}))));
    assert!(!effect.bump_counter);
}

#[test]
fn only_the_number_of_lanes_spreads_buffers_anew() {
    assert!(effect(json!({ "resource_opts": { "worker_pool_size": 4 } })).rehash_buffers);
    assert!(!effect(json!({ "pool_size": 4 })).rehash_buffers);
}

#[test]
fn enabling_starts_and_disabling_stops_and_loses_the_buffer() {
    let on = created(json!({}));
    let off = created(json!({ "enable": false, "pool_size": 1 }));
    let stop = ChangeEffect::of_update(&on, &off);
    assert_eq!((stop.replication, stop.pool), (PartEffect::Stop, PartEffect::Stop));
    assert!(stop.drop_buffers && stop.bump_counter);
    let start = ChangeEffect::of_update(&off, &on);
    assert_eq!((start.replication, start.pool), (PartEffect::Start, PartEffect::Start));
    assert!(!start.drop_buffers && start.bump_counter);
    let create = ChangeEffect::of_create(&on);
    assert_eq!((create.replication, create.bump_counter), (PartEffect::Start, false));
    assert_eq!(ChangeEffect::of_create(&off).replication, PartEffect::Keep);
    assert!(ChangeEffect::of_delete(&on).drop_buffers);
}

#[test]
fn a_change_of_a_disabled_link_starts_nothing_but_counts() {
    let off = |size: u32| created(json!({ "enable": false, "pool_size": size }));
    let effect = ChangeEffect::of_update(&off(1), &off(2));
    assert_eq!((effect.replication, effect.pool), (PartEffect::Keep, PartEffect::Keep));
    assert!(effect.bump_counter && !effect.drop_buffers);
}

fn codes(link: &LinkConfig) -> Vec<&'static str> {
    warnings(link).iter().map(|warning| warning.code).collect()
}

#[test]
fn what_is_allowed_but_not_meant_is_warned_about() {
    assert_eq!(codes(&created(json!({}))), [] as [&str; 0]);
    let short = created(json!({ "resource_opts": { "request_ttl": "15s" } }));
    assert_eq!(codes(&short), ["request_ttl_too_short"]);
    let blind = created(json!({ "ssl": { "enable": true, "verify": "verify_none" } }));
    assert_eq!(codes(&blind), ["tls_verify_none"]);
    let odd =
        created(json!({ "ssl": { "enable": true, "ciphers": ["X"], "reuse_sessions": false } }));
    assert_eq!(codes(&odd), ["ssl_fields_ignored"]);
    assert!(warnings(&odd)[0].message.contains("ciphers"));
    assert!(!warnings(&odd)[0].message.contains("reuse_sessions"), "that is the default");
    let file = body(json!({ "server": "mqtts://h" }));
    assert_eq!(codes(&parse_file(&file, CONTEXT).unwrap()), ["mqtts_requires_ssl_enable"]);
}
