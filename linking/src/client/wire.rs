//! A connection inside an actor: opening, reading, pinging, and dropping what comes too late.

use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, ActorStreamExt, AsyncContext, Context, fut::wrap_stream};
use futures_util::stream;
use ntex_io::IoBoxed;
use ntex_mqtt::v5::codec::{Codec, ConnectAck};
use ntex_util::future::Either;
use spanmq_link_protocol::reason::{Reason, ReasonWord};

use super::connect::{ConnectSpec, KEEP_ALIVE, Opened, open};
use super::{Incoming, Link, failure, incoming};

/// How often we look whether the remote still answers.
const PING_PERIOD: Duration = Duration::from_secs(20);

/// The connection of an actor, if it has one.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) link: Option<Link>,
    /// Which attempt the present connection belongs to; events of others are dropped.
    attempt: u64,
    heard_at: Option<Instant>,
}

impl Wire {
    /// Closes the connection, politely when it works.
    pub(crate) fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.disconnect();
        }
    }
}

/// An actor with one connection to the remote.
pub(crate) trait Connected: Actor<Context = Context<Self>> {
    /// Its connection.
    fn wire(&mut self) -> &mut Wire;
    /// CONNACK 0.
    fn on_open(&mut self, connack: &ConnectAck, ctx: &mut Context<Self>);
    /// The attempt failed, or the connection is gone.
    fn on_lost(&mut self, reason: Reason, ctx: &mut Context<Self>);
    /// A packet.
    fn on_incoming(&mut self, packet: Incoming, ctx: &mut Context<Self>);
}

/// Opens a new connection; an older one is dropped.
pub(crate) fn connect<A: Connected>(
    actor: &mut A,
    ctx: &mut Context<A>,
    spec: ConnectSpec,
    attempt: u64,
    limit: Duration,
) {
    actor.wire().link = None;
    actor.wire().attempt = attempt;
    let opening = async move { open(&spec, limit).await };
    ctx.spawn(wrap_future(opening).map(move |result, actor: &mut A, ctx| {
        if actor.wire().attempt != attempt {
            return;
        }
        match result {
            Ok(opened) => opened_now(actor, ctx, opened, attempt),
            Err(failed) => actor.on_lost(failed.reason, ctx),
        }
    }));
}

fn opened_now<A: Connected>(actor: &mut A, ctx: &mut Context<A>, opened: Opened, attempt: u64) {
    let Opened { io, codec, connack, .. } = opened;
    let wire = actor.wire();
    wire.link = Some(Link::new(io.get_ref(), codec.clone()));
    wire.heard_at = Some(Instant::now());
    let reading = wrap_stream::<_, A>(packets(io, codec));
    ctx.spawn(reading.map(move |item, actor, ctx| read(actor, ctx, item, attempt)).finish());
    watch(actor, ctx, attempt);
    actor.on_open(&connack, ctx);
}

fn read<A: Connected>(
    actor: &mut A,
    ctx: &mut Context<A>,
    item: Result<Incoming, Reason>,
    attempt: u64,
) {
    let wire = actor.wire();
    if wire.attempt != attempt || wire.link.is_none() {
        return;
    }
    wire.heard_at = Some(Instant::now());
    match item {
        Ok(Incoming::Disconnect(reason)) | Err(reason) => lose(actor, ctx, reason),
        Ok(Incoming::Pong) => {}
        Ok(packet) => actor.on_incoming(packet, ctx),
    }
}

/// Ends the present connection for `reason`.
pub(crate) fn lose<A: Connected>(actor: &mut A, ctx: &mut Context<A>, reason: Reason) {
    actor.wire().link = None;
    actor.on_lost(reason, ctx);
}

/// Pings, and gives the connection up after 1.5 × keep-alive without a packet (LINK-SPEC 2.9).
fn watch<A: Connected>(_: &mut A, ctx: &mut Context<A>, attempt: u64) {
    ctx.run_later(PING_PERIOD, move |actor, ctx| {
        let wire = actor.wire();
        if wire.attempt != attempt {
            return;
        }
        let silent = wire.heard_at.map_or(Duration::ZERO, |at| at.elapsed());
        let Some(link) = &wire.link else { return };
        if silent > KEEP_ALIVE * 3 / 2 {
            return lose(actor, ctx, ReasonWord::KeepAliveTimeout.into());
        }
        if let Err(reason) = link.ping() {
            return lose(actor, ctx, reason);
        }
        watch(actor, ctx, attempt);
    });
}

/// Everything that arrives, and at the end why it ended.
pub(crate) fn packets(
    io: IoBoxed,
    codec: Rc<Codec>,
) -> impl futures_util::Stream<Item = Result<Incoming, Reason>> {
    stream::unfold(Some((io, codec)), |state| async move {
        let (io, codec) = state?;
        match io.recv(&*codec).await {
            Ok(Some(item)) => Some((Ok(incoming(item)), Some((io, codec)))),
            Ok(None) => Some((Err(ReasonWord::ConnectionLost.into()), None)),
            Err(Either::Left(error)) => {
                let detail = format!("{error:?}");
                Some((Err(Reason::with_detail(ReasonWord::ProtocolError, &detail)), None))
            }
            Err(Either::Right(error)) => Some((Err(failure::broken(&error)), None)),
        }
    })
}
