//! CONNECT: who is it, may it, and which session does it get (MQTT 5.0 §3.1.4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntex_io::{Io, Sealed};
use spanmq_session::{ConnectTerms, Publisher, SessionExpiry, Will};
use spanmq_state::Epoch;
use spanmq_state::command::Subscription;
use spanmq_topic::{TopicName, check_limits};
use tokio::time::timeout;

use crate::clients::Claim;
use crate::codec::{self, ConnAck, Connect, Encoder};
use crate::config::UsernameSource;
use crate::directory::claim_session;
use crate::fetch::{Fetched, fetch};
use crate::listener::{ListenerState, Permit};
use crate::mail::SlotKey;
use crate::ports::{Action, Authenticated, Client, Credentials};
use crate::shared::{Shared, random_u64};
use crate::transport::Opened;
use crate::worker::moving::Barrier;
use crate::worker::slot::ConnStart;
use crate::worker::{Attach, WorkerCell};

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
        cell: &WorkerCell,
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
        let mut worker = cell.borrow_mut();
        worker.begin();
        // Still to be passed over: it came from another node a moment ago.
        let got = worker.take_got(&parts.client.client_id);
        let (session, moved) = match parts.fetched {
            Fetched::Nothing => (None, None),
            Fetched::Moved(mut arrival) => {
                (arrival.export.take(), arrival.take().map(|key| (key, arrival.take_got())))
            }
            Fetched::Here => {
                let keep = parts.connack.session_present;
                // On this very worker: no await between leaving the old place and taking the new.
                (worker.give_up(&parts.client.client_id, keep), None)
            }
        };
        let came_from_elsewhere = moved.is_some();
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
        if got.is_some() {
            worker.put_got(key, got);
        }
        drop(worker);
        if came_from_elsewhere {
            Barrier::settle(cell, shared, key);
        }
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
    let rules = &shared.config.rules;
    rules.check_client_id(&connect.client_id)?;
    let assigned = connect.client_id.is_empty().then(assign_client_id);
    let client_id: Arc<str> = assigned.as_deref().unwrap_or(&connect.client_id).into();
    let client = Arc::new(authenticate(shared, opened, &connect, client_id.clone()).await?);
    let will = connect.will.as_ref().map(|will| check_will(shared, &client, will)).transpose()?;
    let terms = terms(&connect, shared);
    let claim = shared.clients.claim(client_id.clone()).await;
    let claimed = claim_session(shared, &client, &connect, &terms, will.as_ref()).await?;
    // A task of its own: a hand-over is never left half done, even if this connection ends.
    let fetching = tokio::task::spawn_local({
        let (worker, shared) = (worker.clone(), shared.clone());
        let (client, terms) = (client.clone(), terms.clone());
        async move {
            let fetched = fetch(&worker, &shared, &client, &terms, &claimed).await;
            (fetched, claimed, claim)
        }
    });
    let (fetched, claimed, claim) = fetching.await.map_err(|_| SERVER_UNAVAILABLE)?;
    let fetched = fetched?;
    let keep_alive_s = granted_keep_alive(&connect, opened);
    let connack = connack(&connect, &terms, shared, opened, assigned, keep_alive_s)
        .with_session(claimed.session_present);
    let encoder = Encoder {
        version: connect.version,
        problem_info: connect.request_problem_info,
        packet_max: connect.max_packet_size,
    };
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
        silence_max: silence_max(
            keep_alive_s,
            rules.keep_alive_factor,
            opened.listener.config.idle_timeout,
        ),
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
    let subject = opened.subject.as_ref();
    let cert_cn = subject.and_then(|subject| subject.common_name.clone());
    let username: Option<Arc<str>> = match config.username_from {
        UsernameSource::Connect => connect.username.as_deref().map(Arc::from),
        UsernameSource::CertificateCn => cert_cn.clone(),
        UsernameSource::CertificateDn => subject.map(|subject| subject.distinguished_name.clone()),
    };
    let credentials = Credentials {
        client_id: client_id.clone(),
        username: username.clone(),
        password: connect.password.as_ref().map(|password| password.0.clone()),
        username_is_proved: config.username_from != UsernameSource::Connect,
        cert_cn: cert_cn.clone(),
        peer: Some(opened.peer),
        listener: config.name.clone(),
        version: connect.version,
    };
    match shared.ports.authenticate.authenticate(credentials).await {
        Authenticated::Denied(code) => Err(if code >= 0x80 { code } else { NOT_AUTHORIZED }),
        Authenticated::Allowed { principal, is_superuser } => Ok(Client {
            client_id,
            username,
            cert_cn,
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
    shared.config.rules.check_message(will.qos, will.retain)?;
    let action = Action::Publish { qos: will.qos, retain: will.retain };
    // Links speak with PUBLISH only: a will under `$LINK/` or `$SYS/` is never right (A4).
    if topic.starts_with('$') || !shared.ports.authorize.allows(client, action, &topic) {
        return Err(NOT_AUTHORIZED);
    }
    let mut will = Will {
        topic,
        payload: will.payload.clone(),
        qos: will.qos,
        retain: will.retain,
        properties: will.properties.clone(),
        delay_s: will.delay_secs,
    };
    shared.config.rules.limit_life(&mut will.properties);
    if will.fits(&shared.limits) { Ok(will) } else { Err(QUOTA_EXCEEDED) }
}

fn terms(connect: &Connect, shared: &Shared) -> ConnectTerms {
    let cap = shared.limits.session_expiry_max_s;
    let expiry = if connect.version.is_v5() {
        SessionExpiry::from_v5(Some(connect.session_expiry_secs), cap)
    } else {
        let stays = shared.config.rules.session_expiry_v3_s;
        SessionExpiry::from_v3(connect.clean_start, Some(cap.map_or(stays, |cap| cap.min(stays))))
    };
    ConnectTerms {
        receive_max: connect.receive_max.unwrap_or(u16::MAX),
        packet_size_max: connect.max_packet_size,
        topic_alias_max: connect.topic_alias_max,
        ..ConnectTerms::plain(connect.version, expiry)
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
fn silence_max(keep_alive_s: u16, factor: f64, idle: Duration) -> Duration {
    match keep_alive_s {
        0 => idle,
        seconds => Duration::from_secs(seconds.into()).mul_f64(factor).max(SILENCE_FLOOR),
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
    let rules = &shared.config.rules;
    ConnAck {
        code: 0,
        session_present: false,
        assigned_client_id: assigned,
        session_expiry_secs: (granted != connect.session_expiry_secs).then_some(granted),
        receive_max: shared.limits.receive_max,
        max_packet_size: opened.listener.config.packet_bytes_max,
        topic_alias_max: shared.limits.topic_aliases_max,
        server_keep_alive: (keep_alive_s != connect.keep_alive).then_some(keep_alive_s),
        response_info: rules.response_information.clone().filter(|_| connect.request_response_info),
        offers: rules.into(),
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
        assert_eq!(silence_max(60, 1.5, idle), Duration::from_secs(90));
        assert_eq!(silence_max(60, 2.0, idle), Duration::from_secs(120));
        assert_eq!(silence_max(1, 1.5, idle), Duration::from_secs(2));
        assert_eq!(silence_max(0, 1.5, idle), idle);
    }
}
