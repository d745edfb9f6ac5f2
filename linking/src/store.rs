//! The thread that appends to the links' buffers, so that no worker waits for a disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use bytes::Bytes;
use spanmq_link_protocol::message::{MessageRecord, Qos};

use crate::buffer::{Append, Appended};
use crate::forwarder::Wake;
use crate::registry::{LinkState, Registry};

/// Batches that may wait for the thread; a batch is one turn of one worker.
const BATCHES_WAITING_MAX: usize = 1_024;

/// One message for links.
#[derive(Debug)]
pub struct Outbound {
    /// Links that want it.
    pub links: Vec<Arc<str>>,
    /// Decides the connection, so that one publisher's messages keep their order (W-31).
    pub lane: u64,
    /// The message.
    pub record: MessageRecord,
}

/// What became of one message, over all its links: the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Every buffer holds it, or dropped it by its policy and counted it.
    Held,
    /// A buffer refused: the publisher gets 0x97.
    Rejected,
    /// No link wants it (any more).
    Nobody,
}

/// Takes the outcomes of a batch, one each.
pub type Kepts = Box<dyn FnOnce(Vec<Kept>) + Send>;

type Batch = (Vec<Outbound>, Kepts);

/// The sending end towards the thread.
pub(crate) struct Store {
    sender: SyncSender<Batch>,
}

impl Store {
    /// Starts the thread; it ends when the store is dropped.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(registry: Arc<Registry>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
        std::thread::Builder::new()
            .name("link-store".into())
            .spawn(move || run(&registry, &receiver))?;
        Ok(Self { sender })
    }

    /// Never waits: when the disk is so slow that the queue is full, the batch is refused.
    pub(crate) fn append(&self, batch: Vec<Outbound>, done: Kepts) {
        match self.sender.try_send((batch, done)) {
            Ok(()) => {}
            Err(TrySendError::Full((batch, done)) | TrySendError::Disconnected((batch, done))) => {
                done(vec![Kept::Rejected; batch.len()]);
            }
        }
    }
}

fn run(registry: &Registry, batches: &Receiver<Batch>) {
    while let Ok((batch, done)) = batches.recv() {
        let mut kept = vec![Kept::Nobody; batch.len()];
        for link in links_of(&batch) {
            if let Some(state) = registry.get(&link) {
                append(&state, &link, &batch, &mut kept);
            }
        }
        done(kept);
    }
}

fn links_of(batch: &[Outbound]) -> Vec<Arc<str>> {
    let mut links: Vec<Arc<str>> = Vec::new();
    for link in batch.iter().flat_map(|outbound| &outbound.links) {
        if !links.contains(link) {
            links.push(link.clone());
        }
    }
    links
}

/// QoS 1 and 2 go back to their publishers; QoS 0 is lost.
fn refuse(link: &Arc<str>, batch: &[Outbound], kept: &mut [Kept]) {
    for (outbound, kept) in batch.iter().zip(kept) {
        if outbound.record.qos != Qos::AtMostOnce && outbound.links.contains(link) {
            *kept = Kept::Rejected;
        }
    }
}

/// Everything of one batch for one link: encoded, then written at once.
fn append(state: &LinkState, link: &Arc<str>, batch: &[Outbound], kept: &mut [Kept]) {
    let Some(buffer) = state.buffer.read().clone() else {
        if state.entry.read().running() {
            // Its files cannot be used: nothing would be kept.
            refuse(link, batch, kept);
        }
        return;
    };
    let share_address = state.entry.read().config.share_client_address;
    let mine = batch.iter().enumerate().filter(|(_, o)| o.links.contains(link));
    let (indexes, appends): (Vec<usize>, Vec<Append>) = mine
        .map(|(index, o)| {
            let payload: Bytes = o.record.encode_compressed(share_address);
            (index, Append { lane: o.lane, qos: o.record.qos, payload })
        })
        .unzip();
    let (outcomes, wake) = buffer.lock().append(appends);
    // What was refused is its publisher's again.
    let taken = outcomes.iter().filter(|outcome| **outcome != Appended::Rejected).count();
    state.board.matched.fetch_add(taken as u64, Ordering::Relaxed);
    for (index, outcome) in indexes.into_iter().zip(outcomes) {
        if let Some(kept) = kept.get_mut(index) {
            *kept = match (outcome, *kept) {
                (Appended::Rejected, _) | (_, Kept::Rejected) => Kept::Rejected,
                _ => Kept::Held,
            };
        }
    }
    let wakers = state.wakers.read();
    for waker in wake.into_iter().filter_map(|queue| wakers.get(queue)) {
        // At most one wake-up is under way, so that the actor's inbox cannot fill.
        if !waker.woken.swap(true, Ordering::AcqRel) {
            waker.actor.do_send(Wake);
        }
    }
}
