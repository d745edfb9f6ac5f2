//! TLS, client certificates and WebSocket; and the handle.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use spanmq_mqtt::config::{
    BrokerConfig, TlsConfig, TlsVersion, Transport, UsernameSource, WsConfig,
};
use spanmq_mqtt::query::{ClientQuery, SubscriptionQuery};
use support::client::{Client, Connect, packet};
use support::{TestBroker, block_on, eventually, listener};

struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn write(&self, dir: &Path) -> TlsConfig {
        let (certificate, key) = self.issue("broker");
        let config = TlsConfig {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            client_ca: Some(dir.join("ca.pem")),
            client_required: false,
            versions: vec![TlsVersion::V1_3, TlsVersion::V1_2],
            handshake_timeout: Duration::from_secs(5),
        };
        std::fs::write(&config.certificate, certificate.pem()).unwrap();
        std::fs::write(&config.key, key.serialize_pem()).unwrap();
        std::fs::write(dir.join("ca.pem"), self.certificate.pem()).unwrap();
        config
    }

    /// A TLS connection, with a client certificate if a name is given.
    fn dial(
        &self,
        address: std::net::SocketAddr,
        name: Option<&str>,
    ) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let (certificate, key) = self.issue(name);
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let server = ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), server).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        rustls::StreamOwned::new(connection, socket)
    }
}

#[test]
fn tls_carries_mqtt_and_the_certificate_names_the_user() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = authority.write(dir.path());
    let broker = TestBroker::with(|config| {
        let mut named = listener("named", Transport::Tls(tls.clone()));
        named.username_from = UsernameSource::CertificateCn;
        config.listeners = vec![listener("tls", Transport::Tls(tls)), named];
    });
    let mut client = Client::over(authority.dial(broker.address_of("tls"), None), true);
    client.connect(&Connect::new("plain"));
    client.subscribe("t", 0);
    client.publish(0, "t", 0, &[7; 100_000]);
    assert_eq!(client.read_publish().payload.len(), 100_000);
    let mut client = Client::over(authority.dial(broker.address_of("named"), Some("sensor")), true);
    client.connect(&Connect::new("named").user("ignored"));
    let query = ClientQuery { client_id: Some("named".into()), ..Default::default() };
    let found = block_on(broker.handle.clients(query));
    assert_eq!(found[0].username.as_deref(), Some("sensor"));
}

#[test]
fn a_stranger_on_a_tls_port_is_closed_and_nobody_else_notices() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = authority.write(dir.path());
    let broker = TestBroker::with(|config| {
        config.listeners = vec![listener("tls", Transport::Tls(tls))];
        config.listeners[0].connect_timeout = std::time::Duration::from_millis(300);
    });
    let mut plain = Client::dial(broker.address(), true);
    plain.send(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c");
    plain.closed();
    let mut stalled = Client::dial(broker.address(), true);
    stalled.send(&[0x16, 3, 1]);
    stalled.closed();
    let mut client = Client::over(authority.dial(broker.address(), None), true);
    client.connect(&Connect::new("good"));
    client.assert_silent();
}

/// A WebSocket client that sends one frame per write.
struct WebSocket {
    stream: TcpStream,
    payload: Vec<u8>,
}

impl WebSocket {
    fn dial(address: std::net::SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let request = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            response.push(byte[0]);
        }
        assert!(response.starts_with(b"HTTP/1.1 101"));
        Self { stream, payload: Vec::new() }
    }
}

impl Write for WebSocket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(60_000)];
        let mut frame = vec![0x82, 0x80 | 126];
        frame.extend((bytes.len() as u16).to_be_bytes());
        frame.extend([1, 2, 3, 4]);
        frame.extend(bytes.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for WebSocket {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.payload.is_empty() {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            assert_eq!(head[0], 0x82, "a whole binary frame");
            let len = match head[1] {
                126 => {
                    let mut len = [0; 2];
                    self.stream.read_exact(&mut len)?;
                    usize::from(u16::from_be_bytes(len))
                }
                127 => {
                    let mut len = [0; 8];
                    self.stream.read_exact(&mut len)?;
                    u64::from_be_bytes(len) as usize
                }
                len => usize::from(len),
            };
            self.payload.resize(len, 0);
            self.stream.read_exact(&mut self.payload)?;
        }
        let len = into.len().min(self.payload.len());
        into[..len].copy_from_slice(&self.payload[..len]);
        self.payload.drain(..len);
        Ok(len)
    }
}

// [MQTT-6.0.0-1] [MQTT-6.0.0-2]
#[test]
fn web_socket_carries_mqtt() {
    let broker = TestBroker::with(|config| {
        config.listeners.push(listener("ws", Transport::Ws(WsConfig::default())));
    });
    let mut client = Client::over(WebSocket::dial(broker.address_of("ws")), true);
    client.connect(&Connect::new("ws"));
    client.subscribe("t", 1);
    let payload = vec![9; 200_000];
    client.publish(2, "t", 1, &payload);
    let (first, second) = (client.read(), client.read());
    let publish = if first.kind() == 3 { first } else { second };
    assert_eq!(client.parse_publish(&publish).payload, payload);
}

#[test]
fn the_handle_tells_about_clients_and_ends_them() {
    let broker = TestBroker::start();
    let mut one = Client::v5(broker.address(), "one");
    one.subscribe("a/#", 1);
    let two = Client::v5(broker.address(), "two");
    let clients = block_on(broker.handle.clients(ClientQuery::default()));
    assert_eq!(clients.len(), 2);
    let query = SubscriptionQuery { filter: Some("a/#".into()), ..Default::default() };
    let subscriptions = block_on(broker.handle.subscriptions(query));
    assert_eq!((&*subscriptions[0].client_id, subscriptions[0].qos), ("one", 1));
    assert!(block_on(broker.handle.kick("one".into(), true)));
    assert_eq!(one.closed(), Some(0x98));
    assert!(!block_on(broker.handle.kick("one".into(), true)));
    drop(two);
}

#[test]
fn a_session_can_be_surrendered_to_another_node() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::resume("c", 600));
    client.subscribe("t", 1);
    let newer = u64::MAX;
    assert!(block_on(broker.handle.freeze("c".into(), newer)).is_some());
    assert_eq!(client.closed(), Some(0x8e));
    let left = block_on(broker.handle.hand_over("c".into(), newer, Vec::new())).unwrap();
    // Whoever asked may have failed: until somebody else has it for good, it stays.
    assert_eq!(block_on(broker.handle.hand_over("c".into(), newer, Vec::new())).unwrap(), left);
    assert!(block_on(broker.handle.freeze("c".into(), 0)).is_none(), "a claim that is too old");
    block_on(broker.handle.forget_session("c".into(), newer, true));
    assert!(block_on(broker.handle.hand_over("c".into(), newer, Vec::new())).is_none());
}

#[test]
fn a_stop_tells_every_client() {
    let broker = TestBroker::start();
    let mut v5 = Client::v5(broker.address(), "v5");
    let mut v3 = Client::v3(broker.address(), "v3");
    broker.stop();
    assert_eq!(v5.closed(), Some(0x8b));
    assert_eq!(v3.closed(), None);
}

/// A protocol error with far more input behind it than the broker has read when it closes; the
/// client reads only after it has sent all.
fn farewell<S: Read + Write>(mut client: Client<S>) {
    client.connect(&Connect::new("verbose"));
    let mut bytes = packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c");
    for _ in 0..40 {
        bytes.extend(packet(0x30, &[0; 50_000]));
    }
    client.send(&bytes);
    client.stream().flush().unwrap();
    // Everything has left; give an RST, if there is one, the time to arrive.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let farewell = client.read_kind(14);
    assert_eq!(farewell.body[0], 0x82, "a protocol error");
}

#[test]
fn a_client_with_much_input_under_way_still_reads_why_it_is_closed() {
    let broker = TestBroker::start();
    farewell(Client::dial(broker.address(), true));
    assert_eq!(broker.handle.metrics().closed_unread.get(), 0);
}

#[test]
fn so_does_one_over_tls_and_over_web_socket() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = authority.write(dir.path());
    let broker = TestBroker::with(|config| {
        let ws = listener("ws", Transport::Ws(WsConfig::default()));
        config.listeners = vec![listener("tls", Transport::Tls(tls)), ws];
    });
    farewell(Client::over(authority.dial(broker.address_of("tls"), None), true));
    farewell(Client::over(WebSocket::dial(broker.address_of("ws")), true));
}

#[test]
fn a_refused_connect_with_packets_behind_it_is_answered() {
    let broker = TestBroker::start();
    // The version 9 is not known; whoever asks for it did not wait for an answer.
    let mut client = Client::dial(broker.address(), true);
    let mut bytes = packet(0x10, b"\x00\x04MQTT\x09\x02\x00\x00\x00\x00\x01c");
    for _ in 0..40 {
        bytes.extend(packet(0x30, &[0; 50_000]));
    }
    client.send(&bytes);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(client.read_kind(2).body[1], 0x84, "unsupported protocol version");
    assert_eq!(client.try_read().unwrap(), None, "the end, not a reset");
}

/// Where the broker believes a client to be.
fn peer_of(broker: &TestBroker, id: &str) -> String {
    let query = ClientQuery { client_id: Some(id.into()), ..Default::default() };
    block_on(broker.handle.clients(query))[0].peer.map(|peer| peer.to_string()).unwrap_or_default()
}

fn behind_proxy(config: &mut BrokerConfig) {
    let mut tcp = listener("proxied", Transport::Tcp);
    tcp.proxy_timeout = Some(Duration::from_millis(500));
    config.listeners.push(tcp);
    config.connections.per_address_max = 2;
}

const FROM_7: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 1883\r\n";

#[test]
fn a_proxy_tells_where_the_client_is_and_limits_count_it_there() {
    let broker = TestBroker::with(behind_proxy);
    let dial = |header: &[u8]| {
        let mut client = Client::dial(broker.address_of("proxied"), true);
        client.send(header);
        client
    };
    let mut clients = Vec::new();
    for id in ["a", "b"] {
        let mut client = dial(FROM_7);
        client.connect(&Connect::new(id));
        assert_eq!(peer_of(&broker, id), "203.0.113.7:40000");
        clients.push(client);
    }
    assert_eq!(dial(FROM_7).closed(), None, "the third from one address");
    let mut client = dial(b"PROXY TCP4 203.0.113.8 192.0.2.1 40000 1883\r\n");
    client.connect(&Connect::new("elsewhere"));
    clients.pop();
    eventually("room", || {
        let mut client = dial(FROM_7);
        client.send(&packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01b"));
        matches!(client.try_read(), Ok(Some(connack)) if connack.kind() == 2)
    });
}

#[test]
fn whoever_comes_past_the_proxy_or_sends_no_header_is_closed() {
    let broker = TestBroker::with(behind_proxy);
    let mut past = Client::dial(broker.address_of("proxied"), true);
    past.send(&packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c"));
    assert_eq!(past.closed(), None);
    let mut silent = Client::dial(broker.address_of("proxied"), true);
    silent.send(&FROM_7[..10]);
    assert_eq!(silent.closed(), None);
    Client::v5(broker.address(), "direct").assert_silent();
}

#[test]
fn only_the_versions_of_tls_that_are_set_are_spoken() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = authority.write(dir.path());
    let broker = TestBroker::with(|config| {
        let only = |version| TlsConfig { versions: vec![version], ..tls.clone() };
        config.listeners = vec![
            listener("old", Transport::Tls(only(TlsVersion::V1_2))),
            listener("new", Transport::Tls(only(TlsVersion::V1_3))),
        ];
    });
    for (name, version) in
        [("old", rustls::ProtocolVersion::TLSv1_2), ("new", rustls::ProtocolVersion::TLSv1_3)]
    {
        let mut client = Client::over(authority.dial(broker.address_of(name), None), true);
        client.connect(&Connect::new(name));
        assert_eq!(client.stream().conn.protocol_version(), Some(version));
    }
}

#[test]
fn connections_above_the_rate_wait_and_are_served() {
    let broker = TestBroker::with(|config| config.connections.accept_per_second = 5);
    let mut clients: Vec<_> =
        (0..8).map(|n| Client::v5(broker.address(), &format!("c{n}"))).collect();
    assert!(broker.handle.metrics().accepts_delayed.get() > 0);
    clients.iter_mut().for_each(Client::assert_silent);
}

#[test]
fn a_tls_handshake_has_a_time_of_its_own() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls =
        TlsConfig { handshake_timeout: Duration::from_millis(200), ..authority.write(dir.path()) };
    let broker = TestBroker::with(|config| {
        config.listeners = vec![listener("tls", Transport::Tls(tls))];
        // Longer than the client waits.
        config.listeners[0].connect_timeout = Duration::from_secs(60);
    });
    let mut stalled = Client::dial(broker.address(), true);
    stalled.send(&[0x16, 3, 1]);
    assert_eq!(stalled.closed(), None);
}
