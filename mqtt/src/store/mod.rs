//! The session store: a journal of persistent sessions in segment files (CHAOS §1, durability).
//!
//! One thread writes; each round appends everything that waits with one `write(2)` and, if asked
//! for, one sync. A message is written once, however many sessions want it. What is needed no more
//! is not copied when old segments are cleaned.

mod index;
mod journal;
mod record;
mod reduce;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use spanmq_session::{JournalOp, Limits, Message, MessageId, Session};

use crate::config::{Durability, StoreConfig};
use crate::mail::Mail;
use crate::mailbox::Mailbox;
use journal::Journal;
pub use journal::StoreError;

/// One thing to keep.
#[derive(Debug)]
pub(crate) enum Record {
    /// A message, kept once for all sessions.
    Body(Arc<Message>),
    /// A change of one session.
    Op { client_id: Arc<str>, op: JournalOp },
    /// The whole journal of a session anew.
    Replace { client_id: Arc<str>, ops: Vec<JournalOp> },
    /// A session is gone.
    Forget { client_id: Arc<str> },
}

/// What one worker's turn wants kept.
#[derive(Debug)]
pub(crate) struct StoreBatch {
    pub(crate) worker: u16,
    pub(crate) batch: u64,
    pub(crate) records: Vec<Record>,
}

/// What the store had for some ids.
pub(crate) type Loaded = Vec<(MessageId, Option<Arc<Message>>)>;

enum Request {
    Write(StoreBatch),
    Load { ids: Vec<MessageId>, answer: Box<dyn FnOnce(Loaded) + Send> },
    Stop,
}

/// The way to the store thread. Bounded by what waits for it: each worker's publishers wait for
/// their answers within their receive maximum.
#[derive(Clone)]
pub(crate) struct StoreHandle(Arc<Queue>);

#[derive(Default)]
struct Queue {
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
}

impl StoreHandle {
    pub(crate) fn write(&self, batch: StoreBatch) {
        self.send(Request::Write(batch));
    }

    pub(crate) fn load(&self, ids: Vec<MessageId>, answer: impl FnOnce(Loaded) + Send + 'static) {
        self.send(Request::Load { ids, answer: Box::new(answer) });
    }

    fn send(&self, request: Request) {
        self.0.requests.lock().push(request);
        self.0.arrived.notify_one();
    }
}

/// A store that is open, with the sessions that were in it.
pub(crate) struct Opened {
    handle: StoreHandle,
    sessions: Vec<Session>,
    thread: StoreThread,
}

/// Stops the thread, with everything written, when dropped.
pub(crate) struct StoreThread {
    handle: StoreHandle,
    thread: Option<JoinHandle<()>>,
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.handle.send(Request::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store thread ended by a panic");
        }
    }
}

impl Opened {
    pub(crate) fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// The sessions of an earlier run, shared out among the workers, and the thread.
    pub(crate) fn into_parts(self, workers: usize) -> (Vec<Vec<Session>>, StoreThread) {
        let mut shares: Vec<Vec<Session>> = (0..workers).map(|_| Vec::new()).collect();
        for (index, session) in self.sessions.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(index % workers) {
                share.push(session);
            }
        }
        (shares, self.thread)
    }
}

/// Opens the store that the settings ask for, and reads the sessions of an earlier run.
///
/// # Errors
/// [`StoreError`]: no folder, or files that cannot be trusted.
pub(crate) fn open(
    config: &StoreConfig,
    limits: &Arc<Limits>,
    workers: &[Mailbox<Mail>],
) -> Result<Option<Opened>, StoreError> {
    let sync = match config.durability {
        Durability::Memory => return Ok(None),
        Durability::Local => false,
        Durability::LocalFsync => true,
    };
    let dir: PathBuf = config.dir.clone().ok_or(StoreError::NoFolder)?;
    let (journal, sessions) = Journal::open(&dir, sync, limits)?;
    let handle = StoreHandle(Arc::default());
    let thread = std::thread::Builder::new().name("store".into()).spawn({
        let (queue, workers) = (handle.0.clone(), workers.to_vec());
        move || run(journal, &queue, &workers)
    });
    let thread = thread.map_err(StoreError::Thread)?;
    let thread = StoreThread { handle: handle.clone(), thread: Some(thread) };
    Ok(Some(Opened { handle, sessions, thread }))
}

/// The body of the thread.
fn run(mut journal: Journal, queue: &Queue, workers: &[Mailbox<Mail>]) {
    let mut requests = Vec::new();
    loop {
        {
            let mut waiting = queue.requests.lock();
            while waiting.is_empty() {
                queue.arrived.wait(&mut waiting);
            }
            std::mem::swap(&mut *waiting, &mut requests);
        }
        let mut batches = Vec::new();
        let mut loads = Vec::new();
        let mut stop = false;
        for request in requests.drain(..) {
            match request {
                Request::Write(batch) => batches.push(batch),
                Request::Load { ids, answer } => loads.push((ids, answer)),
                Request::Stop => stop = true,
            }
        }
        let written = journal.write(&batches);
        answer(&batches, written, workers);
        // What a load asks for was written before it was asked for.
        for (ids, answer) in loads {
            answer(journal.load(&ids));
        }
        journal.clean();
        if stop {
            return;
        }
    }
}

/// Tells each worker the last of its batches in this round.
fn answer(batches: &[StoreBatch], written: bool, workers: &[Mailbox<Mail>]) {
    for (index, worker) in workers.iter().enumerate() {
        let last = batches.iter().rfind(|batch| usize::from(batch.worker) == index);
        if let Some(StoreBatch { batch, .. }) = last {
            worker.send(Mail::Stored { batch: *batch, written });
        }
    }
}
