//! Listeners for MQTT clients, from the configuration of a node.

use std::path::PathBuf;

use anyhow::Context;
use spanmq_config::{
    Config, Listener, ListenerKind, PeerCertAsUsername, ServerTls, TlsVerify,
    TlsVersion as ConfigTlsVersion, WebsocketOptions,
};
use spanmq_mqtt::config::{
    ListenerConfig, TlsConfig, TlsVersion, Transport, UsernameSource, WsConfig,
};

pub(super) fn listener(config: &Config, listener: &Listener<'_>) -> anyhow::Result<ListenerConfig> {
    let name = format!("{}:{}", listener.kind.as_str(), listener.name);
    let tls = || {
        let tls = listener.tls.with_context(|| format!("listener {name}: no ssl_options"))?;
        server_tls(tls).with_context(|| format!("listener {name}"))
    };
    let ws = || listener.websocket.map_or_else(WsConfig::default, websocket);
    let transport = match listener.kind {
        ListenerKind::Tcp => Transport::Tcp,
        ListenerKind::Ssl => Transport::Tls(tls()?),
        ListenerKind::Ws => Transport::Ws(ws()),
        ListenerKind::Wss => Transport::Wss(tls()?, ws()),
    };
    let mqtt = &config.mqtt;
    let mut settings = ListenerConfig::new(&name, listener.bind.0, transport);
    settings.packet_bytes_max = u32::try_from(mqtt.max_packet_size.0).unwrap_or(u32::MAX);
    settings.connect_timeout = mqtt.idle_timeout;
    settings.keep_alive_max_s = mqtt.server_keepalive_s.enabled().unwrap_or(0);
    settings.idle_timeout = config.limits.idle_connection;
    settings.connections_max = listener.max_connections.finite().unwrap_or(0) as usize;
    settings.backlog = listener.tcp_options.backlog;
    settings.nodelay = listener.tcp_options.nodelay;
    settings.proxy_timeout = listener.proxy_protocol;
    let shows = listener.tls.is_some_and(|tls| tls.verify == TlsVerify::VerifyPeer);
    settings.username_from = match mqtt.peer_cert_as_username {
        PeerCertAsUsername::Cn if shows => UsernameSource::CertificateCn,
        PeerCertAsUsername::Dn if shows => UsernameSource::CertificateDn,
        _ => UsernameSource::Connect,
    };
    Ok(settings)
}

fn server_tls(tls: &ServerTls) -> anyhow::Result<TlsConfig> {
    let file = |path: &Option<PathBuf>, key: &str| {
        path.clone().with_context(|| format!("ssl_options.{key} is missing"))
    };
    let verify = tls.verify == TlsVerify::VerifyPeer;
    let version = |version: &ConfigTlsVersion| match version {
        ConfigTlsVersion::V1_2 => TlsVersion::V1_2,
        ConfigTlsVersion::V1_3 => TlsVersion::V1_3,
    };
    Ok(TlsConfig {
        certificate: file(&tls.certfile, "certfile")?,
        key: file(&tls.keyfile, "keyfile")?,
        client_ca: if verify { Some(file(&tls.cacertfile, "cacertfile")?) } else { None },
        client_required: verify && tls.fail_if_no_peer_cert,
        versions: tls.versions.iter().map(version).collect(),
        handshake_timeout: tls.handshake_timeout,
    })
}

fn websocket(options: &WebsocketOptions) -> WsConfig {
    WsConfig {
        path: options.mqtt_path.clone(),
        allowed_origins: options.allowed_origins.clone(),
        needs_subprotocol: options.fail_if_no_subprotocol,
        frame_bytes_max: options.max_frame_size.finite().map(|bytes| bytes.0),
    }
}
