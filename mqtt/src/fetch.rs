//! Fetching the session that a CONNECT goes on with, from wherever it is.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::{MessageId, SessionExport};
use spanmq_state::Epoch;
use tokio::sync::oneshot;

use crate::directory::Claimed;
use crate::mail::{Mail, SlotKey};
use crate::ports::Client;
use crate::shared::Shared;
use crate::worker::moving::Barrier;
use crate::worker::{WorkerCell, ask};

/// Where the session comes from.
pub(crate) enum Fetched {
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
pub(crate) async fn fetch(
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
    visible.await.ok()?;
    Barrier::raise(&shared.workers, old).await.ok()?;
    let client_id = client.client_id.clone();
    let left = ask(mailbox, move |worker| worker.leave(&client_id)).await.flatten()?;
    arrival.export = Some(left.export);
    arrival.got = left.got;
    Some(arrival)
}
