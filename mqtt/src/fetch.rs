//! Fetching the session that a CONNECT goes on with, from wherever it is.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::reason::QUOTA_EXCEEDED;
use spanmq_session::{ConnectTerms, MessageId, SessionExport};
use spanmq_state::Epoch;
use tokio::sync::oneshot;

use crate::directory::Claimed;
use crate::handover::{subscriptions_of, take_from_node};
use crate::mail::{Mail, SlotKey};
use crate::owners::{answer_all, copy};
use crate::ports::{Client, Outcome};
use crate::shared::Shared;
use crate::worker::far::{is_acknowledged, queued};
use crate::worker::moving::Barrier;
use crate::worker::{WorkerCell, ask};

/// Where the session comes from.
pub(crate) enum Fetched {
    /// Nobody has it, or it is not to go on.
    Nothing,
    /// It is on this worker and is taken at the last moment.
    Here,
    /// From another worker of this node.
    Moved(Arrival),
}

/// A session that has come from another worker, and the place of its buffer. When the connection
/// ends before it is used, both wait here without one.
pub(crate) struct Arrival {
    worker: WorkerCell,
    client: Arc<Client>,
    epoch: Epoch,
    buffer: Option<SlotKey>,
    pub(crate) export: Option<Box<SessionExport>>,
    got: HashSet<MessageId>,
}

impl Arrival {
    /// The place of the buffer; whoever takes it empties it.
    pub(crate) fn take(&mut self) -> Option<SlotKey> {
        self.buffer.take()
    }

    /// What the session got while it was moving.
    pub(crate) fn take_got(&mut self) -> HashSet<MessageId> {
        std::mem::take(&mut self.got)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(key) = self.buffer.take() {
            let (client, export) = (self.client.clone(), self.export.take());
            let got = self.take_got();
            let (kept, shared) = {
                let mut worker = self.worker.borrow_mut();
                let kept = worker.keep_arrived(key, client, self.epoch, export, got);
                (kept, worker.shared.clone())
            };
            if let Some(key) = kept {
                Barrier::settle(&self.worker, &shared, key);
            }
        }
    }
}

/// Fetches the session from wherever it is, but for this worker, which gives it up when the new
/// connection takes its place.
///
/// # Errors
/// The code for CONNACK.
pub(crate) async fn fetch(
    worker: &WorkerCell,
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    terms: &ConnectTerms,
    claimed: &Claimed,
) -> Result<Fetched, u8> {
    let (client_id, keep) = (&client.client_id, claimed.session_present);
    let elsewhere = claimed.previous.filter(|of| of.node != shared.ports.identity.node);
    if let Some(previous) = elsewhere.filter(|_| keep) {
        leave_here(shared, client_id).await;
        take_from_node(worker, shared, client, terms, claimed, previous).await?;
        return Ok(Fetched::Here);
    }
    let Some(place) = shared.clients.place(client_id) else { return Ok(Fetched::Nothing) };
    let here = worker.borrow().id;
    if place.worker == here {
        return Ok(Fetched::Here);
    }
    if keep {
        let arrival = move_here(worker, shared, client, claimed.epoch, place.worker).await;
        return Ok(arrival.map_or(Fetched::Nothing, Fetched::Moved));
    }
    let (reply, session) = oneshot::channel();
    let mailbox = &shared.workers[usize::from(place.worker)];
    mailbox.send(Mail::GiveUp { client_id: client_id.clone(), keep, reply });
    // Only its end is waited for.
    let _ = session.await;
    Ok(Fetched::Nothing)
}

/// Ends a copy that lost its ownership while this node could not hear of it. What waits in it may
/// be nowhere else: it follows the session, which is on its way to this node again.
async fn leave_here(shared: &Shared, client_id: &Arc<str>) {
    let Some(place) = shared.clients.place(client_id) else { return };
    let owing = shared.ports.peers.others();
    if let Some(left) = copy(shared, client_id, Epoch::MAX, owing).await {
        let subscriptions = subscriptions_of(&left.export);
        let mut waits = queued(&left.export, 0);
        waits.retain(|(message, options)| is_acknowledged(message, options));
        let given_up = shared.left_behind.keep(client_id, subscriptions, [], waits);
        answer_all(shared, given_up, Outcome::Refused(QUOTA_EXCEEDED));
    }
    let client_id = client_id.clone();
    let mailbox = &shared.workers[usize::from(place.worker)];
    // Ends only with the worker.
    let _ = ask(mailbox, move |worker| worker.forget_copy(&client_id, Epoch::MAX, true)).await;
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
    // What was sent to both before the old worker began to note has come to this one after this.
    let here = worker.borrow().id;
    Barrier::raise(&shared.workers, here).await.ok()?;
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
    // A change that failed is announced again; within the node the worker is known already.
    let _ = visible.await.ok()?;
    Barrier::raise(&shared.workers, old).await.ok()?;
    let client_id = client.client_id.clone();
    let left = ask(mailbox, move |worker| worker.leave(&client_id)).await.flatten()?;
    arrival.export = Some(left.export);
    arrival.got = left.got;
    Some(arrival)
}
