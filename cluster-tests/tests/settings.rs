//! Settings of the configuration file, each seen at work on a real node.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Client, Connect, Packet, Property, Version};
use cluster_tests::harness::{Cluster, Node, NodeOptions, eventually};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};

const SETTLE: Duration = Duration::from_secs(30);

fn one(name: &str, config: &str) -> anyhow::Result<Cluster> {
    let options = NodeOptions { config: Some(config.to_owned()), ..NodeOptions::default() };
    Cluster::start_with(name, 1, &options)
}

/// Code and properties of the CONNACK.
fn hello(port: u16, connect: &Connect) -> anyhow::Result<(u8, Vec<Property>)> {
    match Client::try_connect(port, connect)?.1 {
        Packet::ConnAck { code, properties, .. } => Ok((code, properties)),
        other => anyhow::bail!("{other:?}"),
    }
}

#[test]
fn what_clients_may_use() -> anyhow::Result<()> {
    let cluster = one(
        "offers",
        "mqtt { max_qos_allowed = 1, retain_available = false, wildcard_subscription = false
           shared_subscription = false, max_clientid_len = 23, response_information = \"r/\"
           message_expiry_interval = 10m, ignore_loop_deliver = true }
         limits.accept_rate = 1000\n",
    )?;
    let port = cluster.nodes[0].mqtt_port();
    let (code, told) = hello(port, &Connect::new("a").property(Property::Byte(0x19, 1)))?;
    assert_eq!(code, 0);
    for expected in [
        Property::Byte(0x24, 1),
        Property::Byte(0x25, 0),
        Property::Byte(0x28, 0),
        Property::Byte(0x2a, 0),
        Property::Text(0x1a, "r/".into()),
    ] {
        assert!(told.contains(&expected), "{expected:?} of {told:?}");
    }
    assert_eq!(hello(port, &Connect::new(&"x".repeat(24)))?.0, 0x85);
    assert_eq!(hello(port, &Connect::new("w").will("t", b"", 2, false))?.0, 0x9B);
    let mut client = Client::simple(port, "c")?;
    let filters = [("a/+", 0), ("a/b", 2), ("$share/g/a", 0)];
    assert_eq!(client.subscribe_with(&filters, &[])?, [0xA2, 1, 0x9E]);
    let mut old = Client::connect(port, &Connect::new("old").v311())?.0;
    old.subscribe("a/b", 1)?;
    old.publish("a/b", b"x", 1)?;
    let message = client.received()?;
    assert_eq!(message.property(2), Some(&Property::Four(2, 600)));
    old.expect_silence()?;
    client.send_publish("a/b", b"", 2, false, &[])?;
    let end = client.expect_close(SETTLE)?;
    assert!(matches!(end.last(), Some(Packet::Disconnect { code: 0x9B, .. })), "{end:?}");
    Ok(())
}

#[test]
fn a_proxy_in_front_of_a_listener() -> anyhow::Result<()> {
    let cluster =
        one("lb", "listeners.tcp.lb { bind = \"127.0.0.1:0\", proxy_protocol = true }\n")?;
    let node = &cluster.nodes[0];
    let port = node.addresses().mqtt["tcp:lb"].port();
    let mut client = Client::open(port, Version::V5)?;
    client.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 1883\r\n")?;
    client.send(&Connect::new("far").encode())?;
    client.answer(|packet| matches!(packet, Packet::ConnAck { code: 0, .. }))?;
    let seen = node.rest().get("/clients/far")?.expect(200)?;
    assert_eq!((&seen["ip_address"], &seen["port"]), (&json!("203.0.113.7"), &json!(40_000)));
    Ok(())
}

#[test]
fn web_sockets_from_allowed_pages_only() -> anyhow::Result<()> {
    let cluster = one(
        "ws",
        "listeners.ws.page { bind = \"127.0.0.1:0\"
           websocket { allowed_origins = [\"https://ops.example.org\"], mqtt_path = \"/m\"
             fail_if_no_subprotocol = false } }\n",
    )?;
    let address = cluster.nodes[0].addresses().mqtt["ws:page"];
    let status = |headers: &str| -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SETTLE))?;
        write!(
            stream,
            "GET /m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )?;
        let mut line = [0; 12];
        stream.read_exact(&mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    assert_eq!(status("Origin: https://ops.example.org\r\n")?, "HTTP/1.1 101");
    assert_eq!(status("Origin: https://evil.example.org\r\n")?, "HTTP/1.1 403");
    assert_eq!(status("")?, "HTTP/1.1 101", "no browser, no subprotocol");
    Ok(())
}

fn link(server: &str) -> String {
    format!(
        "cluster.links_source = file
         cluster.links = [{{ name = east, server = \"{server}\", topics = [\"t/#\"] }}]\n"
    )
}

fn server(node: &Node) -> anyhow::Result<Value> {
    let links = node.rest().get("/cluster/links")?.expect(200)?;
    Ok(links[0]["server"].clone())
}

#[test]
fn links_of_the_file_are_changed_in_the_file() -> anyhow::Result<()> {
    let mut cluster = one("filed", &link("127.0.0.1:9"))?;
    let node = &mut cluster.nodes[0];
    assert_eq!(server(node)?, "127.0.0.1:9");
    let body = json!({ "name": "west", "server": "127.0.0.1:9", "topics": ["x"] });
    for answer in [
        node.rest().post("/cluster/links", &body)?,
        node.rest().delete("/cluster/links/link/east")?,
        node.rest().put("/cluster/links/link/east", &body)?,
    ] {
        let refusal = answer.expect(409)?;
        let text = refusal["message"].as_str().unwrap_or_default();
        assert!(text.contains("cluster.links_source"), "{refusal}");
    }
    node.stop()?;
    node.write_config(&link("127.0.0.1:10"))?;
    node.start()?;
    assert_eq!(server(node)?, "127.0.0.1:10");
    Ok(())
}

/// Any certificate will do: what is looked at is whether and how TLS is spoken.
#[derive(Debug)]
struct Anybody(rustls::crypto::CryptoProvider);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// First line of the answer to `/livez`.
fn livez(
    address: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
) -> anyhow::Result<String> {
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    let connection = rustls::ClientConnection::new(Arc::new(config), name)?;
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(SETTLE))?;
    let mut stream = rustls::StreamOwned::new(connection, socket);
    stream.write_all(b"GET /api/v5/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[test]
fn https_alone_with_the_versions_that_are_set() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()])?.self_signed(&key)?;
    let (chain_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&chain_file, certificate.pem())?;
    std::fs::write(&key_file, key.serialize_pem())?;
    let config = format!(
        "dashboard.listeners {{ http.enable = false
           https {{ bind = \"127.0.0.1:0\", ssl_options {{ versions = [\"tlsv1.3\"]
             certfile = \"{}\", keyfile = \"{}\" }} }} }}\n",
        chain_file.display(),
        key_file.display()
    );
    let flags = vec!["--dev".to_owned(), "--init".to_owned()];
    let (name, cluster) = ("n1@127.0.0.1".to_owned(), "https".to_owned());
    let options =
        NodeOptions { name, cluster, flags, config: Some(config), ..NodeOptions::default() };
    let mut node = Node::new(&dir.path().join("n1"), options)?;
    node.spawn()?;
    let addresses: Value = eventually(SETTLE, || {
        let file = node.data_dir().join("addresses.json");
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    })?;
    assert_eq!(addresses["api"], Value::Null);
    let address: SocketAddr = addresses["api_https"].as_str().context("https")?.parse()?;
    assert_eq!(livez(address, &rustls::version::TLS13)?, "HTTP/1.1 200");
    assert!(livez(address, &rustls::version::TLS12).is_err());
    assert!(node.log().contains(&format!("api https://{address}")), "{}", node.log());
    Ok(())
}

#[test]
fn expired_retained_messages_are_cleared_away() -> anyhow::Result<()> {
    let cluster =
        one("cleared", "retainer { msg_expiry_interval = 1s, msg_clear_interval = 1s }\n")?;
    let node = &cluster.nodes[0];
    let mut client = Client::simple(node.mqtt_port(), "c")?;
    let kept = || -> anyhow::Result<Value> {
        let stats = node.rest().get("/stats")?.expect(200)?;
        let found = stats[0]["retained_messages"].as_u64();
        Ok(json!(found.with_context(|| stats.to_string())?))
    };
    client.publish_retained("t", b"x", 1)?;
    assert_eq!(kept()?, 1);
    eventually(SETTLE, || {
        let now = kept()?;
        anyhow::ensure!(now == 0, "{now}");
        Ok(())
    })
}

// L8
#[test]
fn a_full_queue_of_a_session_is_refused_counted_and_an_alarm() -> anyhow::Result<()> {
    let cluster = one(
        "full",
        "mqtt.max_mqueue_len = 1\nlimits { session_stored_messages = 1, session_overflow = drop_newest }\n",
    )?;
    let node = &cluster.nodes[0];
    let (mut away, _) = Client::connect(node.mqtt_port(), &Connect::new("away").persistent())?;
    away.subscribe("t", 1)?;
    away.disconnect()?;
    let alarms = || node.rest().get("/alarms")?.expect(200);
    assert_eq!(alarms()?, json!([]));
    let mut publisher = Client::simple(node.mqtt_port(), "publisher")?;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(publisher.publish("t", b"x", 1)?);
    }
    assert_eq!(codes, [0, 0, 0x97]);
    let metrics = node.rest().get("/metrics")?.expect(200)?;
    assert_eq!(metrics[0]["messages_dropped_queue_full"], 1, "{metrics}");
    eventually(SETTLE, || {
        let now = alarms()?;
        anyhow::ensure!(now[0]["name"] == "session_queue_full", "{now}");
        Ok(())
    })
}

#[test]
fn a_session_whose_node_is_gone_is_refused_until_it_returns() -> anyhow::Result<()> {
    let config = Some("session.orphan = refuse\n".to_owned());
    let mut cluster =
        Cluster::start_with("orphan", 3, &NodeOptions { config, ..NodeOptions::default() })?;
    let connect = Connect::new("c").persistent();
    let (mut client, _) = Client::connect(cluster.nodes[2].mqtt_port(), &connect)?;
    client.subscribe("t", 1)?;
    cluster.nodes[2].kill();
    let port = cluster.nodes[0].mqtt_port();
    assert_eq!(hello(port, &connect)?.0, 0x88);
    // A new session is not concerned.
    assert_eq!(hello(port, &Connect::new("other").persistent())?.0, 0);
    cluster.nodes[2].start()?;
    eventually(SETTLE, || {
        let (code, _) = hello(port, &connect)?;
        anyhow::ensure!(code == 0, "CONNACK {code:#x}");
        Ok(())
    })
}
