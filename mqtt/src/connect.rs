//! CONNECT: who is it, may it, and which session does it get (MQTT 5.0 §3.1.4).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntex_io::{Io, Sealed};
use spanmq_session::codec::encode_message;
use spanmq_session::{ConnectTerms, MessageId, Publisher, SessionExpiry, SessionExport, Will};
use spanmq_state::command::{
    Handover, Holder, SessionCommand, SessionReply, Subscription, Will as StoredWill,
};
use spanmq_state::{Command, Epoch, Opaque, Reply};
use spanmq_topic::{TopicName, check_limits};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clients::Claim;
use crate::codec::{self, ConnAck, Connect, Encoder};
use crate::config::UsernameSource;
use crate::listener::{ListenerState, Permit};
use crate::mail::{Mail, SlotKey};
use crate::ports::{Action, Authenticated, Client, Credentials};
use crate::shared::{Shared, random_u64, wall_ms};
use crate::transport::Opened;
use crate::worker::slot::ConnStart;
use crate::worker::moving::Barrier;
use crate::worker::{Attach, WorkerCell, ask};

/// How long authentication, the directory and a former owner may take.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Grace of the keep-alive has this floor (L5).
const SILENCE_FLOOR: Duration = Duration::from_secs(2);

const NOT_AUTHORIZED: u8 = 0x87;
const SERVER_UNAVAILABLE: u8 = 0x88;
const SERVER_BUSY: u8 = 0x89;
const BAD_AUTH_METHOD: u8 = 0x8C;
const TOPIC_INVALID: u8 = 0x90;
const QUOTA_EXCEEDED: u8 = 0x97;

/// A client that gets a session; all awaiting is done.
pub(crate) struct Admitted {
    attach: AttachParts,
    /// Nobody else connects with this id until the session is in its place.
    _claim: Claim,
}

struct AttachParts {
    client: Arc<Client>,
    terms: ConnectTerms,
    will: Option<Will>,
    epoch: Epoch,
    fetched: Fetched,
    subscriptions: Vec<Subscription>,
    connack: ConnAck,
    encoder: Encoder,
    keep_alive_s: u16,
    silence_max: Duration,
}

impl Admitted {
    /// Puts session and connection together; yields their key and number.
    pub(crate) fn attach(
        self,
        worker: &WorkerCell,
        shared: &Shared,
        io: &Io<Sealed>,
        mut permit: Permit,
        listener: Arc<ListenerState>,
        peer: SocketAddr,
    ) -> (SlotKey, u64) {
        permit.authenticated();
        let parts = self.attach;
        let number = shared.next_connection();
        let publisher = Publisher {
            username: parts.client.username.clone(),
            peer: Some(peer),
            version: parts.client.version,
        };
        let conn = ConnStart {
            number,
            io: io.get_ref(),
            encoder: parts.encoder,
            listener,
            publisher,
            keep_alive_s: parts.keep_alive_s,
            silence_max: parts.silence_max,
            permit,
        };
        let mut worker = worker.borrow_mut();
        worker.begin();
        let (session, moved) = match parts.fetched {
            Fetched::Nothing => (None, None),
            Fetched::Export(export) => (Some(export), None),
            Fetched::Moved(mut arrival) => {
                (arrival.export.take(), arrival.take().map(|key| (key, arrival.take_got())))
            }
            Fetched::Here => {
                let keep = parts.connack.session_present;
                // On this very worker: no await between leaving the old place and taking the new.
                (worker.give_up(&parts.client.client_id, keep), None)
            }
        };
        let key = worker.attach(Attach {
            client: parts.client,
            terms: parts.terms,
            will: parts.will,
            epoch: parts.epoch,
            session,
            subscriptions: parts.subscriptions,
            conn,
            connack: parts.connack,
            moved,
        });
        (key, number)
    }
}

/// Decides a CONNECT.
///
/// # Errors
/// The 5.0 code for CONNACK.
pub(crate) async fn admit(
    worker: &WorkerCell,
    shared: &Arc<Shared>,
    opened: &Opened,
    connect: Connect,
) -> Result<Admitted, u8> {
    if shared.is_stopping() {
        return Err(SERVER_UNAVAILABLE);
    }
    if connect.has_auth_method {
        return Err(BAD_AUTH_METHOD);
    }
    let admitting = admit_inner(worker, shared, opened, connect);
    timeout(ADMIT_TIMEOUT, admitting).await.unwrap_or(Err(SERVER_BUSY))
}

async fn admit_inner(
    worker: &WorkerCell,
    shared: &Arc<Shared>,
    opened: &Opened,
    connect: Connect,
) -> Result<Admitted, u8> {
    let assigned = connect.client_id.is_empty().then(assign_client_id);
    let client_id: Arc<str> = assigned.as_deref().unwrap_or(&connect.client_id).into();
    let client = Arc::new(authenticate(shared, opened, &connect, client_id.clone()).await?);
    let will = connect.will.as_ref().map(|will| check_will(shared, &client, will)).transpose()?;
    let terms = terms(&connect, shared);
    let claim = shared.clients.claim(client_id.clone()).await;
    let claimed = claim_session(shared, &client, &connect, &terms, will.as_ref()).await?;
    let fetched = fetch(worker, shared, &client, &claimed).await;
    if !claimed.installed {
        let have_state = !matches!(fetched, Fetched::Nothing);
        install(shared, &client_id, &claimed, have_state).await?;
    }
    let keep_alive_s = granted_keep_alive(&connect, opened);
    let connack = connack(&connect, &terms, shared, opened, assigned, keep_alive_s)
        .with_session(claimed.session_present);
    let encoder =
        Encoder { version: connect.version, problem_info: connect.request_problem_info };
    let attach = AttachParts {
        client,
        terms,
        will,
        epoch: claimed.epoch,
        fetched,
        subscriptions: if claimed.session_present { claimed.subscriptions } else { Vec::new() },
        connack,
        encoder,
        keep_alive_s,
        silence_max: silence_max(keep_alive_s, opened.listener.config.idle_timeout),
    };
    Ok(Admitted { attach, _claim: claim })
}

impl ConnAck {
    fn with_session(mut self, present: bool) -> Self {
        self.session_present = present;
        self
    }
}

/// A client id that nobody can guess.
fn assign_client_id() -> String {
    format!("auto-{:016x}{:016x}", random_u64(), random_u64())
}

async fn authenticate(
    shared: &Shared,
    opened: &Opened,
    connect: &Connect,
    client_id: Arc<str>,
) -> Result<Client, u8> {
    let config = &opened.listener.config;
    let username = match config.username_from {
        UsernameSource::Connect => connect.username.as_deref().map(Arc::from),
        UsernameSource::CertificateCn => opened.cert_cn.clone(),
    };
    let credentials = Credentials {
        client_id: client_id.clone(),
        username: username.clone(),
        password: connect.password.as_ref().map(|password| password.0.clone()),
        cert_cn: opened.cert_cn.clone(),
        peer: Some(opened.peer),
        listener: config.name.clone(),
        version: connect.version,
    };
    match shared.ports.authenticate.authenticate(credentials).await {
        Authenticated::Denied(code) => Err(if code >= 0x80 { code } else { NOT_AUTHORIZED }),
        Authenticated::Allowed { principal, is_superuser } => Ok(Client {
            client_id,
            username,
            cert_cn: opened.cert_cn.clone(),
            peer: Some(opened.peer),
            listener: config.name.clone(),
            zone: config.zone.clone(),
            version: connect.version,
            principal,
            is_superuser,
        }),
    }
}

/// A will is authorised at CONNECT, and again when it is published (A6).
fn check_will(shared: &Shared, client: &Client, will: &codec::Will) -> Result<Will, u8> {
    check_limits(&will.topic, &shared.topic_limits).map_err(|_| TOPIC_INVALID)?;
    let topic = TopicName::new(will.topic.as_str()).map_err(|_| TOPIC_INVALID)?;
    let action = Action::Publish { qos: will.qos, retain: will.retain };
    // Links speak with PUBLISH only: a will under `$LINK/` or `$SYS/` is never right (A4).
    if topic.starts_with('$') || !shared.ports.authorize.allows(client, action, &topic) {
        return Err(NOT_AUTHORIZED);
    }
    let will = Will {
        topic,
        payload: will.payload.clone(),
        qos: will.qos,
        retain: will.retain,
        properties: will.properties.clone(),
        delay_s: will.delay_secs,
    };
    if will.fits(&shared.limits) { Ok(will) } else { Err(QUOTA_EXCEEDED) }
}

fn terms(connect: &Connect, shared: &Shared) -> ConnectTerms {
    let cap = shared.limits.session_expiry_max_s;
    let expiry = if connect.version.is_v5() {
        SessionExpiry::from_v5(Some(connect.session_expiry_secs), cap)
    } else {
        SessionExpiry::from_v3(connect.clean_start, cap)
    };
    ConnectTerms {
        receive_max: connect.receive_max.unwrap_or(u16::MAX),
        packet_size_max: connect.max_packet_size,
        topic_alias_max: connect.topic_alias_max,
        ..ConnectTerms::plain(connect.version, expiry)
    }
}

/// What the directory said.
struct Claimed {
    epoch: Epoch,
    previous: Option<Holder>,
    session_present: bool,
    installed: bool,
    subscriptions: Vec<Subscription>,
}

async fn claim_session(
    shared: &Shared,
    client: &Client,
    connect: &Connect,
    terms: &ConnectTerms,
    will: Option<&Will>,
) -> Result<Claimed, u8> {
    let command = SessionCommand::Claim {
        client_id: client.client_id.clone(),
        node: shared.ports.identity.node,
        clean_start: connect.clean_start,
        principal: client.principal.clone(),
        expiry_s: terms.expiry.interval(),
        persistent: terms.expiry.is_persistent(),
        will: will.map(|will| stored_will(will, client)),
        at_ms: wall_ms(),
    };
    match propose_one(shared, command).await? {
        SessionReply::Claimed { epoch, previous, session_present, installed, subscriptions } => {
            Ok(Claimed { epoch, previous, session_present, installed, subscriptions })
        }
        SessionReply::PrincipalDiffers => Err(NOT_AUTHORIZED),
        SessionReply::Done | SessionReply::Stale { .. } | SessionReply::Unknown => {
            Err(SERVER_UNAVAILABLE)
        }
    }
}

async fn propose_one(shared: &Shared, command: SessionCommand) -> Result<SessionReply, u8> {
    let replies = shared.ports.propose.propose(vec![Command::Session(command)]).await;
    match replies.map(|mut replies| replies.pop()) {
        Ok(Some(Reply::Session(reply))) => Ok(reply),
        Ok(other) => {
            tracing::error!(?other, "the directory gave no answer");
            Err(SERVER_UNAVAILABLE)
        }
        Err(error) => {
            tracing::debug!(%error, "CONNECT without the directory");
            Err(SERVER_UNAVAILABLE)
        }
    }
}

/// The will as another node needs it, should this one die.
fn stored_will(will: &Will, client: &Client) -> StoredWill {
    let publisher =
        Publisher { username: client.username.clone(), peer: client.peer, version: client.version };
    let now = std::time::Instant::now();
    let id = MessageId([0; 16]);
    let from = client.client_id.clone();
    let message = will.clone().into_message(now, wall_ms(), id, from, publisher);
    let mut bytes = Vec::new();
    if let Err(error) = encode_message(&message, now, &mut bytes) {
        tracing::error!(%error, "a will could not be encoded");
    }
    StoredWill {
        topic: will.topic.as_str().into(),
        delay_s: will.delay_s,
        message: Opaque::new(bytes),
    }
}

/// Where the session comes from.
enum Fetched {
    /// Nobody has it, or it is not to go on.
    Nothing,
    /// It is on this worker and is taken at the last moment.
    Here,
    /// From another node.
    Export(Box<SessionExport>),
    /// From another worker of this node.
    Moved(Arrival),
}

/// A session that has come from another worker, and the place of its buffer. When the connection
/// ends before it is used, both wait here without one.
struct Arrival {
    worker: WorkerCell,
    client: Arc<Client>,
    epoch: Epoch,
    buffer: Option<SlotKey>,
    export: Option<Box<SessionExport>>,
    got: HashSet<MessageId>,
}

impl Arrival {
    fn take(&mut self) -> Option<SlotKey> {
        self.buffer.take()
    }

    fn take_got(&mut self) -> HashSet<MessageId> {
        std::mem::take(&mut self.got)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(key) = self.buffer.take() {
            let (client, export) = (self.client.clone(), self.export.take());
            let mut worker = self.worker.borrow_mut();
            worker.keep_arrived(key, client, self.epoch, export, &self.got);
        }
    }
}

/// Fetches the session from wherever it is, but for this worker, which gives it up when the new
/// connection takes its place.
async fn fetch(
    worker: &WorkerCell,
    shared: &Shared,
    client: &Arc<Client>,
    claimed: &Claimed,
) -> Fetched {
    let (client_id, keep) = (&client.client_id, claimed.session_present);
    if let Some(place) = shared.clients.place(client_id) {
        let here = worker.borrow().id;
        if place.worker == here {
            return Fetched::Here;
        }
        if keep {
            let arrival = move_here(worker, shared, client, claimed.epoch, place.worker).await;
            return arrival.map_or(Fetched::Nothing, Fetched::Moved);
        }
        let (reply, session) = oneshot::channel();
        let mailbox = &shared.workers[usize::from(place.worker)];
        mailbox.send(Mail::GiveUp { client_id: client_id.clone(), keep, reply });
        // Only its end is waited for.
        let _ = session.await;
        return Fetched::Nothing;
    }
    let Some(previous) = claimed.previous.filter(|of| of.node != shared.ports.identity.node) else {
        return Fetched::Nothing;
    };
    let export = shared.ports.peers.take_over(previous, client_id.clone(), claimed.epoch).await;
    let Some(export) = export.filter(|_| keep) else { return Fetched::Nothing };
    match spanmq_session::codec::decode_export(&export, std::time::Instant::now()) {
        Ok(export) => Fetched::Export(Box::new(export)),
        Err(error) => {
            tracing::error!(%error, "a hand-over cannot be read");
            Fetched::Nothing
        }
    }
}

/// Moves a session from another worker of this node; the steps are those of `worker::moving`.
async fn move_here(
    worker: &WorkerCell,
    shared: &Shared,
    client: &Arc<Client>,
    epoch: Epoch,
    old: u16,
) -> Option<Arrival> {
    let mailbox = &shared.workers[usize::from(old)];
    let client_id = client.client_id.clone();
    let subscriptions = ask(mailbox, move |worker| worker.freeze(&client_id)).await.flatten()?;
    let (buffer, visible) = {
        let mut worker = worker.borrow_mut();
        let (buffer, batch) = worker.expect_session(client, subscriptions);
        (buffer, worker.when_visible(batch))
    };
    let mut arrival = Arrival {
        worker: worker.clone(),
        client: client.clone(),
        epoch,
        buffer: Some(buffer),
        export: None,
        got: HashSet::new(),
    };
    // Both end only with the worker.
    visible.await.ok()?;
    Barrier::raise(&shared.workers, old).await.ok()?;
    let client_id = client.client_id.clone();
    let left = ask(mailbox, move |worker| worker.leave(&client_id)).await.flatten()?;
    arrival.export = Some(left.export);
    arrival.got = left.got;
    Some(arrival)
}

async fn install(
    shared: &Shared,
    client_id: &Arc<str>,
    claimed: &Claimed,
    have_state: bool,
) -> Result<(), u8> {
    let handover = if have_state || !claimed.session_present {
        Handover::Complete
    } else {
        Handover::WithoutOwner
    };
    let command = SessionCommand::Installed {
        client_id: client_id.clone(),
        epoch: claimed.epoch,
        handover,
    };
    match propose_one(shared, command).await? {
        SessionReply::Done => Ok(()),
        _ => Err(SERVER_UNAVAILABLE),
    }
}

/// The keep-alive in force: the client's, cut by the listener's cap; with a cap, "none" is cut too.
fn granted_keep_alive(connect: &Connect, opened: &Opened) -> u16 {
    match (connect.keep_alive, opened.listener.config.keep_alive_max_s) {
        (asked, 0) => asked,
        (0, cap) => cap,
        (asked, cap) => asked.min(cap),
    }
}

/// One and a half times the keep-alive [MQTT-3.1.2-22], at least 2 s; without one, the idle limit.
fn silence_max(keep_alive_s: u16, idle: Duration) -> Duration {
    match keep_alive_s {
        0 => idle,
        seconds => (Duration::from_millis(1_500) * u32::from(seconds)).max(SILENCE_FLOOR),
    }
}

fn connack(
    connect: &Connect,
    terms: &ConnectTerms,
    shared: &Shared,
    opened: &Opened,
    assigned: Option<String>,
    keep_alive_s: u16,
) -> ConnAck {
    let granted = terms.expiry.interval();
    ConnAck {
        code: 0,
        session_present: false,
        assigned_client_id: assigned,
        session_expiry_secs: (granted != connect.session_expiry_secs).then_some(granted),
        receive_max: shared.limits.receive_max,
        max_packet_size: opened.listener.config.packet_bytes_max,
        topic_alias_max: shared.limits.topic_aliases_max,
        server_keep_alive: (keep_alive_s != connect.keep_alive).then_some(keep_alive_s),
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [MQTT-3.1.2-22]
    #[test]
    fn silence_is_one_and_a_half_keep_alives_with_a_floor() {
        let idle = Duration::from_secs(1_000);
        assert_eq!(silence_max(60, idle), Duration::from_secs(90));
        assert_eq!(silence_max(1, idle), Duration::from_secs(2));
        assert_eq!(silence_max(0, idle), idle);
    }
}
