//! The log store as openraft sees it.

use std::{
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{Arc, mpsc::SyncSender},
};

use openraft::{
    AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    reader::LogReader,
    writer::{Append, Done, Job, Thread},
};
use crate::{
    codec,
    types::{Entry, LogId, StorageError, TypeConfig, Vote},
};

/// The log. Cheap to clone; the files are closed with the last clone.
#[derive(Clone)]
pub(crate) struct LogStore {
    reader: LogReader,
    // Before `thread`: the thread ends when no sender is left.
    jobs: SyncSender<Job>,
    marks: Arc<Mutex<Marks>>,
    thread: Arc<Mutex<Thread>>,
}

/// What was read at opening, and written since.
struct Marks {
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl LogStore {
    pub(super) fn new(
        reader: LogReader,
        jobs: SyncSender<Job>,
        thread: Thread,
        vote: Option<Vote>,
        committed: Option<LogId>,
    ) -> Self {
        Self {
            reader,
            jobs,
            marks: Arc::new(Mutex::new(Marks { vote, committed })),
            thread: Arc::new(Mutex::new(thread)),
        }
    }

    /// Whether writes wait because the disk is full.
    pub(crate) fn disk_full(&self) -> bool {
        self.thread.lock().disk_full()
    }

    /// The last purged entry.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.reader.view.lock().purged
    }

    /// The last entry that openraft said was committed.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.marks.lock().committed
    }

    /// Whether nothing was ever stored here.
    pub(crate) fn is_pristine(&self) -> bool {
        self.marks.lock().vote.is_none() && self.reader.view.lock().last.is_none()
    }

    /// A full disk is not waited for any more: what waits is refused.
    pub(crate) fn stop_waiting(&self) {
        self.thread.lock().stop_waiting();
    }

    /// Ends the thread; what is written later is refused.
    pub(crate) fn stop(&self) {
        let mut thread = self.thread.lock();
        thread.stop_waiting();
        // The thread may have ended already.
        let _ = self.jobs.send(Job::Stop);
        thread.join();
    }

    /// Forgets entries from `from` on; returns what is then the last one.
    async fn make_room(&mut self, from: u64) -> Result<Option<LogId>, StorageError> {
        if from >= self.reader.view.lock().next() {
            return Ok(self.reader.view.lock().last);
        }
        let before = match from.checked_sub(1) {
            Some(index) => self.try_get_log_entries(index..from).await?.pop().map(|e| e.log_id),
            None => None,
        };
        let mut view = self.reader.view.lock();
        view.truncate(from, before);
        Ok(view.last)
    }

    async fn run(&self, job: impl FnOnce(Done) -> Job) -> Result<(), io::Error> {
        let (done, answer) = oneshot::channel();
        self.send(job(done))?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) -> Result<(), io::Error> {
        self.jobs.send(job).map_err(|_| stopped())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log thread has ended")
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.reader.try_get_log_entries(range).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.reader.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let view = self.reader.view.lock();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.run(|done| Job::Vote { vote, done })
            .await
            .map_err(|error| StorageIOError::write_vote(AnyError::new(&error)))?;
        self.marks.lock().vote = Some(vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.marks.lock().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.marks.lock().committed = committed;
        self.send(Job::Committed { committed })
            .map_err(|error| StorageIOError::write(AnyError::new(&error)).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.marks.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // What a snapshot covers already is not stored again.
        let kept_from = self.reader.view.lock().first();
        let mut entries =
            entries.into_iter().skip_while(|entry| entry.log_id.index < kept_from).peekable();
        let Some(first) = entries.peek().map(|entry| entry.log_id.index) else {
            callback.log_io_completed(Ok(()));
            return Ok(());
        };
        let before = self.make_room(first).await?;
        let mut records = Vec::new();
        let mut last = None;
        {
            let mut view = self.reader.view.lock();
            for entry in entries {
                let record = codec::encode(&entry);
                last = Some(entry.log_id);
                view.push(entry, record.len());
                records.push(record);
            }
        }
        let last = last.expect("there was a first one");
        let append = Append { first, before, last, records, flushed: callback };
        self.send(Job::Append { append })
            .map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let from = log_id.index;
        let last = self.make_room(from).await?;
        self.run(|done| Job::Truncate { from, last, done })
            .await
            .map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.reader.view.lock().purge(log_id);
        self.run(|done| Job::Purge { upto: log_id, done })
            .await
            .map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }
}
