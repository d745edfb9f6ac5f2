//! Opening one connection: DNS, TCP, TLS, CONNECT, each with its own reason when it fails
//! (W-5, C-14).

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ntex_bytes::{ByteString, Bytes};
use ntex_io::{IoBoxed, IoConfig};
use ntex_mqtt::v5::codec::{Codec, Connect, ConnectAck, Decoded, Encoded, Packet};
use ntex_service::cfg::SharedCfg;
use ntex_tls::rustls::TlsClientFilter;
use ntex_util::future::Either;
use spanmq_link_protocol::config::LinkConfig;
use spanmq_link_protocol::config::{SecretSource, ServerAddress};
use spanmq_link_protocol::reason::{Reason, ReasonWord};

use super::{failure, tls};

/// Largest packet that a remote may send us: answers are small, but batches of EMQX may come.
const INBOUND_BYTES_MAX: u32 = 1 << 20;
/// MQTT keep-alive (W-5).
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// One address must not use up the time of all (C-14).
const ADDRESS_LIMIT: Duration = Duration::from_secs(4);

/// Steps of an attempt, as the connection test shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The name of the server.
    Dns,
    /// The connection.
    Tcp,
    /// Its encryption.
    Tls,
    /// The login.
    Connack,
    /// The subscription to the answers (only in a test of the link).
    Suback,
    /// The answer to a handshake (only in a test of the link).
    Handshake,
}

impl Stage {
    /// Its name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Connack => "connack",
            Self::Suback => "suback",
            Self::Handshake => "handshake",
        }
    }
}

/// An attempt that did not get through.
pub(crate) struct Failed {
    /// Milliseconds that each earlier step took.
    pub(crate) done: Vec<(Stage, u64)>,
    /// Where it ended, and after how many milliseconds.
    pub(crate) stage: Stage,
    pub(crate) took_ms: u64,
    pub(crate) reason: Reason,
}

/// What to connect to, and as whom.
#[derive(Clone)]
pub(crate) struct ConnectSpec {
    pub(crate) link: std::sync::Arc<LinkConfig>,
    pub(crate) client_id: String,
    /// Where in the list of servers to begin (C-14).
    pub(crate) random: u64,
}

/// An open connection.
pub(crate) struct Opened {
    pub(crate) io: IoBoxed,
    pub(crate) codec: Rc<Codec>,
    pub(crate) connack: Box<ConnectAck>,
    /// Milliseconds that each step took.
    pub(crate) stages: Vec<(Stage, u64)>,
}

/// Tries the servers of the link one after the other, within `limit` in all.
///
/// # Errors
/// The stage and reason of the last failure.
pub(crate) async fn open(spec: &ConnectSpec, limit: Duration) -> Result<Opened, Failed> {
    let addresses = spec.link.server.addresses();
    let each = if addresses.len() > 1 { ADDRESS_LIMIT.min(limit) } else { limit };
    let mut last = Progress::new().failed(ReasonWord::NameNotFound.into());
    let end = Instant::now() + limit;
    for address in spec.link.server.round(spec.random) {
        let left = end.saturating_duration_since(Instant::now()).min(each);
        let mut progress = Progress::new();
        match tokio::time::timeout(left, attempt(spec, address, &mut progress)).await {
            Ok(Ok((io, codec, connack))) => {
                return Ok(Opened { io, codec, connack, stages: progress.done });
            }
            Ok(Err(reason)) => last = progress.failed(reason),
            Err(_) => {
                let detail = format!("{address}: no answer within {left:?}");
                last = progress.failed(Reason::with_detail(ReasonWord::ConnectTimeout, &detail));
            }
        }
    }
    Err(last)
}

struct Progress {
    stage: Stage,
    since: Instant,
    done: Vec<(Stage, u64)>,
}

impl Progress {
    fn new() -> Self {
        Self { stage: Stage::Dns, since: Instant::now(), done: Vec::new() }
    }

    fn next(&mut self, stage: Stage) {
        self.finish();
        self.stage = stage;
    }

    fn finish(&mut self) {
        self.done.push((self.stage, millis(self.since)));
        self.since = Instant::now();
    }

    fn failed(self, reason: Reason) -> Failed {
        Failed { took_ms: millis(self.since), stage: self.stage, done: self.done, reason }
    }
}

pub(crate) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

type Established = (IoBoxed, Rc<Codec>, Box<ConnectAck>);

async fn attempt(
    spec: &ConnectSpec,
    address: &ServerAddress,
    progress: &mut Progress,
) -> Result<Established, Reason> {
    let password = password(spec)?;
    let target = resolve(address).await?;
    progress.next(Stage::Tcp);
    let cfg: SharedCfg = SharedCfg::new("link").add(IoConfig::new()).into();
    let io = ntex_net::tcp_connect(target, cfg).await.map_err(|error| failure::tcp(&error))?;
    let io: IoBoxed = if spec.link.ssl.enable {
        progress.next(Stage::Tls);
        let (config, refusal) = tls::client_config(&spec.link.ssl)?;
        let name = tls::server_name(&spec.link.ssl, &address.host)?;
        let io = TlsClientFilter::create(io, config, name).await;
        let failed = |error| match refusal.lock().take() {
            Some(refusal) => failure::tls(&std::io::Error::other(refusal)),
            None => failure::tls(&error),
        };
        io.map_err(failed)?.into()
    } else {
        io.into()
    };
    progress.next(Stage::Connack);
    let established = mqtt_connect(spec, io, password).await?;
    progress.finish();
    Ok(established)
}

async fn resolve(address: &ServerAddress) -> Result<SocketAddr, Reason> {
    let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
    let none = |detail: String| Reason::with_detail(ReasonWord::NameNotFound, &detail);
    found
        .map_err(|error| none(format!("{address}: {error}")))?
        .next()
        .ok_or_else(|| none(format!("{address}: no address")))
}

/// Reads the password at each attempt, so that a changed file counts (C-9).
fn password(spec: &ConnectSpec) -> Result<Option<Bytes>, Reason> {
    let Some(secret) = &spec.link.password else { return Ok(None) };
    let text = match secret.source() {
        SecretSource::Literal(text) => text.reveal().to_owned(),
        SecretSource::File(path) => {
            let path = expand(path);
            std::fs::read_to_string(&path)
                .map_err(|error| {
                    Reason::with_detail(ReasonWord::SecretUnreadable, &format!("{path}: {error}"))
                })?
                .trim_end()
                .to_owned()
        }
    };
    Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
}

/// Replaces `${NAME}` by the environment variable, or leaves it as it is when there is none (C-9).
fn expand(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        match std::env::var(name) {
            Ok(value) => out.push_str(&value),
            Err(_) => out.push_str(&format!("${{{name}}}")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

async fn mqtt_connect(
    spec: &ConnectSpec,
    io: IoBoxed,
    password: Option<Bytes>,
) -> Result<Established, Reason> {
    let codec = Rc::new(Codec::new());
    codec.set_max_inbound_size(INBOUND_BYTES_MAX);
    // Whole messages only: they are bounded above, so chunks would gain nothing.
    codec.set_min_chunk_size(INBOUND_BYTES_MAX);
    let connect = Connect {
        clean_start: true,
        keep_alive: u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(60),
        session_expiry_interval_secs: 0,
        auth_method: None,
        auth_data: None,
        request_problem_info: true,
        request_response_info: false,
        receive_max: None::<NonZeroU16>,
        topic_alias_max: 0,
        user_properties: Vec::new(),
        max_packet_size: None,
        last_will: None,
        client_id: ByteString::from(spec.client_id.as_str()),
        username: spec.link.username.as_deref().map(ByteString::from),
        password,
    };
    let lost = |error: &std::io::Error| failure::broken(error);
    io.encode(Encoded::Packet(Packet::Connect(Box::new(connect))), &*codec)
        .map_err(|error| Reason::with_detail(ReasonWord::ProtocolError, &format!("{error:?}")))?;
    match io.recv(&*codec).await {
        Ok(Some(Decoded::Packet(Packet::ConnectAck(connack), _))) => {
            let code: u8 = connack.reason_code.into();
            if code != 0 {
                let text = connack.reason_string.as_deref().map(AsRef::as_ref);
                return Err(failure::connack(code, text));
            }
            if let Some(size) = connack.max_packet_size {
                codec.set_max_outbound_size(size);
            }
            Ok((io, codec, connack))
        }
        Ok(Some(_)) => {
            let detail = "something else than CONNACK came first";
            Err(Reason::with_detail(ReasonWord::PeerNotMqtt5, detail))
        }
        // With TLS 1.3 a server looks at our certificate after our half of the handshake, and many
        // close without the alert that says so.
        Ok(None) => {
            let word = match spec.link.ssl.enable {
                true => ReasonWord::TlsClientCertificate,
                false => ReasonWord::ConnectionLost,
            };
            Err(Reason::with_detail(word, "closed before CONNACK"))
        }
        // A 3.1.1 server answers with a CONNACK that is no valid one of MQTT 5 (W-5).
        Err(Either::Left(error)) => {
            Err(Reason::with_detail(ReasonWord::PeerNotMqtt5, &format!("{error:?}")))
        }
        Err(Either::Right(error)) => Err(lost(&error)),
    }
}
