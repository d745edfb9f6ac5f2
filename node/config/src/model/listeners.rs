//! Listeners for MQTT clients.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::declare::{choice, settings};
use crate::scalars::bind;
use crate::types::{BindAddr, ByteSize, OrInfinity};
use spanmq_link_protocol::config::Secret;

choice! {
    /// Whether the other side must show a certificate.
    pub enum TlsVerify {
        VerifyPeer = "verify_peer",
        VerifyNone = "verify_none",
    }
}

choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        V1_3 = "tlsv1.3",
        V1_2 = "tlsv1.2",
    }
}

settings! {
    /// MQTT listeners by kind and name. Only `tcp.default` exists unless configured.
    pub struct Listeners {
        /// Plain TCP.
        "tcp" => tcp: BTreeMap<String, TcpListener> =
            BTreeMap::from([("default".into(), TcpListener::default())]),
        /// TLS.
        "ssl" => ssl: BTreeMap<String, SslListener> = BTreeMap::new(),
        /// WebSocket.
        "ws" => ws: BTreeMap<String, WsListener> = BTreeMap::new(),
        /// WebSocket over TLS.
        "wss" => wss: BTreeMap<String, WssListener> = BTreeMap::new(),
    }
}

settings! {
    /// A plain TCP listener.
    pub struct TcpListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on all addresses.
        "bind" => bind: BindAddr = bind([0, 0, 0, 0], 1883),
        /// Most connections at once.
        "max_connections" => max_connections: OrInfinity<u32> = OrInfinity::Infinity,
        /// Whether a proxy in front tells the client's address (PROXY protocol v1, v2).
        "proxy_protocol" => proxy_protocol: bool = false,
        /// How long to wait for the proxy's header, within `mqtt.idle_timeout`.
        "proxy_protocol_timeout" => proxy_protocol_timeout: Duration = Duration::from_secs(3),
        /// Socket options.
        "tcp_options" => tcp_options: TcpOptions = TcpOptions::default(),
    }
}

settings! {
    /// A TLS listener.
    pub struct SslListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on all addresses.
        "bind" => bind: BindAddr = bind([0, 0, 0, 0], 8883),
        /// Most connections at once.
        "max_connections" => max_connections: OrInfinity<u32> = OrInfinity::Infinity,
        /// Whether a proxy in front tells the client's address (PROXY protocol v1, v2).
        "proxy_protocol" => proxy_protocol: bool = false,
        /// How long to wait for the proxy's header, within `mqtt.idle_timeout`.
        "proxy_protocol_timeout" => proxy_protocol_timeout: Duration = Duration::from_secs(3),
        /// Socket options.
        "tcp_options" => tcp_options: TcpOptions = TcpOptions::default(),
        /// Certificates and TLS rules.
        "ssl_options" => ssl_options: ServerTls = ServerTls::default(),
    }
}

settings! {
    /// A WebSocket listener.
    pub struct WsListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on all addresses.
        "bind" => bind: BindAddr = bind([0, 0, 0, 0], 8083),
        /// Most connections at once.
        "max_connections" => max_connections: OrInfinity<u32> = OrInfinity::Infinity,
        /// Whether a proxy in front tells the client's address (PROXY protocol v1, v2).
        "proxy_protocol" => proxy_protocol: bool = false,
        /// How long to wait for the proxy's header, within `mqtt.idle_timeout`.
        "proxy_protocol_timeout" => proxy_protocol_timeout: Duration = Duration::from_secs(3),
        /// Socket options.
        "tcp_options" => tcp_options: TcpOptions = TcpOptions::default(),
        /// WebSocket rules.
        "websocket" => websocket: WebsocketOptions = WebsocketOptions::default(),
    }
}

settings! {
    /// A WebSocket listener over TLS.
    pub struct WssListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on all addresses.
        "bind" => bind: BindAddr = bind([0, 0, 0, 0], 8084),
        /// Most connections at once.
        "max_connections" => max_connections: OrInfinity<u32> = OrInfinity::Infinity,
        /// Whether a proxy in front tells the client's address (PROXY protocol v1, v2).
        "proxy_protocol" => proxy_protocol: bool = false,
        /// How long to wait for the proxy's header, within `mqtt.idle_timeout`.
        "proxy_protocol_timeout" => proxy_protocol_timeout: Duration = Duration::from_secs(3),
        /// Socket options.
        "tcp_options" => tcp_options: TcpOptions = TcpOptions::default(),
        /// Certificates and TLS rules.
        "ssl_options" => ssl_options: ServerTls = ServerTls::default(),
        /// WebSocket rules.
        "websocket" => websocket: WebsocketOptions = WebsocketOptions::default(),
    }
}

settings! {
    /// Options of accepted sockets.
    pub struct TcpOptions {
        /// Connections that the system may hold before they are accepted.
        "backlog" => backlog: u32 = 4_096 => 1..=65_535,
        /// Send small packets at once.
        "nodelay" => nodelay: bool = true,
    }
}

settings! {
    /// Certificates and rules of a TLS server.
    pub struct ServerTls {
        /// CA that client certificates must come from.
        "cacertfile" => cacertfile: Option<PathBuf> = None,
        /// Certificate chain of this server.
        "certfile" => certfile: Option<PathBuf> = None,
        /// Its key.
        "keyfile" => keyfile: Option<PathBuf> = None,
        /// Password of the key; encrypted keys are refused today.
        "password" => password: Option<Secret> = None,
        /// verify_peer = check client certificates against `cacertfile`.
        "verify" => verify: TlsVerify = TlsVerify::VerifyNone,
        /// With verify_peer: whether a client without a certificate is refused.
        "fail_if_no_peer_cert" => fail_if_no_peer_cert: bool = false,
        /// Accepted versions.
        "versions" => versions: Vec<TlsVersion> = vec![TlsVersion::V1_3, TlsVersion::V1_2],
        /// Longest time for the TLS handshake, on MQTT listeners within `mqtt.idle_timeout`.
        "handshake_timeout" => handshake_timeout: Duration = Duration::from_secs(5)
            => Duration::from_millis(100)..=Duration::from_secs(600),
    }
}

settings! {
    /// Rules of a WebSocket listener.
    pub struct WebsocketOptions {
        /// Path of the upgrade request.
        "mqtt_path" => mqtt_path: String = "/mqtt".into(),
        /// Largest frame.
        "max_frame_size" => max_frame_size: OrInfinity<ByteSize> = OrInfinity::Infinity,
        /// Refuse upgrades without the sub-protocol `mqtt`.
        "fail_if_no_subprotocol" => fail_if_no_subprotocol: bool = true,
        /// Accepted `Origin` headers, `https://HOST`; empty = any. Clients that are no browsers send none.
        "allowed_origins" => allowed_origins: Vec<String> = vec![],
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    Tcp,
    Ssl,
    Ws,
    Wss,
}

impl ListenerKind {
    /// The word as it stands in the configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ssl => "ssl",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// One listener, whatever its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listener<'a> {
    pub kind: ListenerKind,
    pub name: &'a str,
    pub enable: bool,
    pub bind: BindAddr,
    pub max_connections: OrInfinity<u32>,
    /// How long to wait for the PROXY header; `None` = no proxy in front.
    pub proxy_protocol: Option<Duration>,
    pub tcp_options: &'a TcpOptions,
    pub tls: Option<&'a ServerTls>,
    pub websocket: Option<&'a WebsocketOptions>,
}

macro_rules! common_view {
    ($kind:ident, $name:expr, $listener:expr, $tls:expr, $websocket:expr) => {
        Listener {
            kind: ListenerKind::$kind,
            name: $name.as_str(),
            enable: $listener.enable,
            bind: $listener.bind,
            max_connections: $listener.max_connections,
            proxy_protocol: $listener.proxy_protocol.then_some($listener.proxy_protocol_timeout),
            tcp_options: &$listener.tcp_options,
            tls: $tls,
            websocket: $websocket,
        }
    };
}

impl Listeners {
    /// All listeners, also those that are off, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = Listener<'_>> {
        let tcp = self.tcp.iter().map(|(name, l)| common_view!(Tcp, name, l, None, None));
        let ssl =
            self.ssl.iter().map(|(name, l)| common_view!(Ssl, name, l, Some(&l.ssl_options), None));
        let ws =
            self.ws.iter().map(|(name, l)| common_view!(Ws, name, l, None, Some(&l.websocket)));
        let wss = self
            .wss
            .iter()
            .map(|(name, l)| common_view!(Wss, name, l, Some(&l.ssl_options), Some(&l.websocket)));
        tcp.chain(ssl).chain(ws).chain(wss)
    }

    /// The listeners to open.
    pub fn enabled(&self) -> impl Iterator<Item = Listener<'_>> {
        self.iter().filter(|listener| listener.enable)
    }
}
