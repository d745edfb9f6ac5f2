//! One inbound connection that speaks for a remote.

use super::{
    ActorKey, Command, Event, InitOutcome, LinkFacts, Note, PublishToken, RoutePublish,
    RoutesOutcome, code,
};
use crate::binding::{ClientIdentity, Principal, may_speak};
use crate::message::{
    ActorInit, ActorInitAck, ControlOp, Heartbeat, InitResult, RouteBatch, RouteOp,
};
use crate::reason::bounded;
use crate::term::DecodeLimits;
use crate::topics;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Handshakes and batches of one connection that may wait for their entry. A remote of good manners
/// has one; with QoS 0 no receive-maximum bounds the others.
const OUTSTANDING_MAX: usize = 64;

/// The upstream's side of one connection. Lives as long as the connection.
#[derive(Debug)]
pub struct UpstreamConnection {
    local_cluster: String,
    client: ClientIdentity,
    limits: DecodeLimits,
    session: Option<Session>,
    /// Handshakes that wait for their entry to be applied.
    waiting: BTreeMap<PublishToken, Waiting>,
    /// Proposals that were not answered yet.
    outstanding: usize,
    closed: bool,
}

/// The actor that introduced itself here.
#[derive(Debug)]
struct Session {
    actor: ActorKey,
    incarnation: u64,
    accepted: bool,
}

#[derive(Debug)]
struct Waiting {
    actor: ActorKey,
    reply_to: ReplyTo,
    /// Incarnation of this handshake.
    incarnation: u64,
}

#[derive(Debug)]
struct ReplyTo {
    topic: String,
    correlation_data: Bytes,
}

impl UpstreamConnection {
    pub fn new(
        local_cluster: &str,
        client: ClientIdentity,
        limits: DecodeLimits,
    ) -> UpstreamConnection {
        UpstreamConnection {
            local_cluster: local_cluster.to_owned(),
            client,
            limits,
            session: None,
            waiting: BTreeMap::new(),
            outstanding: 0,
            closed: false,
        }
    }

    /// Takes an event, returns what to do, in order. After a disconnect nothing happens.
    pub fn handle(&mut self, event: Event) -> Vec<Command> {
        if self.closed {
            return Vec::new();
        }
        match event {
            Event::Publish(publish) => self.publish(publish),
            Event::InitDone { token, outcome } => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.init_done(token, outcome)
            }
            Event::RoutesDone { token, outcome } => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.routes_done(token, outcome)
            }
        }
    }

    /// The actor that speaks here, once accepted.
    pub fn actor(&self) -> Option<(&ActorKey, u64)> {
        let session = self.session.as_ref().filter(|session| session.accepted)?;
        Some((&session.actor, session.incarnation))
    }

    /// Counts a proposal that is about to be made; false when there are too many.
    fn may_propose(&mut self) -> bool {
        self.outstanding += 1;
        self.outstanding <= OUTSTANDING_MAX
    }

    fn publish(&mut self, publish: RoutePublish) -> Vec<Command> {
        let RoutePublish { token, cluster, link, payload, .. } = &publish;
        let cluster = cluster.clone();
        if let Some(link) = link
            && !may_speak(&self.client, &link.inbound, link.holder.as_ref())
        {
            let note = Note::IdentityMismatch { cluster, holder: link.holder.clone() };
            let ack = Command::Ack { token: *token, code: code::NOT_AUTHORIZED };
            return vec![Command::Note(note), ack];
        }
        let received = match ControlOp::decode(payload.clone(), self.limits) {
            Ok(received) => received,
            Err(error) => return self.protocol_error(&error.to_string()),
        };
        let mut out = Vec::new();
        if received.trailing_bytes > 0 {
            let count = received.trailing_bytes;
            out.push(Command::Note(Note::TrailingBytes { cluster, count }));
        }
        out.extend(match received.message {
            ControlOp::ActorInit(init) => self.init(publish, init),
            ControlOp::Route(batch) => self.routes(&publish, batch),
            ControlOp::Heartbeat(beat) => self.heartbeat(&publish, &beat),
            ControlOp::ActorInitAck(_) => self.protocol_error("an answer instead of a request"),
        });
        out
    }

    fn init(&mut self, publish: RoutePublish, init: ActorInit) -> Vec<Command> {
        let RoutePublish { token, cluster, link, response_topic, correlation_data, .. } = publish;
        let (Some(topic), Some(correlation_data)) = (response_topic, correlation_data) else {
            return self.protocol_error("a handshake without Response-Topic or Correlation-Data");
        };
        if !is_answer_topic(&topic, &cluster) {
            return self.protocol_error("a Response-Topic outside of the cluster's own");
        }
        let reply_to = ReplyTo { topic, correlation_data };
        let actor = ActorKey { cluster, actor: init.actor };
        if self.session.as_ref().is_some_and(|session| session.actor != actor) {
            return self.protocol_error("a second handshake for another actor");
        }
        if let Some(word) = self.refusal(link.as_ref(), &init.target_cluster) {
            self.session = None;
            return self.refuse(token, &actor, reply_to, word, &init.target_cluster);
        }
        if !self.may_propose() {
            return self.disconnect(code::RECEIVE_MAXIMUM_EXCEEDED, "too many at once");
        }
        let incarnation = init.incarnation;
        self.session = Some(Session { actor: actor.clone(), incarnation, accepted: false });
        self.waiting.insert(token, Waiting { actor: actor.clone(), reply_to, incarnation });
        let principal = Principal::of(&self.client);
        vec![Command::ActorInit { token, actor, incarnation, principal }]
    }

    /// W-21, in its order.
    fn refusal(&self, link: Option<&LinkFacts>, target: &str) -> Option<&'static str> {
        match link {
            None => Some("unknown_cluster"),
            Some(link) if link.enabled && target != self.local_cluster => {
                Some("bad_remote_cluster_link_name")
            }
            Some(link) if !link.enabled => Some("cluster_link_disabled"),
            Some(_) => None,
        }
    }

    fn refuse(
        &self,
        token: PublishToken,
        actor: &ActorKey,
        reply_to: ReplyTo,
        word: &str,
        known_as: &str,
    ) -> Vec<Command> {
        let note = Note::InitRejected {
            cluster: actor.cluster.clone(),
            word: word.to_owned(),
            known_as: bounded(known_as),
        };
        let result = InitResult::Refused { reason: word.to_owned() };
        let mut out = vec![Command::Note(note)];
        out.extend(answer(token, &actor.actor, reply_to, result));
        out
    }

    fn init_done(&mut self, token: PublishToken, outcome: InitOutcome) -> Vec<Command> {
        let Some(Waiting { actor, reply_to, incarnation }) = self.waiting.remove(&token) else {
            return Vec::new();
        };
        let word = match outcome {
            InitOutcome::Accepted { need_bootstrap } => {
                if let Some(session) = &mut self.session
                    && session.incarnation == incarnation
                {
                    session.accepted = true;
                }
                let result = InitResult::Accepted { need_bootstrap };
                return answer(token, &actor.actor, reply_to, result);
            }
            InitOutcome::Stale => return self.protocol_error("an older incarnation"),
            InitOutcome::NoQuorum => return self.disconnect(code::SERVER_BUSY, "no quorum"),
            InitOutcome::HeldByOther => {
                self.session = None;
                let note = Note::IdentityMismatch { cluster: actor.cluster, holder: None };
                let ack = Command::Ack { token, code: code::NOT_AUTHORIZED };
                return vec![Command::Note(note), ack];
            }
            InitOutcome::UnknownCluster => "unknown_cluster",
            InitOutcome::LinkDisabled => "cluster_link_disabled",
            InitOutcome::TooManyActors => "too_many_actors",
        };
        self.session = None;
        let known_as = self.local_cluster.clone();
        self.refuse(token, &actor, reply_to, word, &known_as)
    }

    fn routes(&mut self, publish: &RoutePublish, batch: RouteBatch) -> Vec<Command> {
        let token = publish.token;
        let (actor, incarnation) = match self.speaker(publish, &batch.actor, batch.incarnation) {
            Ok(Some(speaker)) => speaker,
            Ok(None) => return self.protocol_error("an operation before the handshake"),
            Err(cause) => return self.protocol_error(cause),
        };
        let given = batch.ops.len();
        let ops: Vec<RouteOp> = batch.ops.into_iter().filter(is_learnable).collect();
        let mut out = Vec::new();
        if ops.len() < given {
            let count = given.saturating_sub(ops.len());
            out.push(Command::Note(Note::BadFilters { cluster: actor.cluster.clone(), count }));
        }
        if ops.is_empty() {
            out.push(Command::Heartbeat { actor, incarnation });
            out.push(Command::Ack { token, code: code::NO_MATCHING_SUBSCRIBERS });
        } else if !self.may_propose() {
            return self.disconnect(code::RECEIVE_MAXIMUM_EXCEEDED, "too many at once");
        } else {
            out.push(Command::RouteOps { token, actor, incarnation, ops });
        }
        out
    }

    fn routes_done(&mut self, token: PublishToken, outcome: RoutesOutcome) -> Vec<Command> {
        let cluster = || self.session.as_ref().map(|s| s.actor.cluster.clone()).unwrap_or_default();
        match outcome {
            RoutesOutcome::Applied { invalid } => {
                let mut out = Vec::new();
                if invalid > 0 {
                    let count = usize::try_from(invalid).unwrap_or(usize::MAX);
                    out.push(Command::Note(Note::BadFilters { cluster: cluster(), count }));
                }
                out.push(Command::Ack { token, code: code::NO_MATCHING_SUBSCRIBERS });
                out
            }
            RoutesOutcome::OverCap => vec![
                Command::Note(Note::OverCap { cluster: cluster(), what: "routes" }),
                Command::Ack { token, code: code::QUOTA_EXCEEDED },
            ],
            RoutesOutcome::Stale => self.protocol_error("an older incarnation"),
            RoutesOutcome::NoQuorum => self.disconnect(code::SERVER_BUSY, "no quorum"),
        }
    }

    fn heartbeat(&mut self, publish: &RoutePublish, beat: &Heartbeat) -> Vec<Command> {
        let ack = Command::Ack { token: publish.token, code: code::NO_MATCHING_SUBSCRIBERS };
        match self.speaker(publish, &beat.actor, beat.incarnation) {
            Ok(Some((actor, incarnation))) => {
                vec![Command::Heartbeat { actor, incarnation }, ack]
            }
            // Before the handshake a heartbeat is ignored (W-25).
            Ok(None) => vec![ack],
            Err(cause) => self.protocol_error(cause),
        }
    }

    /// The actor of this connection, if it is the one the operation names. `None` before the
    /// handshake.
    fn speaker(
        &self,
        publish: &RoutePublish,
        actor: &str,
        incarnation: u64,
    ) -> Result<Option<(ActorKey, u64)>, &'static str> {
        let Some(session) = self.session.as_ref().filter(|session| session.accepted) else {
            return Ok(None);
        };
        if session.actor.cluster != publish.cluster || session.actor.actor != actor {
            return Err("an operation of another actor than the handshake's");
        }
        if session.incarnation != incarnation {
            return Err("an operation of another incarnation than the handshake's");
        }
        // The next handshake will tell the remote why.
        if !publish.link.as_ref().is_some_and(|link| link.enabled) {
            return Err("the link was disabled or deleted");
        }
        Ok(Some((session.actor.clone(), incarnation)))
    }

    fn protocol_error(&mut self, cause: &str) -> Vec<Command> {
        self.disconnect(code::IMPLEMENTATION_SPECIFIC_ERROR, cause)
    }

    fn disconnect(&mut self, code: u8, cause: &str) -> Vec<Command> {
        self.closed = true;
        self.session = None;
        self.waiting.clear();
        vec![Command::Disconnect { code, cause: bounded(cause) }]
    }
}

fn answer(token: PublishToken, actor: &str, reply_to: ReplyTo, result: InitResult) -> Vec<Command> {
    let payload = ActorInitAck::new(actor, result).encode();
    let ReplyTo { topic, correlation_data } = reply_to;
    vec![
        Command::Ack { token, code: code::NO_MATCHING_SUBSCRIBERS },
        Command::Answer { topic, correlation_data, payload },
    ]
}

/// W-27: an answer goes only below the asking cluster's own prefix, and only to a topic name.
fn is_answer_topic(topic: &str, cluster: &str) -> bool {
    let prefix = topics::response(cluster, "");
    topic.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty())
        && spanmq_topic::check_name(topic).is_ok()
}

/// Control topics and shared filters are never learnt; a remote has no business there.
fn is_learnable(op: &RouteOp) -> bool {
    let filter = &*op.key.filter;
    spanmq_topic::check_filter(filter).is_ok() && filter != "$LINK" && !filter.starts_with("$LINK/")
}
