//! Control operations (2.4): handshake, its answer, route batches, heartbeats.

use super::{
    ACTOR_BYTES_MAX, BATCH_ENTRIES_ACCEPTED_MAX, MessageError, PROTOCOL_VERSION, Received,
    RouteAction, RouteKey, RouteOp,
};
use crate::term::{Atom, DecodeLimits, Encoder, Term, decode, unwrap_payload};
use bytes::Bytes;

pub(super) mod key {
    pub(in super::super) const ACTOR: i64 = 10;
    pub(in super::super) const INCARNATION: i64 = 11;
    pub(in super::super) const ROUTES: i64 = 12;
    pub(in super::super) const TARGET: i64 = 13;
    pub(in super::super) const VERSION: i64 = 14;
    pub(in super::super) const RESULT: i64 = 15;
    pub(in super::super) const NEED_BOOTSTRAP: i64 = 16;
    /// First element of a delete entry.
    pub(in super::super) const DELETE: i64 = 100;
}

/// The downstream introduces an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorInit {
    pub actor: String,
    pub incarnation: u64,
    /// The cluster that the initiator believes to talk to.
    pub target_cluster: String,
    /// Any number is accepted and served as version 1.
    pub protocol_version: i64,
}

/// What an upstream says to an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitResult {
    Accepted { need_bootstrap: bool },
    Refused { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorInitAck {
    pub actor: String,
    pub result: InitResult,
    pub protocol_version: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteBatch {
    pub actor: String,
    pub incarnation: u64,
    pub ops: Vec<RouteOp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub actor: String,
    pub incarnation: u64,
}

/// Any control payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlOp {
    ActorInit(ActorInit),
    ActorInitAck(ActorInitAck),
    Route(RouteBatch),
    Heartbeat(Heartbeat),
}

impl ControlOp {
    /// Reads a payload of `route/` or `resp/`. Keys that are not ours are ignored, in any order.
    ///
    /// # Errors
    /// [`MessageError`]; every one of them is a protocol error for an upstream (W-25).
    pub fn decode(
        payload: Bytes,
        limits: DecodeLimits,
    ) -> Result<Received<ControlOp>, MessageError> {
        let plain = unwrap_payload(payload, limits)?;
        let decoded = decode(&plain, limits)?;
        let message = ControlOp::from_term(&decoded.term)?;
        Ok(Received { message, trailing_bytes: decoded.trailing_bytes })
    }

    /// Reads a decoded term.
    ///
    /// # Errors
    /// As [`ControlOp::decode`].
    pub fn from_term(term: &Term<'_>) -> Result<ControlOp, MessageError> {
        if !matches!(term, Term::Map(_)) {
            return Err(MessageError::NotAMap);
        }
        let operation =
            term.get_atom(Atom::Op).and_then(Term::as_text).ok_or(MessageError::NoOperation)?;
        match operation {
            "actor_init" => Ok(ControlOp::ActorInit(ActorInit {
                actor: actor(term)?,
                incarnation: incarnation(term)?,
                target_cluster: text(term, key::TARGET, "target cluster (13)")?,
                protocol_version: version(term)?,
            })),
            "actor_init_ack" => Ok(ControlOp::ActorInitAck(ActorInitAck {
                actor: actor(term)?,
                result: result(term)?,
                protocol_version: version(term)?,
            })),
            "route" => Ok(ControlOp::Route(RouteBatch {
                actor: actor(term)?,
                incarnation: incarnation(term)?,
                ops: routes(term)?,
            })),
            "heartbeat" => Ok(ControlOp::Heartbeat(Heartbeat {
                actor: actor(term)?,
                incarnation: incarnation(term)?,
            })),
            other => Err(MessageError::UnknownOperation(crate::reason::bounded(other))),
        }
    }

    /// The plain payload.
    pub fn encode(&self) -> Bytes {
        match self {
            ControlOp::ActorInit(init) => init.encode(),
            ControlOp::ActorInitAck(ack) => ack.encode(),
            ControlOp::Route(batch) => {
                super::batch::encode(&batch.actor, batch.incarnation, batch.ops.iter())
            }
            ControlOp::Heartbeat(beat) => beat.encode(),
        }
    }
}

impl ActorInit {
    pub fn encode(&self) -> Bytes {
        let mut out = Encoder::default();
        out.map(5);
        out.int(key::ACTOR);
        out.text(&self.actor);
        out.int(key::INCARNATION);
        out.int(signed(self.incarnation));
        out.int(key::TARGET);
        out.text(&self.target_cluster);
        out.int(key::VERSION);
        out.int(self.protocol_version);
        operation(&mut out, "actor_init");
        out.finish()
    }
}

impl ActorInitAck {
    pub fn new(actor: &str, result: InitResult) -> ActorInitAck {
        ActorInitAck { actor: actor.to_owned(), result, protocol_version: PROTOCOL_VERSION }
    }

    pub fn encode(&self) -> Bytes {
        let mut out = Encoder::default();
        out.map(5);
        out.int(key::ACTOR);
        out.text(&self.actor);
        out.int(key::VERSION);
        out.int(self.protocol_version);
        out.int(key::RESULT);
        match &self.result {
            InitResult::Accepted { need_bootstrap } => {
                out.atom(Atom::Ok);
                out.int(key::NEED_BOOTSTRAP);
                out.atom(Atom::from(*need_bootstrap));
            }
            InitResult::Refused { reason } => {
                out.tuple(2);
                out.atom(Atom::Error);
                out.text(reason);
                out.int(key::NEED_BOOTSTRAP);
                out.atom(Atom::Undefined);
            }
        }
        operation(&mut out, "actor_init_ack");
        out.finish()
    }
}

impl Heartbeat {
    pub fn encode(&self) -> Bytes {
        let mut out = Encoder::default();
        out.map(3);
        out.int(key::ACTOR);
        out.text(&self.actor);
        out.int(key::INCARNATION);
        out.int(signed(self.incarnation));
        operation(&mut out, "heartbeat");
        out.finish()
    }
}

pub(super) fn operation(out: &mut Encoder, name: &str) {
    out.atom(Atom::Op);
    out.text(name);
}

/// Incarnations are milliseconds or small counters; past `i64` they stop growing.
pub(super) fn signed(incarnation: u64) -> i64 {
    i64::try_from(incarnation).unwrap_or(i64::MAX)
}

fn text(term: &Term<'_>, key: i64, name: &'static str) -> Result<String, MessageError> {
    let text = term.get_int(key).and_then(Term::as_text).ok_or(MessageError::BadField(name))?;
    Ok(text.to_owned())
}

/// An actor name becomes a topic level of the answer and part of log lines.
fn actor(term: &Term<'_>) -> Result<String, MessageError> {
    let name = text(term, key::ACTOR, "actor (10)")?;
    let bad_char = |c: char| matches!(c, '/' | '+' | '#') || c.is_control();
    if name.is_empty() || name.len() > ACTOR_BYTES_MAX || name.contains(bad_char) {
        return Err(MessageError::BadField("actor (10)"));
    }
    Ok(name)
}

fn incarnation(term: &Term<'_>) -> Result<u64, MessageError> {
    term.get_int(key::INCARNATION)
        .and_then(Term::as_int)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(MessageError::BadField("incarnation (11)"))
}

fn version(term: &Term<'_>) -> Result<i64, MessageError> {
    term.get_int(key::VERSION)
        .and_then(Term::as_int)
        .ok_or(MessageError::BadField("protocol version (14)"))
}

fn result(term: &Term<'_>) -> Result<InitResult, MessageError> {
    const NAME: &str = "result (15)";
    let result = term.get_int(key::RESULT).ok_or(MessageError::BadField(NAME))?;
    if result.is_atom(Atom::Ok) {
        let need_bootstrap = term
            .get_int(key::NEED_BOOTSTRAP)
            .and_then(Term::as_bool)
            .ok_or(MessageError::BadField("need bootstrap (16)"))?;
        return Ok(InitResult::Accepted { need_bootstrap });
    }
    match result.as_tuple() {
        Some([tag, Term::Binary(reason)]) if tag.is_atom(Atom::Error) => {
            Ok(InitResult::Refused { reason: String::from_utf8_lossy(reason).into_owned() })
        }
        _ => Err(MessageError::BadField(NAME)),
    }
}

fn routes(term: &Term<'_>) -> Result<Vec<RouteOp>, MessageError> {
    let entries = term
        .get_int(key::ROUTES)
        .and_then(Term::as_list)
        .ok_or(MessageError::BadField("routes (12)"))?;
    if entries.len() > BATCH_ENTRIES_ACCEPTED_MAX {
        return Err(MessageError::TooManyRoutes);
    }
    entries.iter().map(route).collect()
}

fn route(entry: &Term<'_>) -> Result<RouteOp, MessageError> {
    let (action, filter, id) = match entry.as_tuple() {
        Some([filter, id]) => (RouteAction::Add, filter, id),
        Some([Term::Int(key::DELETE), filter, id]) => (RouteAction::Delete, filter, id),
        _ => return Err(MessageError::BadRoute),
    };
    let filter = filter.as_text().ok_or(MessageError::BadRoute)?;
    let id = id.as_text().ok_or(MessageError::BadRoute)?;
    Ok(RouteOp { action, key: RouteKey::new(filter, id) })
}
