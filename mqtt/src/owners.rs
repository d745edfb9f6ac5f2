//! What other nodes ask of this node's sessions, and what the directory tells it about them.

use std::collections::HashSet;
use std::sync::Arc;

use spanmq_session::codec::{decode_export, encode_export};
use spanmq_state::{Epoch, NodeId};
use tokio::sync::oneshot;

use crate::broker::BrokerHandle;
use crate::handover::{encode_frozen, encode_left, fence};
use crate::mail::{Mail, TicketAddress};
use crate::ports::Outcome;
use crate::query::ClientQuery;
use crate::shared::Shared;
use crate::worker::ask;
use crate::worker::moving::{Barrier, Left};

impl BrokerHandle {
    /// Another node has claimed a session: its connection here ends (0x8E), and from now on it is
    /// noted what comes for it. Its subscriptions, encoded for [`crate::ports::Peers::freeze`];
    /// `None`: it is not here, or newer than the claim.
    pub async fn freeze(&self, client_id: Arc<str>, epoch: Epoch) -> Option<Vec<u8>> {
        let shared = self.shared();
        // A CONNECT that is under way here ends first.
        let _turn = shared.clients.claim(client_id.clone()).await;
        let place = shared.clients.place(&client_id)?;
        let mailbox = &shared.workers[usize::from(place.worker)];
        let name = client_id.clone();
        let frozen = ask(mailbox, move |worker| worker.freeze_for(&name, epoch)).await.flatten()?;
        encode_frozen(&client_id, frozen)
    }

    /// Gives another node a copy of a frozen session, encoded for
    /// [`crate::ports::Peers::take_over`]. It stays here until [`BrokerHandle::forget_session`];
    /// what the nodes `owing` bring for it after that follows it.
    pub async fn hand_over(
        &self,
        client_id: Arc<str>,
        epoch: Epoch,
        owing: Vec<NodeId>,
    ) -> Option<Vec<u8>> {
        encode_left(&self.copy(&client_id, epoch, owing).await?)
    }

    async fn copy(&self, client_id: &Arc<str>, epoch: Epoch, owing: Vec<NodeId>) -> Option<Left> {
        let shared = self.shared();
        let _turn = shared.clients.claim(client_id.clone()).await;
        copy(shared, client_id, epoch, owing).await
    }

    /// Answers when everything that this node had routed to another one has come there. False: the
    /// other one does not take it now; a queue or the spool here holds it.
    pub async fn fence(&self, to: NodeId) -> bool {
        fence(self.shared(), to).await
    }

    /// Another node has claimed the session (`Event::SessionClaimed`): its connection here ends
    /// (0x8E), and it waits for [`BrokerHandle::hand_over`] or [`BrokerHandle::claim_returned`].
    pub async fn claimed_elsewhere(&self, client_id: Arc<str>, epoch: Epoch) {
        // What it answers is for the claimant, who asks itself.
        let _ = self.freeze(client_id, epoch).await;
    }

    /// The claim was given up (`Event::SessionReturned`).
    pub async fn claim_returned(&self, client_id: Arc<str>) {
        let shared = self.shared();
        let _turn = shared.clients.claim(client_id.clone()).await;
        if let Some(place) = shared.clients.place(&client_id) {
            let mailbox = &shared.workers[usize::from(place.worker)];
            let _ = ask(mailbox, move |worker| worker.thaw(&client_id)).await;
        }
    }

    /// The session is installed elsewhere (`goes_on`) or has ended: what this node has of it, if
    /// it is older than `epoch`, goes, in memory and in the store.
    pub async fn forget_session(&self, client_id: Arc<str>, epoch: Epoch, goes_on: bool) {
        let shared = self.shared();
        if shared.clients.place(&client_id).is_none() {
            return;
        }
        let _turn = shared.clients.claim(client_id.clone()).await;
        if let Some(place) = shared.clients.place(&client_id) {
            let mailbox = &shared.workers[usize::from(place.worker)];
            let forget = ask(mailbox, move |worker| worker.forget_copy(&client_id, epoch, goes_on));
            let _ = forget.await;
        }
    }

    /// The sessions here with their epochs, to be compared with the directory.
    pub async fn held_sessions(&self) -> Vec<(Arc<str>, Epoch)> {
        let clients = self.clients(ClientQuery::default()).await;
        clients.into_iter().map(|client| (client.client_id, client.epoch)).collect()
    }

    /// What lies here for a session that another node took over while this one was away. What the
    /// nodes `owing` bring for it later follows it.
    pub async fn late_batch(
        &self,
        client_id: Arc<str>,
        epoch: Epoch,
        owing: Vec<NodeId>,
    ) -> Option<Vec<u8>> {
        let mut left = self.copy(&client_id, epoch, owing).await?;
        for message in &mut left.export.messages {
            Arc::make_mut(message).repeated = true;
        }
        encode_export(&left.export, std::time::Instant::now())
            .inspect_err(|error| tracing::error!(%error, "a late batch cannot be handed over"))
            .ok()
    }

    /// Takes another node's [`BrokerHandle::late_batch`]. False: the session is not here.
    pub async fn take_late(&self, batch: &[u8]) -> bool {
        let Ok(export) = decode_export(batch, std::time::Instant::now()) else { return false };
        let shared = self.shared();
        let _turn = shared.clients.claim(export.client_id.clone()).await;
        let Some(place) = shared.clients.place(&export.client_id) else { return false };
        let mailbox = &shared.workers[usize::from(place.worker)];
        let taken =
            ask(mailbox, move |worker| worker.take_late(&export).then(|| worker.when_stored()));
        match taken.await.flatten() {
            Some(stored) => stored.await == Ok(true),
            None => false,
        }
    }

    /// Nodes that may hold something for sessions that have left this one, and a mark for
    /// [`BrokerHandle::settled`].
    #[must_use]
    pub fn owing(&self) -> (HashSet<NodeId>, u64) {
        self.shared().left_behind.owing()
    }

    /// A fence of `node` to this one has passed, that was asked for after `owing` gave the mark: it
    /// holds nothing more for sessions that had left by then.
    pub async fn settled(&self, node: NodeId, mark: u64) {
        let shared = self.shared();
        // What came ahead of the fence may still wait for another worker than the fence did.
        if Barrier::raise(&shared.workers, 0).await.is_ok() {
            shared.left_behind.settled(node, mark);
        }
    }

    /// What has come for sessions that left: client id, number of messages, and a batch for
    /// [`BrokerHandle::take_late`] where they are now. Tell [`BrokerHandle::followed`] then.
    #[must_use]
    pub fn following(&self) -> Vec<(Arc<str>, usize, Vec<u8>)> {
        if !self.shared().left_behind.any() {
            return Vec::new();
        }
        let parts = self.shared().left_behind.parts().into_iter();
        let encoded = parts.filter_map(|part| {
            let batch = encode_export(&part.export, std::time::Instant::now());
            let batch = batch.inspect_err(|error| {
                tracing::error!(%error, client_id = %part.client_id, "a message cannot follow");
            });
            Some((part.client_id, part.count, batch.ok()?))
        });
        encoded.collect()
    }

    /// The first messages of [`BrokerHandle::following`] are with the session's node.
    pub fn followed(&self, client_id: &str, count: usize) {
        let shared = self.shared();
        shared.metrics.messages_followed.add(count as u64);
        answer_all(shared, shared.left_behind.given(client_id, count), Outcome::Held);
    }

    /// The session has ended: what comes for it is for nobody.
    pub fn stop_following(&self, client_id: &str) {
        let shared = self.shared();
        answer_all(shared, shared.left_behind.forget(client_id), Outcome::NoSubscribers);
    }
}

/// Answers those who wait for messages that were to follow a session.
pub(crate) fn answer_all(shared: &Shared, waiting: Vec<TicketAddress>, outcome: Outcome) {
    let mut answers = vec![Vec::new(); shared.workers.len()];
    for TicketAddress { worker, ticket } in waiting {
        answers[usize::from(worker)].push((ticket, outcome));
    }
    for (mailbox, answers) in shared.workers.iter().zip(answers) {
        if !answers.is_empty() {
            mailbox.send(Mail::Answers(answers));
        }
    }
}

/// A copy of a session that is here and older than `epoch`, with the messages that only the store
/// has. For whoever holds the turn of the client id.
pub(crate) async fn copy(
    shared: &Shared,
    client_id: &Arc<str>,
    epoch: Epoch,
    owing: Vec<NodeId>,
) -> Option<Left> {
    let place = shared.clients.place(client_id)?;
    // What has come to this node is with the session's worker after this.
    Barrier::raise(&shared.workers, place.worker).await.ok()?;
    let mailbox = &shared.workers[usize::from(place.worker)];
    let name = client_id.clone();
    let copied = ask(mailbox, move |worker| worker.copy_for(&name, epoch, owing)).await;
    let mut left = copied.flatten()?;
    let missing = left.export.missing();
    if let Some(store) = shared.store.as_ref().filter(|_| !missing.is_empty()) {
        let (tell, loaded) = oneshot::channel();
        // Nobody waits any more: the asking node has gone.
        store.load(missing, move |messages| drop(tell.send(messages)));
        let loaded = loaded.await.ok()?;
        left.export.messages.extend(loaded.into_iter().filter_map(|(_, message)| message));
    }
    Some(left)
}
