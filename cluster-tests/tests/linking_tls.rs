//! Links over TLS: each paragraph of the guide on it, and what is said when it does not work
//! (LINK-SPEC 1.2, 1.5, C-10).

use cluster_tests::client::Client;
use cluster_tests::harness::Cluster;
use cluster_tests::harness::links::{
    Setup, change_link, create_link, link_becomes, link_body, routes_learnt, running,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use serde_json::{Value, json};

/// A certificate authority of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for `name`, both as PEM text.
    fn issue(&self, name: &str, expired: bool) -> anyhow::Result<(String, String)> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }
}

/// A cluster with a TLS listener beside the plain one.
fn with_tls(
    name: &str,
    (certificate, key): &(String, String),
    client_ca: Option<&str>,
) -> anyhow::Result<Cluster> {
    let verify = match client_ca {
        Some(_) => {
            "verify = verify_peer, fail_if_no_peer_cert = true, cacertfile = \"DIR/clients.pem\""
        }
        None => "verify = verify_none",
    };
    let listener = format!(
        "listeners.ssl.default {{ bind = \"127.0.0.1:0\", ssl_options {{ certfile = \"DIR/cert.pem\", keyfile = \"DIR/key.pem\", {verify} }} }}"
    );
    Setup::default()
        .config(&listener)
        .file("cert.pem", certificate)
        .file("key.pem", key)
        .file("clients.pem", client_ca.unwrap_or_default())
        .start(name, 1)
}

/// The body of a link to the TLS listener of `remote`.
fn tls_body(remote: &Cluster, host: &str, ssl: Value) -> Value {
    let mut body = link_body("a", remote, &["g/#"]);
    let port = remote.nodes[0].addresses().mqtt["ssl:default"].port();
    body["server"] = json!(format!("{host}:{port}"));
    body["ssl"] = json!({"enable": true});
    if let (Some(all), Some(more)) = (body["ssl"].as_object_mut(), ssl.as_object()) {
        all.extend(more.clone());
    }
    body
}

// The guide's paragraph on TLS
#[test]
fn a_link_over_tls_verifies_the_remote_and_names_what_is_wrong() -> anyhow::Result<()> {
    let authority = Authority::new("test authority")?;
    let stranger = Authority::new("somebody else")?;
    let b = with_tls("b", &authority.issue("localhost", false)?, None)?;
    let a = Setup::default().start("a", 1)?;
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    create_link(&a, &tls_body(&b, "localhost", json!({"cacertfile": stranger.pem()})))?;
    link_becomes(&a, "b", |link| link["reason"]["code"] == "tls_untrusted")?;

    // The certificate names localhost, not the address.
    let server = tls_body(&b, "127.0.0.1", json!({}))["server"].clone();
    let trusted = json!({"enable": true, "cacertfile": authority.pem()});
    change_link(&a, "b", &json!({"server": server, "ssl": trusted.clone()}))?;
    let link = link_becomes(&a, "b", |link| link["reason"]["code"] == "tls_name_mismatch")?;
    let advice = link["reason"]["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("server_name_indication"), "{advice}");

    // The name to expect can be given.
    let mut named = trusted;
    named["server_name_indication"] = json!("localhost");
    change_link(&a, "b", &json!({"ssl": named}))?;
    running(&a, "b")?;
    let mut subscriber = Client::simple(a.nodes[0].mqtt_port(), "sub")?;
    subscriber.subscribe("g/x", 1)?;
    routes_learnt(&b.nodes[0], "a", 1)?;
    Client::simple(b.nodes[0].mqtt_port(), "pub")?.publish("g/x", b"over tls", 1)?;
    assert_eq!(subscriber.payload()?, b"over tls");

    // PEM text became a file of the node (C-10).
    let file = a.nodes[0].data_dir().join("certs/cluster/links/b/cacert.pem");
    assert_eq!(std::fs::read_to_string(file)?, authority.pem());
    Ok(())
}

// The guide's paragraph on TLS: an expired certificate
#[test]
fn an_expired_certificate_of_the_remote_is_named_as_such() -> anyhow::Result<()> {
    let authority = Authority::new("test authority")?;
    let b = with_tls("b", &authority.issue("localhost", true)?, None)?;
    let a = Setup::default().start("a", 1)?;
    create_link(&a, &tls_body(&b, "localhost", json!({"cacertfile": authority.pem()})))?;
    link_becomes(&a, "b", |link| link["reason"]["code"] == "tls_expired")?;
    // Without verification it works, with a warning (0.1).
    create_link(&b, &link_body("b", &a, &[]))?;
    let changed = change_link(&a, "b", &json!({"ssl": {"enable": true, "verify": "verify_none"}}))?;
    assert_eq!(changed["warnings"][0]["code"], "tls_verify_none", "{changed:#}");
    running(&a, "b")
}

// The guide's paragraph on mutual TLS
#[test]
fn a_link_shows_its_own_certificate_when_the_remote_asks_for_one() -> anyhow::Result<()> {
    let authority = Authority::new("test authority")?;
    let clients = Authority::new("client authority")?;
    let b = with_tls("b", &authority.issue("localhost", false)?, Some(&clients.pem()))?;
    let a = Setup::default().start("a", 1)?;
    create_link(&b, &link_body("b", &a, &["g/#"]))?;
    let without = json!({"cacertfile": authority.pem()});
    create_link(&a, &tls_body(&b, "localhost", without))?;
    link_becomes(&a, "b", |link| link["reason"]["code"] == "tls_client_certificate")?;

    let (certificate, key) = clients.issue("cluster-a", false)?;
    let ssl = json!({
        "enable": true,
        "cacertfile": authority.pem(),
        "certfile": certificate,
        "keyfile": key.clone(),
    });
    let changed = change_link(&a, "b", &json!({"ssl": ssl}))?;
    assert_eq!(changed["ssl"]["keyfile"], "******", "a key is never answered (R-6)");
    running(&a, "b")?;
    running(&b, "a")?;
    let secret = key.lines().nth(1).unwrap_or("no key");
    for cluster in [&a, &b] {
        assert!(!cluster.nodes[0].log().contains(secret), "no key in a log (8.1-12)");
    }
    Ok(())
}
