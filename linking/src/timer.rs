//! The deadlines of an actor's machine.
//!
//! Nothing is cancelled: actix removes a cancelled future by a pass over all of them, and an actor
//! that cancels one in the turn in which it terminates never ends (actix 0.13.5 loops in
//! `ContextFut::poll`). A timer that is no longer due only ticks the machine, which ignores it.

use std::collections::BTreeSet;
use std::time::Instant;

use actix::{Actor, AsyncContext, Context};

/// When timers that run now will fire.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<Instant>);

/// An actor whose machine has deadlines.
pub(crate) trait Timed: Actor<Context = Context<Self>> {
    fn timers(&mut self) -> &mut Timers;

    /// A deadline may have passed.
    fn tick(&mut self, ctx: &mut Context<Self>);
}

/// Starts a timer unless one fires by then anyway.
pub(crate) fn arm<A: Timed>(actor: &mut A, ctx: &mut Context<A>, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return };
    let timers = actor.timers();
    if timers.0.first().is_some_and(|earliest| *earliest <= deadline) {
        return;
    }
    timers.0.insert(deadline);
    let delay = deadline.saturating_duration_since(Instant::now());
    ctx.run_later(delay, move |actor, ctx| {
        actor.timers().0.remove(&deadline);
        actor.tick(ctx);
    });
}
