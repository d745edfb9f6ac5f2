//! Rules between settings, and what only files can tell.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Problem, Warning};
use crate::model::{Config, ServerTls, TlsVerify};
use crate::origin::{KeyPath, Origin};
use crate::types::BindAddr;
use spanmq_link_protocol::config::{Secret, SecretSource};

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
}

impl Findings {
    pub(crate) fn error(&mut self, origin: Origin, problem: Problem) {
        self.errors.push(ConfigError { origin, problem });
    }

    fn conflict(&mut self, origin: Origin, message: impl Into<String>) {
        self.error(origin, Problem::Conflict { message: message.into() });
    }

    fn missing(&mut self, origin: Origin, key: KeyPath, why: &str) {
        self.error(origin, Problem::Missing { key, why: why.to_owned() });
    }
}

type Origins<'a> = dyn Fn(&KeyPath) -> Origin + 'a;

/// The rules that need no file.
pub(crate) fn rules(config: &Config, origin: &Origins<'_>, findings: &mut Findings) {
    binds(config, origin, findings);
    forming(config, origin, findings);
    access(config, origin, findings);
    for (at, tls) in tls_servers(config) {
        server_tls(&at, tls, origin, findings);
    }
    let raft = &config.raft;
    if raft.election_timeout < raft.heartbeat_interval * 3 {
        findings.conflict(
            origin(&KeyPath::of("raft.election_timeout")),
            "`raft.election_timeout` must be at least three times `raft.heartbeat_interval`, or a \
             late heartbeat starts an election",
        );
    }
}

/// Every address that is listened on, with its key.
fn binds_of(config: &Config) -> Vec<(KeyPath, BindAddr)> {
    let mut binds: Vec<_> = config
        .listeners
        .enabled()
        .map(|listener| {
            let at = KeyPath::of("listeners").child(listener.kind.as_str()).child(listener.name);
            (at.child("bind"), listener.bind)
        })
        .collect();
    let api = &config.dashboard.listeners;
    if api.http.enable {
        binds.push((KeyPath::of("dashboard.listeners.http.bind"), api.http.bind));
    }
    if let Some(https) = api.https.as_ref().filter(|https| https.enable) {
        binds.push((KeyPath::of("dashboard.listeners.https.bind"), https.bind));
    }
    binds.push((KeyPath::of("cluster.listen"), config.cluster.listen));
    binds
}

fn binds(config: &Config, origin: &Origins<'_>, findings: &mut Findings) {
    let binds = binds_of(config);
    for (index, (key, bind)) in binds.iter().enumerate() {
        if config.dev && !bind.is_loopback() {
            findings.conflict(
                origin(key),
                format!("`{key}`: {} leaves loopback, which --dev does not allow", bind.0),
            );
        }
        let earlier = binds.iter().take(index).find(|(_, other)| overlap(other.0, bind.0));
        if let Some((other, _)) = earlier {
            findings.conflict(
                origin(key),
                format!("`{key}`: {} is already taken by `{other}`", bind.0),
            );
        }
    }
    let http = &config.dashboard.listeners.http;
    if http.enable && !http.bind.is_loopback() && !config.insecure && !config.dev {
        let key = KeyPath::of("dashboard.listeners.http.bind");
        findings.conflict(
            origin(&key),
            format!(
                "`{key}`: {} would serve the API without TLS beyond this machine; use \
                 `dashboard.listeners.https`, or --insecure if you must",
                http.bind.0
            ),
        );
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same = one.ip() == other.ip() || any && one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && same
}

fn forming(config: &Config, origin: &Origins<'_>, findings: &mut Findings) {
    let cluster = &config.cluster;
    let seeds = KeyPath::of("cluster.join.seeds");
    let joins = !cluster.join.seeds.is_empty();
    if cluster.init && joins {
        findings.conflict(
            origin(&seeds),
            "--init makes a new cluster, --join enters an existing one; give only one of them",
        );
    }
    if joins && cluster.join.token.is_none() && cluster.ssl.is_none() && !config.dev {
        findings.missing(
            origin(&seeds),
            KeyPath::of("cluster.join.token"),
            "joining needs the token that `spanmq cluster token` prints on a member",
        );
    }
    if cluster.join.token.is_some() && !joins {
        let key = KeyPath::of("cluster.join.token");
        findings.missing(origin(&key), seeds, "a join token is of use only with --join");
    }
    if let Some(advertise) = cluster.advertise.as_ref().filter(|address| address.port == 0) {
        let key = KeyPath::of("cluster.advertise");
        let problem = Problem::BadValue {
            key: key.clone(),
            found: advertise.to_string(),
            expected: "an address that others can dial; port 0 is for listening".into(),
        };
        findings.error(origin(&key), problem);
    }
    if let Some(tls) = &cluster.ssl {
        let at = KeyPath::of("cluster.ssl");
        let files = [
            ("cacertfile", tls.cacertfile.is_some()),
            ("certfile", tls.certfile.is_some()),
            ("keyfile", tls.keyfile.is_some()),
        ];
        for (field, _) in files.into_iter().filter(|(_, given)| !given) {
            let why = "the cluster port proves both sides, so it needs all three files";
            findings.missing(origin(&at), at.child(field), why);
        }
    }
}

fn access(config: &Config, origin: &Origins<'_>, findings: &mut Findings) {
    for (index, source) in config.authorization.sources.iter().enumerate() {
        let at = KeyPath::of("authorization.sources").child((index + 1).to_string());
        if source.enable && source.path.is_none() {
            findings.missing(origin(&at), at.child("path"), "a rule source of type file needs it");
        }
    }
    let password = KeyPath::of("dashboard.default_password");
    match config.dashboard.default_password.as_ref().map(Secret::reveal) {
        Some("") => findings.conflict(origin(&password), format!("`{password}` is empty")),
        Some("public") => findings.conflict(
            origin(&password),
            format!("`{password}` is one that everybody knows; leave it out to get a random one"),
        ),
        _ => {}
    }
    let nobody = !config.authentication.iter().any(|source| source.enable);
    if nobody && !config.allow_anonymous && !config.dev {
        let key = KeyPath::of("authentication");
        findings.warnings.push(Warning::Advice {
            origin: origin(&key),
            key,
            message: "is empty and anonymous clients are refused, so no MQTT client can connect; \
                      add a built_in_database or start with --allow-anonymous"
                .into(),
        });
    }
}

/// The TLS servers that will be opened.
fn tls_servers(config: &Config) -> Vec<(KeyPath, &ServerTls)> {
    let mqtt = config.listeners.enabled().filter_map(|listener| {
        let at = KeyPath::of("listeners").child(listener.kind.as_str()).child(listener.name);
        Some((at.child("ssl_options"), listener.tls?))
    });
    let https = config.dashboard.listeners.https.as_ref().filter(|https| https.enable);
    mqtt.chain(
        https.map(|https| {
            (KeyPath::of("dashboard.listeners.https.ssl_options"), &https.ssl_options)
        }),
    )
    .collect()
}

fn server_tls(at: &KeyPath, tls: &ServerTls, origin: &Origins<'_>, findings: &mut Findings) {
    let nearest = || match origin(at) {
        Origin::Default => at.parent().map_or(Origin::Default, |parent| origin(&parent)),
        origin => origin,
    };
    for (field, file) in [("certfile", &tls.certfile), ("keyfile", &tls.keyfile)] {
        if file.is_none() {
            findings.missing(nearest(), at.child(field), "a TLS listener needs it");
        }
    }
    let verifies = tls.verify == TlsVerify::VerifyPeer;
    if verifies && tls.cacertfile.is_none() {
        let why = "verify_peer checks client certificates against it";
        findings.missing(nearest(), at.child("cacertfile"), why);
    }
    if tls.fail_if_no_peer_cert && !verifies {
        findings.conflict(
            origin(&at.child("fail_if_no_peer_cert")),
            format!("`{}` needs verify = verify_peer", at.child("fail_if_no_peer_cert")),
        );
    }
    if tls.versions.is_empty() {
        let key = at.child("versions");
        findings.conflict(origin(&key), format!("`{key}` is empty: no client could connect"));
    }
}

/// Checks that every named file can be read, and replaces `file://` secrets by their content.
pub(crate) fn files(
    config: &mut Config,
    base: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    origin: &Origins<'_>,
    findings: &mut Findings,
) {
    for (key, path) in named_files(config) {
        if let Err(error) = read(&path) {
            let reason = reason(&error);
            findings.error(origin(&key), Problem::File { key, path, reason });
        }
    }
    let secrets = [
        ("dashboard.default_password", &mut config.dashboard.default_password),
        ("cluster.join.token", &mut config.cluster.join.token),
    ];
    for (key, secret) in secrets {
        let Some(SecretSource::File(path)) = secret.as_ref().map(Secret::source) else { continue };
        let (key, path) = (KeyPath::of(key), base.join(path));
        match read(&path) {
            Ok(text) => *secret = Some(Secret::new(text.trim_end())),
            Err(error) => {
                let reason = reason(&error);
                findings.error(origin(&key), Problem::File { key, path, reason });
            }
        }
    }
}

pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        _ => error.to_string(),
    }
}

fn named_files(config: &Config) -> Vec<(KeyPath, PathBuf)> {
    let mut files = vec![];
    let mut add = |key: KeyPath, path: &Option<PathBuf>| {
        files.extend(path.clone().map(|path| (key, path)));
    };
    for (at, tls) in tls_servers(config) {
        add(at.child("cacertfile"), &tls.cacertfile);
        add(at.child("certfile"), &tls.certfile);
        add(at.child("keyfile"), &tls.keyfile);
    }
    if let Some(tls) = &config.cluster.ssl {
        let at = KeyPath::of("cluster.ssl");
        add(at.child("cacertfile"), &tls.cacertfile);
        add(at.child("certfile"), &tls.certfile);
        add(at.child("keyfile"), &tls.keyfile);
    }
    add(KeyPath::of("cluster.dial_map"), &config.cluster.dial_map);
    add(KeyPath::of("api_key.bootstrap_file"), &config.api_key.bootstrap_file);
    for (index, source) in config.authorization.sources.iter().enumerate() {
        let at = KeyPath::of("authorization.sources").child((index + 1).to_string());
        if source.enable {
            add(at.child("path"), &source.path);
        }
    }
    for (index, source) in config.authentication.iter().enumerate() {
        let at = KeyPath::of("authentication").child((index + 1).to_string());
        if source.enable {
            add(at.child("bootstrap_file"), &source.bootstrap_file);
        }
    }
    files
}
