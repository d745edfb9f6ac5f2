//! Each setting reaches the part that acts upon it; what it does there is tested there.

use spanmq_config::{Inputs, load};
use spanmq_mqtt::config::{ListenerConfig, TlsVersion, Transport, UsernameSource};

use super::*;

const TEXT: &str = r#"
node { name = "n1@127.0.0.1", workers = 3 }
sys_topics.sys_msg_interval = 19s
mqtt {
  max_qos_allowed = 1, retain_available = false, wildcard_subscription = false
  shared_subscription = false, max_clientid_len = 100, keepalive_multiplier = 2.5
  session_expiry_interval = 3h, ignore_loop_deliver = true, message_expiry_interval = 10m
  response_information = "r/", max_awaiting_rel = 7, await_rel_timeout = 9s
  peer_cert_as_username = dn, idle_timeout = 6s
}
retainer { enable = false, msg_expiry_interval = 8s, stop_publish_clear_msg = true }
limits { accept_rate = 11, session_overflow = drop_oldest }
session.orphan = refuse
links { gc_interval = 12s, actor_ttl = 13s, route_hold = 14s }
cluster.links_source = file
dashboard { max_body_size = 15KB, listeners.http.enable = false, token_expired_time = 16m }
listeners {
  tcp.t { bind = "127.0.0.1:0", proxy_protocol = true, proxy_protocol_timeout = 2s
          tcp_options { backlog = 17, nodelay = false } }
  ws.w { bind = "127.0.0.1:0"
         websocket { mqtt_path = "/w", max_frame_size = 18KB, fail_if_no_subprotocol = false
                     allowed_origins = ["https://a"] } }
  ssl.s { bind = "127.0.0.1:0"
          ssl_options { certfile = c, keyfile = k, cacertfile = a, verify = verify_peer
                        versions = ["tlsv1.2"], handshake_timeout = 4s } }
}
"#;

fn config() -> Config {
    let inputs = Inputs { file: Some("f.conf".into()), ..Inputs::default() };
    load(&inputs, |_| Ok(TEXT.to_owned())).unwrap().config
}

#[test]
fn rules_limits_and_sessions_of_the_broker() {
    let broker = broker(&config()).unwrap();
    let expected = ClientRules {
        qos_max: QoS::AtLeastOnce,
        retain: false,
        wildcards: false,
        shared: false,
        client_id_bytes_max: 100,
        keep_alive_factor: 2.5,
        session_expiry_v3_s: 3 * 3_600,
        echo_v3: false,
        message_expiry_s: Some(600),
        response_information: Some("r/".into()),
        retainer: RetainerRules { keeps: false, expiry_s: Some(8), hides_clearing: true },
    };
    assert_eq!(broker.rules, expected);
    assert_eq!(broker.connections.accept_per_second, 11);
    assert_eq!(broker.orphans, Orphans::Refuse);
    assert_eq!((broker.workers, broker.sys_interval), (3, Duration::from_secs(19)));
    assert_eq!(broker.limits.overflow, Overflow::DropOldest);
    assert_eq!(broker.limits.awaiting_release_max, 7);
    assert_eq!(broker.limits.awaiting_release_time, Duration::from_secs(9));
}

#[test]
fn what_is_off_or_without_limit_by_default() {
    let inputs = Inputs { file: Some("f.conf".into()), ..Inputs::default() };
    let config = load(&inputs, |_| Ok("node.name = \"n1@127.0.0.1\"".into())).unwrap().config;
    let broker = broker(&config).unwrap();
    assert_eq!(broker.rules, ClientRules::default());
    assert_eq!(broker.connections.accept_per_second, 0);
    assert!(broker.workers > 0);
    assert_eq!(broker.listeners[0].proxy_timeout, None);
}

#[test]
fn options_of_listeners() {
    let broker = broker(&config()).unwrap();
    let listener = |name: &str| -> &ListenerConfig {
        broker.listeners.iter().find(|listener| &*listener.name == name).unwrap()
    };
    let tcp = listener("tcp:t");
    assert_eq!((tcp.backlog, tcp.nodelay), (17, false));
    assert_eq!(tcp.proxy_timeout, Some(Duration::from_secs(2)));
    assert_eq!(tcp.connect_timeout, Duration::from_secs(6));
    assert_eq!(tcp.username_from, UsernameSource::Connect, "no certificates");
    let Transport::Ws(ws) = &listener("ws:w").transport else { panic!() };
    assert_eq!((ws.path.as_str(), ws.needs_subprotocol), ("/w", false));
    assert_eq!(
        (ws.frame_bytes_max, &*ws.allowed_origins),
        (Some(18 << 10), &["https://a".into()][..])
    );
    let ssl = listener("ssl:s");
    let Transport::Tls(tls) = &ssl.transport else { panic!() };
    assert_eq!(tls.versions, [TlsVersion::V1_2]);
    assert_eq!(tls.handshake_timeout, Duration::from_secs(4));
    assert_eq!(ssl.username_from, UsernameSource::CertificateDn);
}

#[test]
fn linking_and_the_api() {
    let config = config();
    let expiry = linking(&config, 1).expiry;
    assert_eq!(expiry.gc_interval, Duration::from_secs(12));
    assert_eq!(expiry.ttl, Duration::from_secs(13));
    assert_eq!(expiry.route_hold, Duration::from_secs(14));
    let api = api(&config).unwrap();
    assert_eq!((api.bind, api.body_bytes_max), (None, 15 << 10));
    assert!(api.links_are_of_the_file);
    assert_eq!(api.token_life, Duration::from_secs(16 * 60));
}
