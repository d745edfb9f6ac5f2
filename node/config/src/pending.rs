//! Settings that are read and checked, and that nothing acts upon yet.
//!
//! A file may name them, as files written for EMQX do; a value other than the default is answered
//! with a warning, so that nobody relies on it. `cargo xtask tidy` compares this list with the code.

use serde_json::{Value, json};

use crate::error::Warning;
use crate::origin::{KeyPath, Origin};
use crate::setting::Effective;

const REASON: &str = "this version does not act upon it yet";

/// Keys, `*` for any one segment, with the value that stands for what happens anyway.
fn pending() -> Vec<(&'static str, Value)> {
    vec![
        ("cluster.links_source", json!("runtime")),
        ("dashboard.listeners.http.enable", json!(true)),
        ("dashboard.listeners.https.ssl_options.handshake_timeout", json!("5s")),
        ("dashboard.listeners.https.ssl_options.versions", json!(["tlsv1.3", "tlsv1.2"])),
        ("dashboard.max_body_size", json!("1MB")),
        ("limits.accept_rate", json!("infinity")),
        ("limits.peer_spool_bytes", json!("1GB")),
        ("limits.session_overflow", json!("drop_oldest")),
        ("links.gc_interval", json!("30s")),
        ("listeners.*.*.proxy_protocol", json!(false)),
        ("listeners.*.*.proxy_protocol_timeout", json!("3s")),
        ("listeners.*.*.ssl_options.handshake_timeout", json!("5s")),
        ("listeners.*.*.ssl_options.versions", json!(["tlsv1.3", "tlsv1.2"])),
        ("listeners.*.*.tcp_options.backlog", json!(1024)),
        ("listeners.*.*.tcp_options.nodelay", json!(true)),
        ("listeners.*.*.websocket.allowed_origins", json!([])),
        ("listeners.*.*.websocket.fail_if_no_subprotocol", json!(true)),
        ("listeners.*.*.websocket.max_frame_size", json!("infinity")),
        ("mqtt.await_rel_timeout", json!("5m")),
        ("mqtt.ignore_loop_deliver", json!(false)),
        ("mqtt.keepalive_multiplier", json!(1.5)),
        ("mqtt.max_awaiting_rel", json!(100)),
        ("mqtt.max_clientid_len", json!(65_535)),
        ("mqtt.max_qos_allowed", json!(2)),
        ("mqtt.message_expiry_interval", json!("infinity")),
        ("mqtt.response_information", json!("")),
        ("mqtt.retain_available", json!(true)),
        ("mqtt.session_expiry_interval", json!("2h")),
        ("mqtt.shared_subscription", json!(true)),
        ("mqtt.wildcard_subscription", json!(true)),
        ("retainer.enable", json!(true)),
        ("retainer.msg_clear_interval", json!("1m")),
        ("retainer.msg_expiry_interval", json!("0s")),
        ("retainer.stop_publish_clear_msg", json!(false)),
        ("session.orphan", json!("resume")),
    ]
}

fn is(key: &KeyPath, pattern: &str) -> bool {
    let pattern: Vec<_> = pattern.split('.').collect();
    key.segments().len() == pattern.len()
        && key.segments().iter().zip(pattern).all(|(word, wanted)| wanted == "*" || word == wanted)
}

/// One warning for each that was set to something else.
pub(crate) fn warnings(effective: &[Effective]) -> Vec<Warning> {
    let pending = pending();
    let set = effective.iter().filter(|setting| setting.origin != Origin::Default);
    set.filter(|setting| {
        let of = pending.iter().find(|(pattern, _)| is(&setting.key, pattern));
        of.is_some_and(|(_, default)| *default != setting.value)
    })
    .map(|setting| Warning::Ignored {
        key: setting.key.clone(),
        reason: REASON,
        origin: setting.origin.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use crate::{Inputs, load};

    use super::*;

    fn loaded(text: &str) -> Vec<String> {
        let inputs = Inputs { file: Some("f.conf".into()), ..Inputs::default() };
        let loaded = load(&inputs, |_| Ok(text.to_owned())).unwrap();
        loaded.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_nothing_acts_upon_is_said_when_it_is_set() {
        let said = loaded("mqtt.max_qos_allowed = 1\nlisteners.tcp.default.proxy_protocol = true");
        let about = |key: &str| said.iter().filter(|line| line.contains(key)).count();
        assert_eq!((about("`mqtt.max_qos_allowed` is ignored"), about("proxy_protocol`")), (1, 1));
        let quiet =
            loaded("mqtt.max_qos_allowed = 2\nlisteners.tcp.default.proxy_protocol = false");
        assert!(!quiet.iter().any(|line| line.contains(REASON)), "{quiet:?}");
    }

    #[test]
    fn every_key_of_the_list_exists_with_this_default() {
        let tls = "bind = 0, ssl_options { certfile = c, keyfile = k }";
        let text = format!(
            "listeners {{ ws.default.bind = 0, ssl.default {{ {tls} }} }}\n\
             dashboard.listeners.https {{ {tls} }}"
        );
        let inputs = Inputs { file: Some("f.conf".into()), ..Inputs::default() };
        let effective = load(&inputs, |_| Ok(text.clone())).unwrap().effective;
        for (pattern, default) in &pending() {
            let same: Vec<_> = effective.iter().filter(|one| is(&one.key, pattern)).collect();
            assert!(!same.is_empty(), "{pattern} is no key");
            assert!(same.iter().all(|one| one.value == *default), "{pattern}: {same:?}");
        }
    }
}
