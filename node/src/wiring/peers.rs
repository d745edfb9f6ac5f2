//! Messages to and from the other nodes: one queue per peer, its decisions in `spanmq-forward`.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use spanmq_forward::{
    Command, Event, Frame, Item, Limits, Outcome as Kept, Receiver, Sender, first_sequence,
};
use spanmq_mqtt::BrokerHandle;
use spanmq_mqtt::metrics::Counter;
use spanmq_mqtt::ports::{BoxFuture, Done, Forward, Outcome, Outcomes, Peers};
use spanmq_port::{PeerId, WireHandler, WireInbound, WireSession};
use spanmq_raft::RaftNode;
use spanmq_session::QoS;
use spanmq_session::codec::{decode_message, encode_message};
use spanmq_state::command::Holder;
use spanmq_state::{Epoch, NodeId};
use tokio::sync::{mpsc, oneshot};

use super::spool::Spool;
use super::{Slot, sessions};

/// Batches that wait for the task of a peer; each is one turn of one worker.
const BATCHES_WAITING_MAX: usize = 4_096;
/// Frames taken at once from a wire.
const FRAMES_AT_ONCE: usize = 64;
/// How often a queue looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// The wires of this node, sending side.
pub(crate) struct PeerPort {
    raft: RaftNode,
    runtime: tokio::runtime::Handle,
    spools: PathBuf,
    limits: Limits,
    refused: Arc<Counter>,
    queues: Mutex<HashMap<NodeId, mpsc::Sender<Batch>>>,
}

struct Batch {
    forwards: Vec<Forward>,
    done: Done<Outcomes>,
}

impl PeerPort {
    /// Spools of peers lie below `data_dir/peers`. Those that hold something are opened at once.
    pub(crate) fn new(
        raft: RaftNode,
        runtime: tokio::runtime::Handle,
        data_dir: &Path,
        bytes_max: usize,
    ) -> Arc<Self> {
        let port = Arc::new(Self {
            raft,
            runtime,
            spools: data_dir.join("peers"),
            limits: Limits { bytes_max, ..Limits::default() },
            refused: Arc::default(),
            queues: Mutex::new(HashMap::new()),
        });
        let left = std::fs::read_dir(&port.spools).into_iter().flatten().flatten();
        for node in left.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            port.queue(node);
        }
        port
    }

    /// Messages refused because a queue was full.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.get()
    }

    fn queue(&self, node: NodeId) -> mpsc::Sender<Batch> {
        let mut queues = self.queues.lock();
        let queue = queues.entry(node).or_insert_with(|| {
            let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
            let spool = self.spools.join(node.to_string());
            let (raft, limits, refused) = (self.raft.clone(), self.limits, self.refused.clone());
            self.runtime.spawn(PeerQueue::run(raft, node, spool, limits, refused, batches));
            sender
        });
        queue.clone()
    }
}

impl Peers for PeerPort {
    fn forward(&self, node: NodeId, batch: Vec<Forward>, done: Done<Outcomes>) {
        let refused = self.queue(node).try_send(Batch { forwards: batch, done });
        if let Err(refused) = refused {
            let Batch { forwards, done } = refused.into_inner();
            self.refused.add(forwards.len() as u64);
            done.answer(Outcomes::All(Outcome::Refused(0x97)));
        }
    }

    fn freeze(&self, from: Holder, client_id: Arc<str>, epoch: Epoch) -> BoxFuture<Option<Bytes>> {
        Box::pin(sessions::freeze(self.raft.clone(), from, client_id, epoch))
    }

    fn fence(&self, to: NodeId) -> BoxFuture<Vec<NodeId>> {
        let (raft, runtime) = (self.raft.clone(), self.runtime.clone());
        // Asked at once, on our runtime, whoever waits for it.
        let asked = runtime.spawn(sessions::fence(raft, to));
        // It does not end early but with the whole runtime.
        Box::pin(async move { asked.await.unwrap_or_default() })
    }

    fn take_over(
        &self,
        from: Holder,
        client_id: Arc<str>,
        epoch: Epoch,
        owing: Vec<NodeId>,
    ) -> BoxFuture<Option<Bytes>> {
        Box::pin(sessions::take_over(self.raft.clone(), from, client_id, epoch, owing))
    }

    fn others(&self) -> Vec<NodeId> {
        self.raft.peers().nodes()
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.raft.state().cluster().member(node).is_some()
    }
}

/// Outcomes of one batch on their way back; answered when the last one is known.
struct Gather {
    state: Mutex<(Vec<Outcome>, usize, Option<Done<Outcomes>>)>,
}

impl Gather {
    fn set(&self, index: usize, outcome: Outcome) {
        let mut state = self.state.lock();
        if let Some(place) = state.0.get_mut(index) {
            *place = outcome;
        }
        state.1 -= 1;
        if state.1 == 0 {
            let outcomes = std::mem::take(&mut state.0);
            if let Some(done) = state.2.take() {
                done.answer(Outcomes::Each(outcomes));
            }
        }
    }
}

/// Who waits for one item.
struct Token {
    gather: Arc<Gather>,
    index: usize,
}

/// The queue towards one peer, with its wire and its spool.
struct PeerQueue {
    raft: RaftNode,
    node: NodeId,
    machine: Sender<Token>,
    stream: u64,
    session: Option<WireSession>,
    /// A session that is being opened.
    opening: Option<oneshot::Receiver<WireSession>>,
    spool: Spool,
    refused: Arc<Counter>,
}

impl PeerQueue {
    async fn run(
        raft: RaftNode,
        node: NodeId,
        dir: PathBuf,
        limits: Limits,
        refused: Arc<Counter>,
        mut batches: mpsc::Receiver<Batch>,
    ) {
        let (spool, stream, held) = Spool::open(dir);
        let mut machine = Sender::new(limits, first_sequence(raft.incarnation()));
        machine.restore(Instant::now(), held);
        let (session, opening) = (None, None);
        let mut queue = Self { raft, node, machine, stream, session, opening, spool, refused };
        queue.open();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                count = batches.recv_many(&mut waiting, FRAMES_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    waiting.drain(..).for_each(|batch| queue.append(batch));
                    let commands = queue.machine.flush(Instant::now());
                    queue.perform(commands).await;
                }
                ack = next_ack(&mut queue.session) => queue.acknowledged(ack).await,
                session = next_session(&mut queue.opening) => queue.opened(session).await,
                _ = ticks.tick() => queue.tick().await,
            }
        }
    }

    fn append(&mut self, batch: Batch) {
        let now = Instant::now();
        let count = batch.forwards.len();
        let state = Mutex::new((vec![Outcome::Held; count], count, Some(batch.done)));
        let gather = Arc::new(Gather { state });
        for (index, forward) in batch.forwards.into_iter().enumerate() {
            let mut message = Vec::new();
            if let Err(error) = encode_message(&forward.message, now, &mut message) {
                tracing::error!(%error, "a message cannot be forwarded");
                gather.set(index, Outcome::Refused(0x95));
                continue;
            }
            let waits = forward.message.qos != QoS::AtMostOnce;
            let text = |text: &Arc<str>| text.to_string();
            let item = Item {
                sequence: 0,
                lane: forward.lane,
                plain: forward.plain,
                groups: forward.groups.iter().map(|(g, f)| (text(g), text(f))).collect(),
                acknowledged: waits,
                message: message.into(),
            };
            let token = waits.then(|| Token { gather: gather.clone(), index });
            if !waits {
                gather.set(index, Outcome::Held);
            }
            let commands = self.machine.handle(now, Event::Append { item, token });
            // Nothing is sent here, so these are refusals only.
            self.refused.add(commands.len() as u64);
            commands.into_iter().for_each(|command| self.finish(command));
        }
    }

    fn finish(&self, command: Command<Token>) {
        if let Command::Done(token, outcome) = command {
            token.gather.set(token.index, outcome_of(outcome));
        }
    }

    async fn perform(&mut self, commands: Vec<Command<Token>>) {
        let mut commands = VecDeque::from(commands);
        while let Some(command) = commands.pop_front() {
            match command {
                Command::Send(items) => self.send(items).await,
                Command::Spool(items) => {
                    let upto = items.last().map_or(0, |item| item.sequence);
                    let event = match self.spool.append(self.stream, &items) {
                        Ok(()) => Event::Spooled(upto),
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::error!(
                                error,
                                node = self.node,
                                "the spool of a peer cannot be written"
                            );
                            Event::SpoolFailed(upto)
                        }
                    };
                    commands.extend(self.machine.handle(Instant::now(), event));
                }
                Command::Forget(upto) => self.spool.forget(upto),
                done @ Command::Done(..) => self.finish(done),
            }
        }
    }

    async fn send(&mut self, items: Vec<Item>) {
        let Some(session) = &self.session else { return };
        let last = items.last().map_or(0, |item| item.sequence);
        let frame = Frame::Items { stream: self.stream, items }.encode();
        // A session that has ended says so at its acks; what was sent comes again on the next.
        let _ = session.tx().send(last, frame.into()).await;
    }

    async fn acknowledged(&mut self, ack: Option<Bytes>) {
        let event = match ack.map(|body| Frame::decode(&body)) {
            Some(Ok(Frame::Answers { stream, outcomes })) if stream == self.stream => {
                Event::Answers(outcomes)
            }
            Some(Ok(_)) => return,
            Some(Err(error)) => {
                tracing::warn!(%error, node = self.node, "a peer answered in a way we cannot read");
                return;
            }
            None => {
                self.session = None;
                Event::Down
            }
        };
        let commands = self.machine.handle(Instant::now(), event);
        self.perform(commands).await;
    }

    /// Dials in a task of its own, so that the queue goes on meanwhile.
    fn open(&mut self) {
        let Some(mut wire) = self.raft.peers().wire(self.node, 0) else { return };
        let (sender, opening) = oneshot::channel();
        self.opening = Some(opening);
        tokio::spawn(async move {
            if let Ok(session) = wire.connect().await {
                // The queue may have ended meanwhile.
                let _ = sender.send(session);
            }
        });
    }

    async fn opened(&mut self, session: Option<WireSession>) {
        self.opening = None;
        let Some(session) = session else { return };
        self.session = Some(session);
        let commands = self.machine.handle(Instant::now(), Event::Up);
        self.perform(commands).await;
    }

    async fn tick(&mut self) {
        if self.session.is_none() && self.opening.is_none() {
            self.open();
        }
        let commands = self.machine.handle(Instant::now(), Event::Tick);
        self.perform(commands).await;
        if self.session.is_none() && self.machine.stats().waiting > 0 && self.is_removed() {
            let commands = self.machine.abandon();
            self.perform(commands).await;
        }
    }

    /// Whether the cluster has removed the peer for good.
    fn is_removed(&self) -> bool {
        let state = self.raft.state();
        state.cluster().members().len() > 0 && state.cluster().member(self.node).is_none()
    }
}

async fn next_ack(session: &mut Option<WireSession>) -> Option<Bytes> {
    match session {
        Some(session) => session.ack().await.ok().map(|ack| ack.body),
        None => std::future::pending().await,
    }
}

async fn next_session(opening: &mut Option<oneshot::Receiver<WireSession>>) -> Option<WireSession> {
    match opening {
        Some(opening) => opening.await.ok(),
        None => std::future::pending().await,
    }
}

fn outcome_of(kept: Kept) -> Outcome {
    match kept {
        Kept::Held => Outcome::Held,
        Kept::NoSubscribers => Outcome::NoSubscribers,
        Kept::Refused(code) => Outcome::Refused(code),
    }
}

/// The receiving side: wires of other nodes.
pub(crate) struct PeerInbox {
    pub(crate) broker: Slot<BrokerHandle>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) receivers: Mutex<HashMap<u64, Arc<Mutex<Receiver>>>>,
}

impl WireHandler for PeerInbox {
    fn open(&self, from: PeerId, _lane: u16, wire: WireInbound) {
        let Some(broker) = self.broker.get().cloned() else { return };
        let receiver = self.receivers.lock().entry(from.node_id.0).or_default().clone();
        self.runtime.spawn(receive(broker, from.node_id.0, receiver, wire));
    }
}

async fn receive(
    broker: BrokerHandle,
    from: NodeId,
    receiver: Arc<Mutex<Receiver>>,
    mut wire: WireInbound,
) {
    let acker = wire.acker().clone();
    // Answers come from workers, which must not wait for a socket: a task passes them on.
    let (answers, mut outgoing) = mpsc::unbounded_channel::<(u64, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((sequence, body)) = outgoing.recv().await {
            if acker.ack(sequence, body.into()).await.is_err() {
                return;
            }
        }
    });
    while let Some(frame) = wire.recv().await {
        match Frame::decode(&frame.body) {
            Ok(Frame::Items { stream, items }) => {
                let received = receiver.lock().items(stream, items);
                if !received.answers.is_empty() {
                    let frame = Frame::Answers { stream, outcomes: received.answers };
                    let _ = answers.send((0, frame.encode()));
                }
                deliver((&broker, from), &receiver, stream, received.deliver, answers.clone());
            }
            Ok(Frame::Answers { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "a peer sent what we cannot read; the wire is closed");
                return;
            }
        }
    }
}

fn deliver(
    (broker, from): (&BrokerHandle, NodeId),
    receiver: &Arc<Mutex<Receiver>>,
    stream: u64,
    items: Vec<Item>,
    answers: mpsc::UnboundedSender<(u64, Vec<u8>)>,
) {
    let now = Instant::now();
    let (mut forwards, mut sequences, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        match decode_message(&item.message, now, Duration::ZERO) {
            Ok(message) => {
                sequences.push(item.sequence);
                let groups = item.groups.into_iter();
                forwards.push(Forward {
                    message: Arc::new(message),
                    plain: item.plain,
                    groups: groups.map(|(g, f)| (Arc::from(g), Arc::from(f))).collect(),
                    lane: item.lane,
                });
            }
            Err(error) => {
                tracing::error!(%error, "a peer forwarded a message that we cannot read");
                refused.push((item.sequence, Kept::Refused(0x80)));
            }
        }
    }
    let receiver = receiver.clone();
    let done = Done::new(move |outcomes: Option<Outcomes>| {
        let outcome = |index| match outcomes.as_ref().map(|o| o.get(index)) {
            Some(Outcome::Held) => Kept::Held,
            Some(Outcome::NoSubscribers) => Kept::NoSubscribers,
            Some(Outcome::Refused(code)) => Kept::Refused(code),
            None => Kept::Refused(0x80),
        };
        let known = sequences.iter().enumerate().map(|(index, seq)| (*seq, outcome(index)));
        let outcomes: Vec<(u64, Kept)> = known.chain(refused).collect();
        let mut receiver = receiver.lock();
        for (sequence, outcome) in &outcomes {
            receiver.done(stream, *sequence, *outcome);
        }
        let last = outcomes.last().map_or(0, |(sequence, _)| *sequence);
        let _ = answers.send((last, Frame::Answers { stream, outcomes }.encode()));
    });
    broker.receive_peer(from, forwards, done);
}
