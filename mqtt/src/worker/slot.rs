//! The sessions of one worker and, while their clients are here, the connections.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ntex_bytes::BytePages;
use ntex_io::IoRef;
use spanmq_session::{FlowId, MatchedOptions, MessageId, Publisher, Session, Will};
use spanmq_state::NodeId;
use spanmq_topic::{TopicFilter, TopicName};

use super::moving::Buffer;
use crate::codec::{Encoder, Version};
use crate::listener::{ListenerState, Permit};
use crate::mail::SlotKey;
use crate::ports::{Client, ControlPublish, LinkClient, Retained};

/// A session with what the shell knows about it.
pub(crate) struct Slot {
    pub(crate) session: Session,
    pub(crate) client: Arc<Client>,
    pub(crate) conn: Option<Conn>,
    /// Will of the present connection, or a delayed one of the last.
    pub(crate) will: Option<Will>,
    pub(crate) will_due: Option<Instant>,
    pub(crate) ends_at: Option<Instant>,
    /// Whether the slot waits in the worker's list of sessions to pump.
    pub(crate) dirty: bool,
    /// Whether the store knows the session.
    pub(crate) journaled: bool,
    /// Retained messages that are still to be delivered.
    pub(crate) replays: VecDeque<Replay>,
    /// On its way to another worker: what it still gets here.
    pub(crate) moving: Option<HashSet<MessageId>>,
    /// Once a copy was given to another node: nodes that may hold something for it still, and the
    /// number of the first entry that is not in the copy.
    pub(crate) handed: Option<(Vec<NodeId>, u64)>,
    /// Came from another worker with these; copies of them may still be on their way to this one.
    pub(crate) got: Option<HashSet<MessageId>>,
    /// Not here yet: what comes for it.
    pub(crate) buffer: Option<Buffer>,
}

impl Slot {
    /// A session without a connection.
    pub(crate) fn new(session: Session, client: Arc<Client>) -> Self {
        Self {
            session,
            client,
            conn: None,
            will: None,
            will_due: None,
            ends_at: None,
            dirty: false,
            journaled: false,
            replays: VecDeque::new(),
            moving: None,
            handed: None,
            got: None,
            buffer: None,
        }
    }
}

/// A SUBSCRIBE that has not brought all its retained messages yet.
pub(crate) struct Replay {
    pub(crate) filter: TopicFilter,
    pub(crate) options: MatchedOptions,
    /// Read from the state, not yet delivered.
    pub(crate) waiting: VecDeque<Retained>,
    /// Where the state is read next; `None`: all of it was.
    pub(crate) cursor: Option<usize>,
}

/// A connection with its client.
pub(crate) struct Conn {
    /// Unique in this run of the node; also the lane of its publishes.
    pub(crate) number: u64,
    pub(crate) io: IoRef,
    pub(crate) encoder: Encoder,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) publisher: Publisher,
    pub(crate) keep_alive_s: u16,
    /// Silence after which the connection ends.
    pub(crate) silence_max: Duration,
    pub(crate) last_seen: Instant,
    pub(crate) connected_at_ms: u64,
    /// The output is full since then; pumping waits until it has drained.
    pub(crate) stalled_since: Option<Instant>,
    /// Answers to QoS 1/2 publishes, in the order of the publishes [MQTT-4.6.0-2].
    pub(crate) answers: VecDeque<Answer>,
    /// The topic of the last PUBLISH: most clients repeat it.
    pub(crate) last_topic: Option<TopicName>,
    /// What speaks to `linking`, once it did.
    pub(crate) link: Option<Arc<LinkClient>>,
    /// Control publishes of this turn.
    pub(crate) control: Vec<ControlPublish>,
    /// Flows of control publishes that `linking` has not answered yet, in order.
    pub(crate) control_flows: VecDeque<Option<FlowId>>,
    /// Output that waits for the store, with the batch it waits for.
    gate: VecDeque<(u64, BytePages)>,
    /// Counts against the connection limits while it lives.
    pub(crate) _permit: Permit,
}

/// An answer to the client that waits for its turn.
pub(crate) struct Answer {
    pub(crate) flow: FlowId,
    /// The packet type, id and code, once known; `None` as packet type: nothing is sent.
    pub(crate) ready: Option<ReadyAnswer>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadyAnswer {
    pub(crate) packet: Option<u8>,
    pub(crate) id: NonZeroU16,
    pub(crate) code: u8,
}

/// What a connection begins with.
pub(crate) struct ConnStart {
    pub(crate) number: u64,
    pub(crate) io: IoRef,
    pub(crate) encoder: Encoder,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) publisher: Publisher,
    pub(crate) keep_alive_s: u16,
    pub(crate) silence_max: Duration,
    pub(crate) permit: Permit,
}

impl Conn {
    pub(crate) fn new(start: ConnStart, now: Instant) -> Self {
        Self {
            number: start.number,
            io: start.io,
            encoder: start.encoder,
            listener: start.listener,
            publisher: start.publisher,
            keep_alive_s: start.keep_alive_s,
            silence_max: start.silence_max,
            last_seen: now,
            connected_at_ms: crate::shared::wall_ms(),
            stalled_since: None,
            answers: VecDeque::new(),
            last_topic: None,
            link: None,
            control: Vec::new(),
            control_flows: VecDeque::new(),
            gate: VecDeque::new(),
            _permit: start.permit,
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.encoder.version
    }

    /// Appends to the output; it is sent once at the end of the turn. An output that waits for the
    /// store keeps all that follows behind it.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytePages)) {
        match self.gate.back_mut() {
            Some((_, held)) => write(held),
            // An error means that the socket is gone; its task ends the connection.
            None => drop(self.io.with_write_buf(write)),
        }
    }

    /// From now on output waits until the store has written `batch`.
    pub(crate) fn hold_until(&mut self, batch: u64) {
        if self.gate.back().is_none_or(|(held, _)| *held < batch) {
            self.gate.push_back((batch, BytePages::default()));
        }
    }

    /// The store has written everything up to `batch`.
    pub(crate) fn stored(&mut self, batch: u64) {
        while self.gate.front().is_some_and(|(held, _)| *held <= batch) {
            if let Some((_, mut pages)) = self.gate.pop_front() {
                drop(self.io.with_write_buf(|out| pages.move_to(out)));
            }
        }
    }
}

/// The slots of a worker. A key outlives its session harmlessly: the generation differs.
#[derive(Default)]
pub(crate) struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Entry {
    generation: u32,
    slot: Option<Box<Slot>>,
}

impl Slots {
    pub(crate) fn insert(&mut self, slot: Slot) -> SlotKey {
        let slot = Some(Box::new(slot));
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            entry.slot = slot;
            return SlotKey { index, generation: entry.generation };
        }
        let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 sessions");
        self.entries.push(Entry { generation: 0, slot });
        SlotKey { index, generation: 0 }
    }

    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<Box<Slot>> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let slot = entry.slot.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(slot)
    }

    pub(crate) fn get(&self, key: SlotKey) -> Option<&Slot> {
        let entry = self.entries.get(key.index as usize)?;
        entry.slot.as_deref().filter(|_| entry.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        let entry = self.entries.get_mut(key.index as usize)?;
        entry.slot.as_deref_mut().filter(|_| entry.generation == key.generation)
    }

    /// By place alone: for subscriptions, which leave the table before their session does.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.entries.get_mut(index as usize)?.slot.as_deref_mut()
    }

    pub(crate) fn key_of(&self, index: u32) -> Option<SlotKey> {
        let entry = self.entries.get(index as usize)?;
        entry.slot.as_ref().map(|_| SlotKey { index, generation: entry.generation })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotKey, &Slot)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| {
            let index = u32::try_from(index).ok()?;
            let slot = entry.slot.as_deref()?;
            Some((SlotKey { index, generation: entry.generation }, slot))
        })
    }
}
