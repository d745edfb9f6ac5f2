//! A worker: one thread with the sockets of its connections and their sessions.
//!
//! A turn of its loop parses everything that was read, routes it, and collects what goes to
//! sockets, other workers, peers, links, the store and Raft; [`Worker::flush`] hands each of them
//! one batch at the end of the turn (PERFORMANCE.md, the three rules).

mod choice;
mod close;
mod connect;
mod control;
mod deliver;
mod durable;
pub(crate) mod far;
mod flush;
mod give_back;
mod groups;
pub(crate) mod moving;
mod packets;
mod parked;
mod publish;
mod queries;
mod recent;
mod retained;
pub(crate) mod slot;
mod subscribe;
pub(crate) mod table;
mod ticket;
mod timers;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use spanmq_session::{JournalOp, MatchedOptions, Outgoing, Share};
use spanmq_state::SharedGroup;
use spanmq_topic::SharedFilter;
use tokio::sync::oneshot;

use crate::mail::{Mail, SlotKey};
use crate::mailbox::Mailbox;
use crate::ports::{RoutesReader, Targets};
use crate::shared::{MessageIds, Shared};
use crate::view::ViewReader;
use durable::StoreTurn;
use flush::Turn;
use groups::Waiting;
use parked::Parked;
use slot::Slots;
use subscribe::PendingSuback;
use table::Table;
use ticket::Tickets;
use timers::Timers;

pub(crate) use close::{Close, CloseReason};
pub(crate) use connect::Attach;
pub(crate) use packets::Step;
pub(crate) use publish::lane_of;
pub(crate) use subscribe::from_stored;

/// The state of one worker thread.
pub(crate) struct Worker {
    pub(crate) id: u16,
    pub(crate) shared: Arc<Shared>,
    pub(crate) slots: Slots,
    table: Table,
    view: ViewReader,
    routes: Box<dyn RoutesReader>,
    tickets: Tickets,
    batches: slab::Slab<publish::OuterBatch>,
    turn: Turn,
    store: StoreTurn,
    timers: Timers,
    /// Parsed forms of shared groups, by the address of the replicated one.
    group_filters: HashMap<usize, (Arc<SharedGroup>, Arc<SharedFilter>)>,
    ids: MessageIds,
    /// The node's turns of shared groups, as far as this worker has asked for them.
    turns: HashMap<Arc<SharedFilter>, crate::turns::Turn>,
    given: slab::Slab<choice::Given>,
    given_back: slab::Slab<give_back::GivenBack>,
    /// Number of the batch of route changes that this turn will send.
    route_batch: u64,
    /// All batches up to this one are visible.
    routes_visible: u64,
    parked: VecDeque<Parked>,
    waiting: Waiting,
    recent: recent::Recent,
    subacks: Vec<PendingSuback>,
    route_waiters: Vec<(u64, oneshot::Sender<bool>)>,
    flusher: Rc<Flusher>,
    /// The clock of this turn.
    pub(crate) now: Instant,
    scratch: Scratch,
}

/// Buffers that are reused from turn to turn.
#[derive(Default)]
struct Scratch {
    targets: Targets,
    matches: Vec<(u32, MatchedOptions)>,
    outgoing: Vec<Outgoing>,
    ops: Vec<JournalOp>,
    properties: Vec<u8>,
    workers: Vec<Share>,
    nodes: Vec<Share>,
}

/// Wakes the task that ends the turn: it runs after all tasks that were ready before it.
#[derive(Default)]
pub(crate) struct Flusher {
    due: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Flusher {
    fn arm(&self) {
        if !self.due.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    async fn due(&self) {
        std::future::poll_fn(|cx| {
            if self.due.replace(false) {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A worker as its own thread's tasks see it. Borrowed within one poll, never across an await.
pub(crate) type WorkerCell = Rc<RefCell<Worker>>;

impl Worker {
    pub(crate) fn new(id: u16, shared: Arc<Shared>, view: ViewReader) -> WorkerCell {
        let routes = shared.ports.routes.reader();
        let (workers, strategy) = (shared.workers.len(), shared.config.shared_strategy);
        Rc::new(RefCell::new(Self {
            id,
            store: StoreTurn::new(&shared),
            shared,
            slots: Slots::default(),
            table: Table::new(strategy),
            view,
            routes,
            tickets: Tickets::default(),
            batches: slab::Slab::new(),
            turn: Turn::new(workers),
            timers: Timers::default(),
            group_filters: HashMap::new(),
            ids: MessageIds::new(),
            turns: HashMap::new(),
            given: slab::Slab::new(),
            given_back: slab::Slab::new(),
            route_batch: 1,
            routes_visible: 0,
            parked: VecDeque::new(),
            waiting: Waiting::default(),
            recent: recent::Recent::default(),
            subacks: Vec::new(),
            route_waiters: Vec::new(),
            flusher: Rc::default(),
            now: Instant::now(),
            scratch: Scratch::default(),
        }))
    }

    /// Starts a turn, or joins the one that runs.
    pub(crate) fn begin(&mut self) {
        self.now = Instant::now();
        self.flusher.arm();
    }

    /// Runs `handle` for one session; a panic in it ends that session only (L11).
    pub(crate) fn guarded<R>(
        &mut self,
        key: SlotKey,
        handle: impl FnOnce(&mut Self) -> R,
    ) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| handle(self))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.shared.metrics.closed_panic.inc();
                let client_id = self.slots.get(key).map(|slot| slot.client.client_id.clone());
                tracing::error!(?client_id, "a connection ended by a panic");
                // Its state is unknown: nothing of it is kept.
                let _ = catch_unwind(AssertUnwindSafe(|| self.abolish(key)));
                None
            }
        }
    }

    /// Runs a part of the turn that is nobody's in particular; a panic there is counted, and the
    /// worker goes on (L11).
    fn survive(&mut self, handle: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| handle(self))).is_err() {
            self.shared.metrics.closed_panic.inc();
            tracing::error!(worker = self.id, "a panic was caught outside of any connection");
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            // Needs tasks of its own; see `run`.
            Mail::Accepted(_) => {}
            Mail::Deliver(batch) => self.on_deliveries(batch),
            Mail::Answers(answers) => {
                for (ticket, outcome) in answers {
                    self.release(ticket, outcome);
                }
            }
            Mail::Publish { messages, done } => self.publish_batch(messages, done),
            Mail::FromPeer { from, batch, done } => self.on_peer_batch(from, batch, done),
            Mail::External { tickets, outcomes } => self.on_external(&tickets, outcomes.as_ref()),
            Mail::Verdicts { connection, key, verdicts } => {
                self.guarded(key, |worker| worker.on_verdicts(key, connection, verdicts));
            }
            Mail::Routes { batch, outcome } => self.on_routes(batch, outcome),
            Mail::Stored { batch, written } => self.on_stored(batch, written),
            Mail::GiveUp { client_id, keep, reply } => {
                let session = self.give_up(&client_id, keep);
                // Before the answer: what the new connection publishes must not find the old filters.
                self.send_routes();
                // Nobody waits any more: the claimant has gone, and the session with it.
                let _ = reply.send(session);
            }
            Mail::Task(task) => task(self),
        }
    }
}

/// The tasks of a worker thread: mail, end of turn, clock. Runs until the runtime stops.
pub(crate) async fn run(worker: WorkerCell) {
    let flusher = worker.borrow().flusher.clone();
    tokio::task::spawn_local(flush_turns(worker.clone(), flusher));
    tokio::task::spawn_local(timers::tick(worker.clone()));
    let (mailbox, shared) = {
        let worker = worker.borrow();
        (worker.shared.workers[usize::from(worker.id)].clone(), worker.shared.clone())
    };
    let mut mail = Vec::new();
    loop {
        mailbox.arrived().await;
        mailbox.take(&mut mail);
        worker.borrow_mut().begin();
        for mail in mail.drain(..) {
            match mail {
                Mail::Accepted(accepted) => {
                    crate::connection::spawn(worker.clone(), shared.clone(), accepted);
                }
                mail => worker.borrow_mut().survive(|worker| worker.on_mail(mail)),
            }
        }
    }
}

async fn flush_turns(worker: WorkerCell, flusher: Rc<Flusher>) {
    loop {
        flusher.due().await;
        worker.borrow_mut().survive(Worker::flush);
    }
}

/// Runs a question on a worker; `None` if the worker has ended.
pub(crate) async fn ask<R: Send + 'static>(
    mailbox: &Mailbox<Mail>,
    question: impl FnOnce(&mut Worker) -> R + Send + 'static,
) -> Option<R> {
    let (reply, answer) = oneshot::channel();
    mailbox.send(Mail::Task(Box::new(move |worker| {
        // Whoever asked may have gone.
        let _ = reply.send(question(worker));
    })));
    answer.await.ok()
}
