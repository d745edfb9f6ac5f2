//! The thread that writes the log. All writes go through it, in order, so that a vote is never
//! stored before an entry that came earlier.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use openraft::storage::LogFlushed;
use parking_lot::Mutex;
use spanmq_segment::{SegmentError, SegmentLog};
use tokio::sync::oneshot;

use super::{marks, open::LogFiles, view::View};
use crate::{
    fatal::{FatalCause, FatalHook},
    types::{LogId, TypeConfig, Vote},
};

/// openraft waits for each append, so the queue never holds more than a few.
const JOBS_MAX: usize = 1_024;
/// Appends written and synced together.
const GROUP_MAX: usize = 64;
/// Pause before a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(200);

/// Told when a job is done.
pub(super) type Done = oneshot::Sender<Result<(), io::Error>>;

/// One change of the log.
pub(super) enum Job {
    Append {
        append: Append,
    },
    Vote {
        vote: Vote,
        done: Done,
    },
    /// A hint; nobody waits for it.
    Committed {
        committed: Option<LogId>,
    },
    /// Removes `from` and everything after it; `last` is then the last entry.
    Truncate {
        from: u64,
        last: Option<LogId>,
        done: Done,
    },
    Purge {
        upto: LogId,
        done: Done,
    },
    Stop,
}

/// Entries to be made durable together.
pub(super) struct Append {
    pub(super) first: u64,
    /// The entry in front, when others are overwritten.
    pub(super) before: Option<LogId>,
    pub(super) last: LogId,
    pub(super) records: Vec<Vec<u8>>,
    pub(super) flushed: LogFlushed<TypeConfig>,
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) segments: SegmentLog,
    pub(super) files: LogFiles,
    pub(super) view: Arc<Mutex<View>>,
    pub(super) fatal: FatalHook,
}

/// The other end, held by the store. The thread ends when the last sender of jobs is dropped.
pub(super) struct Thread {
    impatient: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Whether the disk is full, so that writes wait.
    pub(super) fn disk_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// From now on a full disk is not waited for.
    pub(super) fn stop_waiting(&self) {
        self.impatient.store(true, Ordering::Relaxed);
    }

    /// Waits for the thread's end.
    pub(super) fn join(&mut self) {
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the log thread panicked");
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.join();
    }
}

pub(super) fn start(writer: Writer) -> io::Result<(SyncSender<Job>, Thread)> {
    let (sender, jobs) = sync_channel(JOBS_MAX);
    let [impatient, full] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
    let mut running =
        Running { writer, impatient: impatient.clone(), full: full.clone(), failed: None };
    let handle =
        std::thread::Builder::new().name("raft-log".into()).spawn(move || running.run(&jobs))?;
    Ok((sender, Thread { impatient, full, handle: Some(handle) }))
}

struct Running {
    writer: Writer,
    impatient: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    /// After a failure everything is refused.
    failed: Option<String>,
}

impl Running {
    fn run(&mut self, jobs: &Receiver<Job>) {
        let mut held = None;
        // The store sends `Stop` last of all, or goes away.
        loop {
            match held.take().or_else(|| jobs.recv().ok()) {
                None | Some(Job::Stop) => return,
                Some(job) => held = self.perform(job, jobs),
            }
        }
    }

    /// Does one job, or several appends at once; returns a job that was taken but not done.
    fn perform(&mut self, job: Job, jobs: &Receiver<Job>) -> Option<Job> {
        match job {
            Job::Append { append } => return self.append_group(append, jobs),
            Job::Vote { vote, done } => {
                let result =
                    self.persistently("vote", |writer| marks::replace(&writer.files.vote, &vote));
                let _ = done.send(result);
            }
            Job::Committed { committed } => self.writer.files.committed.write(&committed),
            Job::Truncate { from, last, done } => {
                let result = self.persistently("truncate", |writer| writer.truncate(from, last));
                let _ = done.send(result);
            }
            Job::Stop => return Some(Job::Stop),
            Job::Purge { upto, done } => {
                let result = self.persistently("purge", |writer| writer.purge(upto));
                let _ = done.send(result);
            }
        }
        None
    }

    fn append_group(&mut self, first: Append, jobs: &Receiver<Job>) -> Option<Job> {
        let mut group = vec![first];
        let mut held = None;
        while group.len() < GROUP_MAX && held.is_none() {
            match jobs.try_recv() {
                Ok(Job::Append { append }) => group.push(append),
                Ok(other) => held = Some(other),
                Err(_) => break,
            }
        }
        let result = self.persistently("append", |writer| writer.append(&group));
        for append in group {
            append.flushed.log_io_completed(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
        held
    }

    /// Does `work`; on a full disk again and again, because refusing would stop Raft for good,
    /// while a node that only waits goes on when space returns (CHAOS P11).
    fn persistently(
        &mut self,
        what: &'static str,
        mut work: impl FnMut(&mut Writer) -> Result<(), SegmentError>,
    ) -> Result<(), io::Error> {
        if let Some(failed) = &self.failed {
            return Err(io::Error::other(failed.clone()));
        }
        loop {
            match work(&mut self.writer) {
                Ok(()) => {
                    if self.full.swap(false, Ordering::Relaxed) {
                        tracing::info!(what, "the disk has room again; the raft log goes on");
                    }
                    return Ok(());
                }
                Err(error) if error.is_no_space() && !self.impatient() => {
                    if !self.full.swap(true, Ordering::Relaxed) {
                        tracing::error!(what, %error, "the disk is full; free some space, the raft log waits for it");
                    }
                    std::thread::sleep(FULL_DISK_RETRY);
                }
                Err(error) => return Err(self.fail(what, &error)),
            }
        }
    }

    fn fail(&mut self, what: &'static str, error: &SegmentError) -> io::Error {
        let text = format!("raft log: {what}: {}", with_cause(error));
        if !self.impatient() {
            self.writer.fatal.stop(&FatalCause::Disk(text.clone()));
        }
        self.failed = Some(text.clone());
        io::Error::other(text)
    }

    fn impatient(&self) -> bool {
        self.impatient.load(Ordering::Relaxed)
    }
}

impl Writer {
    fn append(&mut self, group: &[Append]) -> Result<(), SegmentError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        if self.segments.first() == self.segments.next() && self.segments.next() < first.first {
            // Only a log that is empty begins further on.
            self.segments.reset(first.first)?;
        }
        if self.segments.next() > first.first {
            self.truncate(first.first, first.before)?;
        }
        assert_eq!(self.segments.next(), first.first, "openraft appends without holes");
        let records: Vec<&Vec<u8>> = group.iter().flat_map(|append| &append.records).collect();
        self.segments.append_batch(&records)?;
        self.segments.sync()?;
        self.files.synced.write(&last.last);
        self.view.lock().trim(self.segments.next());
        Ok(())
    }

    fn truncate(&mut self, from: u64, last: Option<LogId>) -> Result<(), SegmentError> {
        // First the mark: a power loss in between must not look like a lost entry.
        if let Some(last) = last {
            self.files.synced.write_synced(&last)
        } else {
            self.files.synced.write_synced(&())
        }
        .map_err(|source| SegmentError::Io {
            action: "write the mark of synced entries beside",
            file: self.files.vote.clone(),
            source,
        })?;
        self.segments.truncate_from(from)
    }

    fn purge(&mut self, upto: LogId) -> Result<(), SegmentError> {
        marks::replace(&self.files.purged, &upto)?;
        if self.segments.next() <= upto.index {
            self.segments.reset(upto.index + 1)
        } else {
            self.segments.purge_before(upto.index + 1)
        }
    }
}

/// The error with what caused it, for one log line.
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
