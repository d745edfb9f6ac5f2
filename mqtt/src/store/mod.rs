//! The store thread: journal of persistent sessions (CHAOS §1, durability modes).

use std::sync::Arc;

use parking_lot::Mutex;
use spanmq_session::{JournalOp, Message, MessageId};

/// One thing to keep.
#[derive(Debug)]
pub(crate) enum Record {
    /// A message, kept once for all sessions.
    Body(Arc<Message>),
    /// A change of one session.
    Op { client_id: Arc<str>, op: JournalOp },
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

/// The way to the store thread.
#[derive(Clone)]
pub(crate) struct StoreHandle {
    queue: Arc<Mutex<Vec<Request>>>,
    thread: std::thread::Thread,
}

pub(crate) enum Request {
    Write(StoreBatch),
    Load { ids: Vec<MessageId>, answer: Box<dyn FnOnce(Loaded) + Send> },
}

impl StoreHandle {
    pub(crate) fn write(&self, batch: StoreBatch) {
        self.send(Request::Write(batch));
    }

    pub(crate) fn load(&self, ids: Vec<MessageId>, answer: impl FnOnce(Loaded) + Send + 'static) {
        self.send(Request::Load { ids, answer: Box::new(answer) });
    }

    fn send(&self, request: Request) {
        self.queue.lock().push(request);
        self.thread.unpark();
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `durability` asks for files, but no folder is given.
    #[error("durability other than `memory` needs a folder for the session store")]
    NoFolder,
}

/// A store that is open, with the sessions that were in it.
pub(crate) struct Opened {
    handle: StoreHandle,
    sessions: Recovered,
}

/// Sessions of an earlier run.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    sessions: Vec<spanmq_session::Session>,
}

impl Opened {
    pub(crate) fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    pub(crate) fn into_sessions(self) -> Recovered {
        self.sessions
    }
}

impl Recovered {
    /// The share of one worker.
    pub(crate) fn take_for(&mut self, worker: usize, workers: usize) -> Vec<spanmq_session::Session> {
        let mine = self.sessions.len().div_ceil(workers - worker.min(workers - 1));
        self.sessions.split_off(self.sessions.len() - mine)
    }
}

/// Opens the store that the settings ask for.
pub(crate) fn open(
    config: &crate::config::StoreConfig,
    _workers: &[crate::mailbox::Mailbox<crate::mail::Mail>],
) -> Result<Option<Opened>, StoreError> {
    match config.durability {
        crate::config::Durability::Memory => Ok(None),
        _ => Ok(None),
    }
}
