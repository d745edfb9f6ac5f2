//! SECURITY C1–C3: who is not let in, and that nothing was served to them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use common::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use spanmq_port::{
    ClusterId, Credentials, Frame, FrameDecoder, FrameKind, GivenFiles, Hello, InstanceId, Known,
    ListenError, NodeId, Port, PortTuning, Purpose, Security,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

fn init(dir: &Path) -> Security {
    Security::Tls(Credentials::init(&dir.join("tls"), "east", "n1").unwrap())
}

async fn tls_node(node: u64, security: &Security) -> Node {
    start(NodeOptions { security: security.clone(), ..options(node) }).await
}

fn bytes_of(frames: &[Frame]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.encode(&mut bytes);
    }
    bytes
}

fn hello_frame(hello: &Hello) -> Frame {
    let body = bincode::serde::encode_to_vec(hello, bincode::config::standard()).unwrap();
    Frame::new(FrameKind::Hello, body)
}

/// What an attacker would like to have served: id, deadline, kind, body.
fn request_frame() -> Frame {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 0, ECHO as u8];
    body.extend(b"vote");
    Frame::new(FrameKind::Request, body)
}

/// All frames up to the end of the connection.
async fn rest_of(mut stream: impl AsyncRead + Unpin) -> (Vec<Frame>, Option<io::Error>) {
    let mut decoder = FrameDecoder::new(1_000_000);
    let error = loop {
        match soon(stream.read_buf(decoder.buffer_mut())).await {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = decoder.decode() {
        frames.push(frame);
    }
    (frames, error)
}

fn sentence(frames: &[Frame]) -> String {
    let refused = frames.iter().find(|frame| frame.kind == FrameKind::Refused);
    String::from_utf8(refused.expect("a Refused frame").body.to_vec()).unwrap()
}

async fn plain(node: &Node) -> TcpStream {
    TcpStream::connect(node.address()).await.unwrap()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    // The node may hang up before it has read all.
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
}

#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS client that trusts everybody and shows what it is given, over `versions`.
async fn intruder(
    node: &Node,
    alpn: &[u8],
    shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll));
    let mut config = match shown {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    if !alpn.is_empty() {
        config.alpn_protocols = vec![alpn.to_vec()];
    }
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("member.spanmq.internal").unwrap();
    connector.connect(name, plain(node).await).await
}

async fn speaks_and_gets_nothing(node: &Node, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (read, mut write) = tokio::io::split(stream);
    let hello = Hello::new(&identity(2), Purpose::Raft, false);
    let accepted = Frame::new(FrameKind::Accepted, Bytes::new());
    send(&mut write, &bytes_of(&[hello_frame(&hello), accepted, request_frame()])).await;
    let (frames, _) = rest_of(read).await;
    let only_refusals = frames.iter().all(|frame| frame.kind == FrameKind::Refused);
    assert!(only_refusals, "{frames:?}");
    assert_eq!(node.requests_seen(), 0);
    assert_eq!(node.context.counters().snapshot().connected, 0);
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port_get_a_sentence_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let node = tls_node(1, &init(dir.path())).await;
    let mut stream = plain(&node).await;
    send(&mut stream, &bytes_of(&[request_frame()])).await;
    let (frames, _) = rest_of(stream).await;
    assert!(sentence(&frames).contains("speaks TLS"));
    assert_eq!(node.requests_seen(), 0);
    eventually(|| node.context.counters().snapshot().wrong_transport == 1).await;
}

#[tokio::test]
async fn a_tls_client_without_a_certificate_is_served_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let node = tls_node(1, &init(dir.path())).await;
    for alpn in [&b"spanmq-member/1"[..], b"spanmq-enrol/1", b"h2", b""] {
        // With TLS 1.3 the client believes to be in before the server has looked.
        if let Ok(stream) = intruder(&node, alpn, None, &[&rustls::version::TLS13]).await {
            speaks_and_gets_nothing(&node, stream).await;
        }
    }
    eventually(|| node.context.counters().snapshot().tls_failed == 3).await;
    eventually(|| node.context.counters().snapshot().enrol_refused == 1).await;
}

#[tokio::test]
async fn tls_below_1_3_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let node = tls_node(1, &init(dir.path())).await;
    let old = intruder(&node, b"spanmq-member/1", None, &[&rustls::version::TLS12]).await;
    assert!(old.is_err());
}

#[tokio::test]
async fn a_client_with_a_certificate_of_another_ca_is_served_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = tls_node(1, &init(here.path())).await;
    drop(init(there.path()));
    let pem = std::fs::read(there.path().join("tls/node.pem")).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&pem).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&pem).unwrap();
    let shown = Some((chain, key));
    let stream = intruder(&node, b"spanmq-member/1", shown, &[&rustls::version::TLS13]).await;
    speaks_and_gets_nothing(&node, stream.unwrap()).await;
    eventually(|| node.context.counters().snapshot().tls_failed == 1).await;
}

#[tokio::test]
async fn members_of_two_clusters_with_own_cas_refuse_each_other_on_both_sides() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = tls_node(1, &init(here.path())).await;
    let b = tls_node(2, &init(there.path())).await;
    let reason = down(&a.knows(&b)).await;
    assert!(reason.contains("belongs to another cluster"), "{reason}");
    eventually(|| b.context.counters().snapshot().tls_failed > 0).await;
    assert_eq!((a.requests_seen(), b.requests_seen()), (0, 0));
}

#[tokio::test]
async fn crossed_clusters_under_one_ca_are_refused_with_a_sentence_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let security = init(dir.path());
    let a = tls_node(1, &security).await;
    let mut other = identity(2);
    other.cluster_id = Some(ClusterId([0xc2; 16]));
    let b = start(NodeOptions { identity: other, security, ..options(2) }).await;
    let (at_a, at_b) = (down(&a.knows(&b)).await, down(&b.knows(&a)).await);
    for reason in [at_a, at_b] {
        assert!(reason.contains("another cluster with the same name"), "{reason}");
    }
    eventually(|| a.context.counters().snapshot().refused > 0).await;
    eventually(|| b.context.counters().snapshot().refused > 0).await;
    assert_eq!((a.requests_seen(), b.requests_seen()), (0, 0));
}

#[tokio::test]
async fn who_is_refused_by_the_other_side_reads_its_sentence() {
    let (a, b) = (dev_node(1).await, dev_node(2).await);
    // Only b knows that node 1 was removed.
    b.members.0.lock().unwrap().insert(NodeId(1), Known::Removed);
    let reason = down(&a.knows(&b)).await;
    assert!(reason.starts_with("refused by 127.0.0.1:"), "{reason}");
    assert!(reason.contains("was removed from this cluster; wipe"), "{reason}");
}

#[tokio::test]
async fn a_wiped_node_that_uses_its_id_again_is_refused_as_dialler_and_as_acceptor() {
    let member = dev_node(1).await;
    let mut wiped = identity(2);
    wiped.instance = InstanceId([0xee; 16]);
    let wiped = start(NodeOptions { identity: wiped, ..options(2) }).await;
    let known = Known::Member(identity(2).instance);
    member.members.0.lock().unwrap().insert(NodeId(2), known);
    for reason in [down(&member.knows(&wiped)).await, down(&wiped.knows(&member)).await] {
        assert!(reason.contains("remove the old member first"), "{reason}");
    }
    assert_eq!((member.requests_seen(), wiped.requests_seen()), (0, 0));
}

#[tokio::test]
async fn a_blank_node_serves_nobody() {
    let mut blank = identity(2);
    blank.cluster_id = None;
    let blank = start(NodeOptions { identity: blank, ..options(2) }).await;
    let member = dev_node(1).await;
    let reason = down(&member.knows(&blank)).await;
    assert!(reason.contains("not a member of a cluster"), "{reason}");
    assert_eq!(blank.requests_seen(), 0);
}

#[tokio::test]
async fn another_node_than_the_one_dialled_is_refused() {
    let (a, b) = (dev_node(1).await, dev_node(2).await);
    let peer = a.pool.add(NodeId(3), "n3", &b.address());
    let reason = down(&peer).await;
    assert!(reason.contains("node id 3 was dialled and node id 2 answered"), "{reason}");
}

#[tokio::test]
async fn before_the_handshake_ended_no_opcode_is_served() {
    let node = dev_node(1).await;
    let hello = hello_frame(&Hello::new(&identity(2), Purpose::Raft, true));
    let wire = Frame::new(FrameKind::Wire, vec![0; 8]);
    for frames in [vec![request_frame()], vec![wire], vec![hello, request_frame()]] {
        let mut stream = plain(&node).await;
        send(&mut stream, &bytes_of(&frames)).await;
        drop(rest_of(stream).await);
    }
    assert_eq!(node.requests_seen(), 0);
    assert_eq!(node.context.counters().snapshot().connected, 0);
}

#[tokio::test]
async fn an_overlong_frame_closes_the_connection_before_and_after_the_handshake() {
    let node = dev_node(1).await;
    let mut stream = plain(&node).await;
    send(&mut stream, &[0, 1, 0, 1, 1, 1]).await;
    let (frames, _) = rest_of(stream).await;
    assert!(sentence(&frames).contains("65537 bytes"), "the small limit holds for strangers");

    let mut stream = plain(&node).await;
    let hello = hello_frame(&Hello::new(&identity(2), Purpose::Raft, true));
    let accepted = Frame::new(FrameKind::Accepted, Bytes::new());
    let mut bytes = bytes_of(&[hello, accepted, request_frame()]);
    bytes.extend([1, 0, 0, 1, 1, 6]);
    send(&mut stream, &bytes).await;
    let (frames, _) = rest_of(stream).await;
    let served = frames.iter().filter(|frame| frame.kind == FrameKind::Response).count();
    assert!(served <= 1, "one honest request came first: {frames:?}");
    eventually(|| node.context.counters().snapshot().bad_frames == 2).await;
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_the_oldest_gives_way_to_a_flood() {
    let tuning =
        PortTuning { handshake_timeout: Duration::from_millis(300), pending_max: 8, ..quick() };
    let node = start(NodeOptions { tuning: tuning.clone(), ..options(1) }).await;
    let (frames, _) = rest_of(plain(&node).await).await;
    assert!(frames.is_empty());
    eventually(|| node.context.counters().snapshot().handshake_timeouts == 1).await;

    let patient = PortTuning { handshake_timeout: PATIENCE, ..tuning };
    let node = start(NodeOptions { tuning: patient, ..options(1) }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(plain(&node).await);
    }
    let friend = dev_node(2).await;
    let peer = friend.knows(&node);
    up(&peer).await;
    assert!(node.context.counters().snapshot().pending_evicted >= 30);
    for _ in 0..40 {
        silent.push(plain(&node).await);
    }
    eventually(|| node.context.counters().snapshot().pending_evicted >= 70).await;
    assert!(peer.raft(ECHO, Bytes::new(), PATIENCE).await.is_ok());
    assert_eq!(peer.counters().snapshot().reconnects, 0, "who is in stays in");
}

#[tokio::test]
async fn tls_that_stalls_half_way_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let tuning = PortTuning { handshake_timeout: Duration::from_millis(300), ..quick() };
    let security = init(dir.path());
    let node = start(NodeOptions { security, tuning, ..options(1) }).await;
    let mut stream = plain(&node).await;
    // The head of a ClientHello record whose rest never comes.
    send(&mut stream, &[0x16, 3, 1, 2, 0, 1]).await;
    let (frames, _) = rest_of(stream).await;
    assert!(frames.is_empty());
    eventually(|| node.context.counters().snapshot().handshake_timeouts == 1).await;
}

#[tokio::test]
async fn what_members_say_cannot_be_read_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let security = init(dir.path());
    let (a, b) = (tls_node(1, &security).await, tls_node(2, &security).await);
    let tap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tap.local_addr().unwrap().to_string();
    let captured = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (to, capture) = (b.address(), Arc::clone(&captured));
    tokio::spawn(async move {
        while let Ok((near, _)) = tap.accept().await {
            let far = TcpStream::connect(&to).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(listen_in(near_in, far_out, Arc::clone(&capture)));
            tokio::spawn(listen_in(far_in, near_out, Arc::clone(&capture)));
        }
    });
    let peer = a.pool.add(NodeId(2), "n2", &address);
    up(&peer).await;
    let secret = Bytes::from_static(b"a-link-password");
    assert_eq!(peer.raft(ECHO, secret.clone(), PATIENCE).await, Ok(secret.clone()));
    let captured = captured.lock().unwrap();
    assert!(captured.len() > 1_000);
    assert!(!captured.windows(secret.len()).any(|window| window == secret));
}

async fn listen_in(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    capture: Arc<std::sync::Mutex<Vec<u8>>>,
) {
    let mut bytes = vec![0; 4_096];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        capture.lock().unwrap().extend(&bytes[..n]);
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn established_connections_are_limited_with_a_sentence() {
    let tuning = PortTuning { established_max: 2, ..quick() };
    let node = start(NodeOptions { tuning, ..options(1) }).await;
    let (b, c) = (dev_node(2).await, dev_node(3).await);
    let peer = b.knows(&node);
    up(&peer).await;
    assert!(peer.query(ECHO, Bytes::new(), PATIENCE).await.is_ok());
    let reason = down(&c.knows(&node)).await;
    assert!(reason.contains("has 2 cluster connections, its limit"), "{reason}");
}

#[tokio::test]
async fn dev_listens_and_dials_on_loopback_only() {
    let node = dev_node(1).await;
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Port::listen(anywhere, node.context.clone(), spanmq_port::Acceptor::new()).await;
    assert!(matches!(refused, Err(ListenError::DevNotLoopback { .. })));
    let away = node.pool.add(NodeId(2), "n2", "192.0.2.1:7000");
    let reason = down(&away).await;
    assert!(reason.contains("--dev speaks plain text and dials loopback only"), "{reason}");
}

#[tokio::test]
async fn dev_nodes_and_tls_nodes_tell_each_other_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let secure = tls_node(1, &init(dir.path())).await;
    let dev = dev_node(2).await;
    let reason = down(&dev.knows(&secure)).await;
    assert!(reason.contains("speaks TLS"), "{reason}");
    let reason = down(&secure.knows(&dev)).await;
    assert!(reason.contains("TLS with"), "{reason}");
    eventually(|| dev.context.counters().snapshot().wrong_transport > 0).await;
}

/// Certificates as an operator would make them with a CA of his own.
struct OwnCa {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl OwnCa {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn security(&self, node: &str, dns: &str, member_name: Option<&str>) -> Security {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![dns.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |ending: &str| self.dir.path().join(format!("{node}.{ending}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let files = GivenFiles {
            certificate: path("pem"),
            key: path("key"),
            ca: self.dir.path().join("ca.pem"),
            member_name: member_name.map(str::to_owned),
        };
        Security::Tls(Credentials::given(&files).unwrap())
    }
}

#[tokio::test]
async fn given_certificates_take_the_place_of_the_cluster_ca() {
    let ca = OwnCa::new();
    let a = tls_node(1, &ca.security("n1", "a.example", None)).await;
    let b = tls_node(2, &ca.security("n2", "b.example", None)).await;
    let peer = a.knows(&b);
    up(&peer).await;
    assert!(peer.raft(ECHO, Bytes::new(), PATIENCE).await.is_ok());
}

#[tokio::test]
async fn with_a_member_name_other_certificates_of_the_same_ca_are_refused_both_ways() {
    let ca = OwnCa::new();
    let name = Some("spanmq.example");
    let a = tls_node(1, &ca.security("n1", "spanmq.example", name)).await;
    let b = tls_node(2, &ca.security("n2", "spanmq.example", name)).await;
    up(&a.knows(&b)).await;
    let web = tls_node(3, &ca.security("n3", "www.example", None)).await;
    for reason in [down(&a.knows(&web)).await, down(&web.knows(&a)).await] {
        assert!(reason.contains("TLS with"), "{reason}");
    }
    assert_eq!(a.requests_seen() + web.requests_seen(), 0);
}
