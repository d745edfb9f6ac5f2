//! Writing, reading and cleaning the journal's files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use spanmq_segment::{SegmentError, SegmentLog, SegmentOptions};
use spanmq_session::{JournalOp, Limits, Message, MessageId, Session, in_flight_messages};

use super::index::{Before, Index, Owner};
use super::record::{self, Read, RecordError};
use super::reduce::{reduce, took};
use super::{Loaded, Record, StoreBatch};
use crate::shared::wall_ms;

/// Small segments, so that cleaning frees space soon.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Space the journal may take besides twice the bodies it holds.
const SPARE_BYTES: u64 = 64 << 20;
/// Owners moved to the end in one round at most, so that writes do not wait long.
const MOVES_PER_ROUND: usize = 256;
/// Records purged at least at a time.
const PURGE_STEP: u64 = 4_096;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `durability` asks for files, but no folder is given.
    #[error("durability other than `memory` needs a folder for the session store")]
    NoFolder,
    /// The files.
    #[error("the session journal cannot be opened")]
    Segment(#[from] SegmentError),
    /// A record in them.
    #[error("record {sequence} of the session journal cannot be used")]
    Record {
        /// Which.
        sequence: u64,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// Its thread.
    #[error("the store thread could not be started")]
    Thread(#[source] std::io::Error),
}

pub(super) struct Journal {
    log: SegmentLog,
    sync: bool,
    index: Index,
    /// The last round could not be written; said once.
    failing: bool,
    /// Bodies of this round; those that no delivery in it needs are given up at its end.
    new_bodies: Vec<MessageId>,
}

/// A record on its way into the log, and what the index learns when it is there.
enum Entry {
    Body {
        id: MessageId,
        bytes: u64,
    },
    Op {
        client_id: Arc<str>,
        op: JournalOp,
    },
    Forget {
        client_id: Arc<str>,
    },
    Reset {
        client_id: Arc<str>,
    },
    /// The ops that follow a reset are complete.
    Settle,
}

/// Records of one round.
#[derive(Default)]
struct Round {
    payloads: Vec<Vec<u8>>,
    /// With the place of each record; a `Settle` has none.
    entries: Vec<(Option<usize>, Entry)>,
}

impl Round {
    fn push(&mut self, payload: Vec<u8>, entry: Entry) {
        self.entries.push((Some(self.payloads.len()), entry));
        self.payloads.push(payload);
    }

    fn body(&mut self, id: MessageId, payload: Vec<u8>) {
        let bytes = payload.len() as u64;
        self.push(payload, Entry::Body { id, bytes });
    }

    fn op(&mut self, client_id: &Arc<str>, op: JournalOp) {
        match record::op(client_id, &op) {
            Ok(payload) => self.push(payload, Entry::Op { client_id: client_id.clone(), op }),
            Err(error) => tracing::error!(%error, %client_id, "an op is too large to be kept"),
        }
    }

    fn replace(&mut self, client_id: &Arc<str>, ops: Vec<JournalOp>) {
        let entry = Entry::Reset { client_id: client_id.clone() };
        self.push(record::reset(client_id), entry);
        for op in ops {
            self.op(client_id, op);
        }
        self.entries.push((None, Entry::Settle));
    }
}

impl Journal {
    /// Opens the files and rebuilds the sessions.
    pub(super) fn open(
        dir: &Path,
        sync: bool,
        limits: &Arc<Limits>,
    ) -> Result<(Self, Vec<Session>), StoreError> {
        let options = SegmentOptions { segment_bytes: SEGMENT_BYTES, ..Default::default() };
        let (log, report) = SegmentLog::open(dir, options)?;
        if let Some(torn) = &report.torn {
            tracing::warn!(bytes = torn.bytes, "the end of the session journal was torn and cut");
        }
        let mut journal =
            Self { log, sync, index: Index::default(), failing: false, new_bodies: Vec::new() };
        let ops = journal.read_all()?;
        let sessions = journal.rebuild(ops, limits);
        Ok((journal, sessions))
    }

    /// Reads all records into the index; yields the ops of each session.
    fn read_all(&mut self) -> Result<HashMap<Arc<str>, Vec<JournalOp>>, StoreError> {
        let (now, wall_ms) = (Instant::now(), wall_ms());
        let mut ops: HashMap<Arc<str>, Vec<JournalOp>> = HashMap::new();
        for item in self.log.iter_from(self.log.first()) {
            let (sequence, bytes) = item?;
            if bytes.is_empty() {
                // A record that was lost to damage; `spanmq repair` left its place.
                continue;
            }
            let read = record::decode(&bytes, now, wall_ms)
                .map_err(|source| StoreError::Record { sequence, source })?;
            match read {
                Read::Body(message) => self.index.body(message.id, sequence, bytes.len() as u64),
                Read::Op { client_id, op } => {
                    self.index.op(&client_id, &op, sequence);
                    ops.entry(client_id).or_default().push(op);
                }
                Read::Forget { client_id } => {
                    self.index.forget(&client_id);
                    ops.remove(&client_id);
                }
                Read::Reset { client_id } => {
                    // Released at the end: the ops behind it may need the same bodies.
                    let before = self.index.reset(&client_id, sequence);
                    self.index.remember(before);
                    ops.remove(&client_id);
                }
            }
        }
        self.index.settle_remembered();
        Ok(ops)
    }

    fn rebuild(
        &mut self,
        ops: HashMap<Arc<str>, Vec<JournalOp>>,
        limits: &Arc<Limits>,
    ) -> Vec<Session> {
        let mut sessions = Vec::new();
        for (client_id, ops) in ops {
            // The ops that are left out stay in the file.
            let next = ops.iter().filter_map(JournalOp::seq).max().map_or(0, |seq| seq + 1);
            let ops = reduce(ops, self.index.taken_by(&client_id));
            let in_flight = in_flight_messages(&ops);
            let at_hand: HashMap<_, _> = self.load(&in_flight).into_iter().collect();
            let find = |id| at_hand.get(&id).cloned().flatten();
            match Session::replay(client_id.clone(), limits.clone(), ops, find) {
                Ok(session) if is_over(&session) => self.index.forget(&client_id),
                Ok(mut session) => {
                    session.number_from(next);
                    sessions.push(session);
                }
                Err(error) => {
                    tracing::error!(%error, %client_id, "a session could not be rebuilt");
                    self.index.forget(&client_id);
                }
            }
        }
        sessions
    }

    /// Appends a round. False: nothing of it was written.
    pub(super) fn write(&mut self, batches: &[StoreBatch]) -> bool {
        let (now, wall_ms) = (Instant::now(), wall_ms());
        let mut round = Round::default();
        let mut slack = Vec::new();
        let mut written = true;
        for record in batches.iter().flat_map(|batch| &batch.records) {
            match record {
                Record::Body(message) => match record::body(message, now, wall_ms) {
                    Ok(payload) => round.body(message.id, payload),
                    Err(error) => tracing::error!(%error, "a message is too large to be kept"),
                },
                Record::Op { client_id, op } => {
                    round.op(client_id, op.clone());
                    if self.index.is_slack(client_id) && !slack.contains(client_id) {
                        slack.push(client_id.clone());
                    }
                }
                Record::Replace { client_id, ops } => {
                    // The session does not remember what it has had; the index does, once it has
                    // learnt what came before.
                    written &= self.append_part(std::mem::take(&mut round));
                    let taken = took(self.index.taken_by(client_id));
                    round.replace(client_id, ops.iter().cloned().chain(taken).collect());
                }
                Record::Forget { client_id } => {
                    let entry = Entry::Forget { client_id: client_id.clone() };
                    round.push(record::forget(client_id), entry);
                }
            }
        }
        written &= self.append(round);
        for client_id in slack {
            self.rewrite_session(&client_id);
        }
        written
    }

    fn append(&mut self, round: Round) -> bool {
        let written = self.append_part(round);
        self.index.drop_unneeded(&std::mem::take(&mut self.new_bodies));
        written
    }

    /// Appends a part of a round whose bodies a later part may need.
    fn append_part(&mut self, round: Round) -> bool {
        if round.payloads.is_empty() {
            return true;
        }
        let appended = self
            .log
            .append_batch(&round.payloads)
            .and_then(|first| if self.sync { self.log.sync().map(|()| first) } else { Ok(first) });
        match appended {
            Ok(first) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the session journal is written again");
                }
                self.learn(first, round.entries);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the session journal cannot be written; QoS 1 and 2 are refused"
                    );
                }
                false
            }
        }
    }

    fn learn(&mut self, first: u64, entries: Vec<(Option<usize>, Entry)>) {
        let mut before = Before::default();
        for (place, entry) in entries {
            let sequence = first + place.unwrap_or(0) as u64;
            match entry {
                Entry::Body { id, bytes } => {
                    self.index.body(id, sequence, bytes);
                    self.new_bodies.push(id);
                }
                Entry::Op { client_id, op } => self.index.op(&client_id, &op, sequence),
                Entry::Forget { client_id } => self.index.forget(&client_id),
                Entry::Reset { client_id } => before.extend(self.index.reset(&client_id, sequence)),
                Entry::Settle => self.index.settle(std::mem::take(&mut before)),
            }
        }
    }

    /// Reads messages back.
    pub(super) fn load(&self, ids: &[MessageId]) -> Loaded {
        let (now, wall_ms) = (Instant::now(), wall_ms());
        let read = |id: &MessageId| -> Option<Arc<Message>> {
            let bytes = self.log.read(self.index.sequence_of(*id)?);
            let bytes = bytes
                .inspect_err(|error| tracing::error!(%error, "a stored message cannot be read"))
                .ok()??;
            match record::decode(&bytes, now, wall_ms) {
                Ok(Read::Body(message)) => Some(Arc::from(message)),
                _ => None,
            }
        };
        ids.iter().map(|id| (*id, read(id))).collect()
    }

    /// Frees space: what is still needed in the oldest files is written again at the end.
    pub(super) fn clean(&mut self) {
        let allowed = SPARE_BYTES + 2 * self.index.body_bytes();
        let mut moves = 0;
        while self.log.bytes_on_disk() > allowed && moves < MOVES_PER_ROUND && !self.failing {
            let Some((_, owner)) = self.index.first_needed() else { break };
            let moved = match owner.clone() {
                Owner::Body(id) => self.move_body(id),
                Owner::Session(client_id) => self.rewrite_session(&client_id),
            };
            if !moved {
                break;
            }
            moves += 1;
        }
        self.purge();
    }

    fn purge(&mut self) {
        let keep = self.index.first_needed().map_or(self.log.next(), |(sequence, _)| sequence);
        if keep >= self.log.first() + PURGE_STEP
            && let Err(error) = self.log.purge_before(keep)
        {
            tracing::warn!(%error, "old files of the session journal could not be removed");
        }
    }

    fn move_body(&mut self, id: MessageId) -> bool {
        let Some(sequence) = self.index.sequence_of(id) else { return false };
        let Ok(Some(payload)) = self.log.read(sequence) else { return false };
        let mut round = Round::default();
        // As it is: its time of writing stays true.
        round.body(id, payload);
        self.append(round)
    }

    /// Writes the shortest form of a session's ops at the end.
    fn rewrite_session(&mut self, client_id: &Arc<str>) -> bool {
        let (now, wall_ms) = (Instant::now(), wall_ms());
        let mut ops = Vec::new();
        for sequence in self.index.records_of(client_id) {
            match self.log.read(*sequence).ok().flatten() {
                Some(bytes) => {
                    if let Ok(Read::Op { op, .. }) = record::decode(&bytes, now, wall_ms) {
                        ops.push(op);
                    }
                }
                None => return false,
            }
        }
        let mut round = Round::default();
        round.replace(client_id, reduce(ops, self.index.taken_by(client_id)));
        self.append(round)
    }
}

/// Whether a session of an earlier run has ended meanwhile.
fn is_over(session: &Session) -> bool {
    let meta = session.meta();
    let Some(since) = meta.offline_since_ms else { return !meta.expiry.is_persistent() };
    let interval = meta.expiry.interval();
    let away_s = wall_ms().saturating_sub(since) / 1_000;
    interval != u32::MAX && away_s >= u64::from(interval)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
