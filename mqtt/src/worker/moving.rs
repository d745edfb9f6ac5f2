//! A session moves to another worker of this node without missing or repeating a message.
//!
//! 1. The old worker closes the connection and notes which messages the session still gets.
//! 2. A barrier of each worker, behind all it has sent, comes to the new worker: a message that
//!    was sent to both and comes to the new one from now on is noted by the old one. (The new
//!    worker may be known for the same filters already, through other clients.)
//! 3. The new worker takes the subscriptions and buffers what it gets for them.
//! 4. When publishers see the new worker, barriers go to the old one. After these it gets nothing
//!    that the new one does not get too.
//! 5. The session moves; the buffer follows, but for what the session has got already.
//! 6. A last barrier to the new worker: behind it no copy of what was noted comes any more.
//!
//! Order per publisher holds: what was sent to the old worker comes before the buffer.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use spanmq_session::{
    MatchedOptions, Message, MessageId, Session, SessionExpiry, SessionExport, SessionMeta,
    SubscriptionOptions,
};
use spanmq_state::Epoch;
use spanmq_topic::Subscription;
use tokio::sync::oneshot;

use super::close::Close;
use super::slot::Slot;
use super::timers::Due;
use super::{Worker, WorkerCell};
use crate::clients::Place;
use crate::mail::{Mail, SlotKey};
use crate::mailbox::Mailbox;
use crate::ports::{Client, Outcome};
use crate::shared::Shared;

/// Ids noted for one move at most. More would mean a move that never ended; then a message may
/// come twice.
const NOTED_MAX: usize = 65_536;
/// Messages buffered for one move at most; more are refused.
const BUFFERED_MAX: usize = 10_000;

/// The subscriptions of a session, with their options.
pub(crate) type Subscriptions = Vec<(Subscription, SubscriptionOptions)>;

/// A session that has left its old worker.
pub(crate) struct Left {
    pub(crate) export: Box<SessionExport>,
    /// What it got while it was moving.
    pub(crate) got: HashSet<MessageId>,
}

/// What the new worker got before the session came.
#[derive(Default)]
pub(crate) struct Buffer {
    waiting: Vec<(Arc<Message>, MatchedOptions, Option<u32>)>,
}

/// Counts the workers whose barrier has arrived.
pub(crate) struct Barrier {
    open: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Barrier {
    /// Sends the barrier through all workers to one; the receiver learns when all have arrived.
    pub(crate) fn raise(workers: &[Mailbox<Mail>], to: u16) -> oneshot::Receiver<()> {
        let (done, complete) = oneshot::channel();
        let open = AtomicUsize::new(workers.len());
        let barrier = Arc::new(Self { open, done: Mutex::new(Some(done)) });
        for worker in workers {
            let barrier = barrier.clone();
            worker.send(Mail::Task(Box::new(move |worker: &mut Worker| {
                worker.turn.barrier(to, barrier);
            })));
        }
        complete
    }

    /// Step 6: forgets what a session got elsewhere, once no copy of it is on its way.
    pub(crate) fn settle(worker: &WorkerCell, shared: &Shared, key: SlotKey) {
        let here = worker.borrow().id;
        let arrived = Self::raise(&shared.workers, here);
        let worker = worker.clone();
        tokio::task::spawn_local(async move {
            if arrived.await.is_ok() {
                worker.borrow_mut().forget_got(key);
            }
        });
    }

    /// One worker's barrier has arrived.
    pub(crate) fn reached(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = self.done.lock().take()
        {
            // The claimant may have gone; then the session stays where it is.
            let _ = done.send(());
        }
    }
}

impl Worker {
    /// Step 1, on the old worker.
    pub(crate) fn freeze(&mut self, client_id: &str) -> Option<Subscriptions> {
        let place = self.shared.clients.place(client_id)?;
        if place.worker != self.id {
            return None;
        }
        self.close(place.key, Close::taken_over(false));
        let slot = self.slots.get_mut(place.key)?;
        // It may be frozen already, for a claim that a later one has made void.
        slot.moving.get_or_insert_default();
        // In case the claimant never takes it.
        slot.ends_at = slot.session.meta().expiry.ends_at(self.now);
        if let Some(at) = slot.ends_at {
            self.timers.add(at, place.key, Due::SessionEnd);
        }
        let subscriptions = slot.session.subscriptions();
        Some(subscriptions.map(|(filter, options)| (filter.clone(), *options)).collect())
    }

    /// Step 3, on the new worker: yields the place of the buffer, and the batch of route changes
    /// that makes it visible.
    pub(crate) fn expect_session(
        &mut self,
        client: &Arc<Client>,
        subscriptions: Subscriptions,
    ) -> (SlotKey, u64) {
        self.begin();
        let meta = SessionMeta {
            epoch: 0,
            owner: None,
            expiry: SessionExpiry::AtClose,
            offline_since_ms: None,
        };
        let limits = self.shared.limits.clone();
        let mut session = Session::new(client.client_id.clone(), meta, limits);
        let mut ignored = Vec::new();
        for (filter, options) in subscriptions {
            // They were accepted once; a limit that is lower now loses the last ones.
            let _ = session.subscribe(filter, options, &mut ignored);
        }
        let mut slot = Slot::new(session, client.clone());
        slot.buffer = Some(Buffer::default());
        self.adopt(slot)
    }

    /// Waits for a batch of route changes; false: it has failed.
    pub(crate) fn when_visible(&mut self, batch: u64) -> oneshot::Receiver<bool> {
        let (tell, visible) = oneshot::channel();
        if batch <= self.routes_visible {
            let _ = tell.send(true);
        } else {
            self.route_waiters.push((batch, tell));
        }
        visible
    }

    /// Step 5, on the old worker.
    pub(crate) fn leave(&mut self, client_id: &str) -> Option<Left> {
        let place = self.shared.clients.place(client_id)?;
        let slot = self.slots.get_mut(place.key).filter(|_| place.worker == self.id)?;
        let got = slot.moving.take().unwrap_or_default();
        let export = self.give_up(client_id, true)?;
        Some(Left { export, got })
    }

    /// Step 5, on the new worker: takes the buffer's place away.
    pub(crate) fn take_buffer(&mut self, key: SlotKey) -> Buffer {
        let slot = self.remove(key);
        slot.and_then(|mut slot| slot.buffer.take()).unwrap_or_default()
    }

    /// Gives the session what came for it before it did. What it has got already is passed over,
    /// now and until [`Worker::forget_got`].
    pub(crate) fn pour(&mut self, buffer: Buffer, key: SlotKey, got: HashSet<MessageId>) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.got = Some(got);
        }
        for (message, options, ticket) in buffer.waiting {
            self.deliver_one(key.index, &message, &options, ticket);
            if let Some(ticket) = ticket {
                self.release(ticket, Outcome::Held);
            }
        }
    }

    /// No copy of what the session had got elsewhere is on its way here any more.
    pub(crate) fn forget_got(&mut self, key: SlotKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.got = None;
        }
    }

    /// The connection ended while its session was on the way: it waits here for the next one.
    pub(crate) fn keep_arrived(
        &mut self,
        buffer: SlotKey,
        client: Arc<Client>,
        epoch: Epoch,
        export: Option<Box<SessionExport>>,
        got: HashSet<MessageId>,
    ) -> Option<SlotKey> {
        self.begin();
        let messages = export.as_ref().map(|export| export.messages.clone()).unwrap_or_default();
        let Some(session) = export.and_then(|export| self.import(*export, epoch)) else {
            self.spill_buffer(buffer);
            return None;
        };
        let mut slot = Slot::new(session, client.clone());
        slot.ends_at = slot.session.meta().expiry.ends_at(self.now);
        let ends_at = slot.ends_at;
        let (key, _) = self.adopt(slot);
        self.shared.clients.put(client.client_id.clone(), Place { worker: self.id, key });
        if let Some(at) = ends_at {
            self.timers.add(at, key, Due::SessionEnd);
        }
        self.journal_whole(key, &messages);
        let buffer = self.take_buffer(buffer);
        self.pour(buffer, key, got);
        Some(key)
    }

    /// The move has failed: what was buffered is held by nobody.
    pub(crate) fn spill_buffer(&mut self, key: SlotKey) {
        for (_, _, ticket) in self.take_buffer(key).waiting {
            if let Some(ticket) = ticket {
                self.release(ticket, Outcome::Refused(0x97));
            }
        }
    }

    /// A delivery to a session that is not here yet. True: it went into the buffer.
    pub(super) fn buffer_delivery(
        &mut self,
        index: u32,
        message: &Arc<Message>,
        options: &MatchedOptions,
        ticket: Option<u32>,
    ) -> bool {
        let Some(buffer) = self.slots.at_mut(index).and_then(|slot| slot.buffer.as_mut()) else {
            return false;
        };
        if let Some(ticket) = ticket {
            self.tickets.hold(ticket);
        }
        if buffer.waiting.len() < BUFFERED_MAX {
            buffer.waiting.push((message.clone(), options.clone(), ticket));
        } else if let Some(ticket) = ticket {
            self.release(ticket, Outcome::Refused(0x97));
        }
        true
    }
}

impl Slot {
    /// Notes a message that a moving session has got here.
    pub(super) fn note_got(&mut self, id: MessageId) {
        if let Some(got) = &mut self.moving
            && got.len() < NOTED_MAX
        {
            got.insert(id);
        }
    }
}
