//! Clients that show a certificate: what it proves, and what it does not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster_tests::client::{Connect, Packet, Version};
use cluster_tests::harness::{Cluster, NodeOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};

const LIMIT: Duration = Duration::from_secs(20);

struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

type Stream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

impl Authority {
    fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    fn issue(&self, name: &str) -> anyhow::Result<(rcgen::Certificate, KeyPair)> {
        let mut params = CertificateParams::new(vec!["localhost".into()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Works");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }

    /// A node with a listener that wants certificates, and with a rule for one user name.
    fn node(&self, dir: &Path, name_from: &str, allowed: &str) -> anyhow::Result<Cluster> {
        let (certificate, key) = self.issue("broker")?;
        let file = |name: &str| dir.join(name).display().to_string();
        std::fs::write(file("cert.pem"), certificate.pem())?;
        std::fs::write(file("key.pem"), key.serialize_pem())?;
        std::fs::write(file("ca.pem"), self.certificate.pem())?;
        let rules = format!(
            "{{allow, {{user, \"{allowed}\"}}, all, [\"t\"]}}.\n{{deny, all, all, [\"t\"]}}.\n"
        );
        std::fs::write(file("acl.conf"), rules)?;
        let config = format!(
            "mqtt.peer_cert_as_username = {name_from}
             authorization.sources = [{{ type = file, path = \"{}\" }}]
             listeners.ssl.certified {{ bind = \"127.0.0.1:0\", ssl_options {{
               certfile = \"{}\", keyfile = \"{}\", cacertfile = \"{}\"
               verify = verify_peer, fail_if_no_peer_cert = true }} }}\n",
            file("acl.conf"),
            file("cert.pem"),
            file("key.pem"),
            file("ca.pem")
        );
        let options = NodeOptions { config: Some(config), ..NodeOptions::default() };
        Cluster::start_with(name_from, 1, &options)
    }

    fn dial(&self, address: SocketAddr, name: &str) -> anyhow::Result<Stream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let (certificate, key) = self.issue(name)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.der().clone()], key)?;
        let server = ServerName::try_from("localhost")?;
        let connection = rustls::ClientConnection::new(Arc::new(config), server)?;
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(rustls::StreamOwned::new(connection, socket))
    }
}

/// The next packet.
fn read(stream: &mut Stream) -> anyhow::Result<Packet> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    anyhow::ensure!(head[1] < 0x80, "a short packet was expected");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body)?;
    Packet::read(head[0], &body, Version::V5)
}

/// Code of the CONNACK.
fn connect(stream: &mut Stream, connect: &Connect) -> anyhow::Result<u8> {
    stream.write_all(&connect.encode())?;
    match read(stream)? {
        Packet::ConnAck { code, .. } => Ok(code),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Code of the SUBACK for `t`.
fn subscribe(stream: &mut Stream) -> anyhow::Result<u8> {
    stream.write_all(b"\x82\x07\0\x01\0\0\x01t\0")?;
    match read(stream)? {
        Packet::SubAck { codes, .. } => Ok(codes[0]),
        other => anyhow::bail!("{other:?}"),
    }
}

#[test]
fn a_certificate_can_be_the_user_name() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    for (from, name) in [("cn", "sensor-7"), ("dn", "O=Works, CN=sensor-7")] {
        let dir = tempfile::tempdir()?;
        let cluster = authority.node(dir.path(), from, name)?;
        let node = &cluster.nodes[0];
        let address = node.addresses().mqtt["ssl:certified"];
        let mut stream = authority.dial(address, "sensor-7")?;
        // What CONNECT says does not count.
        let liar = Connect { username: Some("admin".into()), ..Connect::new("c") };
        assert_eq!(connect(&mut stream, &liar)?, 0);
        assert_eq!(node.rest().get("/clients/c")?.expect(200)?["username"], name);
        assert_eq!(subscribe(&mut stream)?, 0);
        let mut other = authority.dial(address, "sensor-8")?;
        assert_eq!(connect(&mut other, &Connect::new("d"))?, 0);
        assert_eq!(subscribe(&mut other)?, 0x87);
    }
    Ok(())
}

#[test]
fn a_certificate_proves_no_other_user_name() -> anyhow::Result<()> {
    let (authority, dir) = (Authority::new()?, tempfile::tempdir()?);
    let cluster = authority.node(dir.path(), "disabled", "admin")?;
    let address = cluster.nodes[0].addresses().mqtt["ssl:certified"];
    let as_user = |name: Option<&str>| -> anyhow::Result<u8> {
        let mut stream = authority.dial(address, "sensor-7")?;
        let asked = Connect { username: name.map(Into::into), ..Connect::new("c") };
        connect(&mut stream, &asked)
    };
    assert_eq!(as_user(Some("admin"))?, 0x86);
    assert_eq!(as_user(Some("sensor-7"))?, 0);
    assert_eq!(as_user(None)?, 0);
    Ok(())
}
