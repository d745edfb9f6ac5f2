//! One peer node: its standing raft and query connections and its wires.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::Rng;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant as TokioInstant, sleep},
};

use crate::{
    connection::{self, CloseReason, FrameIo, Outbox},
    context::PortContext,
    counters::{Counters, count},
    dial::{self, Target, chain},
    error::{DialError, RequestError},
    hello::Purpose,
    identity::{NodeId, PeerId},
    pool::AbortOnDrop,
    request::{AnswerSink, RequestClient},
    tuning::PortTuning,
    wire::Wire,
};

/// How a peer stands, by its raft connection. This is reachability, not membership or liveness.
#[derive(Debug, Clone)]
pub enum PeerState {
    /// The first dial has not ended yet.
    Connecting,
    Up {
        peer: PeerId,
        since: Instant,
    },
    Down {
        reason: Arc<str>,
        since: Instant,
    },
}

impl PeerState {
    /// Whether requests can be sent.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// What drivers and wires of one peer share.
#[derive(Debug)]
pub(crate) struct PeerShared {
    pub(crate) context: PortContext,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
    /// `None` once the peer is removed.
    pub(crate) target: watch::Sender<Option<Target>>,
}

/// A live connection, and the means to notice that its peer has moved or was removed.
pub(crate) struct Connected {
    pub(crate) io: FrameIo,
    pub(crate) peer: PeerId,
    pub(crate) target: watch::Receiver<Option<Target>>,
}

impl PeerShared {
    /// Dials with back-off until connected; `None` when the peer was removed.
    pub(crate) async fn dial_until_connected(&self, purpose: Purpose) -> Option<Connected> {
        let mut backoff = Backoff::new(self.context.tuning());
        let mut target = self.target.subscribe();
        let mut last = String::new();
        loop {
            let current = target.borrow_and_update().clone()?;
            let dialled = tokio::select! {
                dialled = self.dial(&current, purpose) => dialled,
                _ = target.changed() => continue,
            };
            match dialled {
                Ok((io, peer)) => return Some(Connected { io, peer, target }),
                Err(error) => log_failure(&current, purpose, &chain(&error), &mut last),
            }
            backoff.pause(&mut target).await;
        }
    }

    async fn dial(
        &self,
        target: &Target,
        purpose: Purpose,
    ) -> Result<(FrameIo, PeerId), DialError> {
        let dialled = dial::dial(&self.context, target, purpose).await;
        match &dialled {
            Ok(_) => count(&self.counters.connected),
            Err(error) => {
                count(&self.counters.dials_failed);
                if matches!(error, DialError::Refused(_) | DialError::RefusedByPeer { .. }) {
                    count(&self.counters.refused);
                }
            }
        }
        dialled
    }
}

/// Says it once, not at every attempt: a peer that stays away must not fill the log.
fn log_failure(target: &Target, purpose: Purpose, reason: &str, last: &mut String) {
    if last != reason {
        let node = target.node.map(|node| node.0);
        tracing::warn!(node, address = %target.address, ?purpose, reason, "peer not reachable");
        reason.clone_into(last);
    }
}

/// Pauses between dials: they double from `backoff_min` to `backoff_max`, each cut by up to a
/// half at random, so that the members of a restarted cluster do not dial in step.
#[derive(Debug)]
struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    fn new(tuning: &PortTuning) -> Self {
        let min = tuning.backoff_min.max(Duration::from_millis(1));
        Self { min, max: tuning.backoff_max.max(min), next: min }
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Pauses, or less when the peer's address changes.
    async fn pause(&mut self, target: &mut watch::Receiver<Option<Target>>) {
        let pause = self.next_pause();
        tokio::select! {
            () = sleep(pause) => {}
            _ = target.changed() => {}
        }
    }
}

#[derive(Debug, Clone)]
enum StreamState {
    Connecting,
    Up(Arc<RequestClient>),
    Down(Arc<str>),
}

/// A handle to one peer of the pool.
#[derive(Debug, Clone)]
pub struct Peer(Arc<PeerInner>);

#[derive(Debug)]
struct PeerInner {
    node: NodeId,
    shared: Arc<PeerShared>,
    state: watch::Receiver<PeerState>,
    raft: watch::Receiver<StreamState>,
    query: watch::Receiver<StreamState>,
    _drivers: [AbortOnDrop<()>; 2],
}

impl Drop for PeerInner {
    fn drop(&mut self) {
        self.shared.target.send_replace(None);
    }
}

impl Peer {
    pub(crate) fn start(
        context: &PortContext,
        runtime: &Handle,
        node: NodeId,
        target: Target,
    ) -> Self {
        let shared = Arc::new(PeerShared {
            context: context.clone(),
            counters: Arc::default(),
            runtime: runtime.clone(),
            target: watch::Sender::new(Some(target)),
        });
        let (state_tx, state) = watch::channel(PeerState::Connecting);
        let (raft_tx, raft) = watch::channel(StreamState::Connecting);
        let (query_tx, query) = watch::channel(StreamState::Connecting);
        let driver = |purpose, stream, public| {
            let driver = Driver { shared: Arc::clone(&shared), purpose, stream, public };
            AbortOnDrop(runtime.spawn(driver.run()))
        };
        let drivers = [
            driver(Purpose::Raft, raft_tx, Some(state_tx)),
            driver(Purpose::Query, query_tx, None),
        ];
        let inner = PeerInner { node, shared, state, raft, query, _drivers: drivers };
        Self(Arc::new(inner))
    }

    /// The peer's node id.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Sends a request over the raft connection. At once an error while the peer is down; while
    /// the first dial is under way it waits.
    ///
    /// # Errors
    /// [`RequestError`]; after `Disconnected` and `Deadline` the request may have been carried out.
    pub async fn raft(
        &self,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        request(self.0.raft.clone(), kind, body, timeout).await
    }

    /// Sends a request over the query connection; otherwise as [`Peer::raft`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn query(
        &self,
        kind: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        request(self.0.query.clone(), kind, body, timeout).await
    }

    /// The wire of lane `lane`; nothing is dialled before [`Wire::connect`]. One owner per lane.
    pub fn wire(&self, lane: u16) -> Wire {
        Wire::new(Arc::clone(&self.0.shared), lane)
    }

    /// How the peer stands, now and with every change.
    pub fn state(&self) -> watch::Receiver<PeerState> {
        self.0.state.clone()
    }

    /// What was counted for this peer, over all its connections that we dialled.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.0.shared.counters
    }

    pub(crate) fn set_target(&self, target: Option<Target>) {
        self.0.shared.target.send_if_modified(|current| {
            let changed = *current != target;
            *current = target;
            changed
        });
    }
}

async fn request(
    mut stream: watch::Receiver<StreamState>,
    kind: u16,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes, RequestError> {
    let deadline = TokioInstant::now() + timeout;
    let known = |state: &StreamState| !matches!(state, StreamState::Connecting);
    let state = match tokio::time::timeout_at(deadline, stream.wait_for(known)).await {
        Ok(Ok(state)) => state.clone(),
        Ok(Err(_)) => StreamState::Down("the peer was removed".into()),
        Err(_) => StreamState::Down("the first dial has not ended yet".into()),
    };
    match state {
        StreamState::Up(client) => client.request(kind, body, deadline).await,
        StreamState::Down(reason) => Err(RequestError::NotConnected { reason: (*reason).into() }),
        StreamState::Connecting => Err(RequestError::NotConnected { reason: "connecting".into() }),
    }
}

/// Keeps one request connection standing.
struct Driver {
    shared: Arc<PeerShared>,
    purpose: Purpose,
    stream: watch::Sender<StreamState>,
    /// The driver of the raft connection tells how the peer stands.
    public: Option<watch::Sender<PeerState>>,
}

impl Driver {
    async fn run(self) {
        let mut backoff = Backoff::new(self.shared.context.tuning());
        let mut target = self.shared.target.subscribe();
        let mut last = String::new();
        let mut connected_before = false;
        loop {
            let Some(current) = target.borrow_and_update().clone() else {
                return self.down("the peer was removed");
            };
            let dialled = tokio::select! {
                dialled = self.shared.dial(&current, self.purpose) => dialled,
                _ = target.changed() => continue,
            };
            match dialled {
                Ok((io, peer)) => {
                    if connected_before {
                        count(&self.shared.counters.reconnects);
                    }
                    connected_before = true;
                    let began = Instant::now();
                    let reason = self.serve(io, peer, &mut target).await;
                    // A peer that hangs up at once is not to be dialled twenty times a second.
                    if began.elapsed() >= self.shared.context.tuning().dead_after {
                        backoff.reset();
                    }
                    last.clear();
                    if target.borrow().is_none() {
                        return self.down("the peer was removed");
                    }
                    let (node, purpose) = (current.node.map(|node| node.0), self.purpose);
                    tracing::info!(node, ?purpose, %reason, "peer connection ended");
                    self.down(&reason.to_string());
                }
                Err(error) => {
                    let reason = chain(&error);
                    self.down(&reason);
                    log_failure(&current, self.purpose, &reason, &mut last);
                }
            }
            backoff.pause(&mut target).await;
        }
    }

    async fn serve(
        &self,
        io: FrameIo,
        peer: PeerId,
        target: &mut watch::Receiver<Option<Target>>,
    ) -> CloseReason {
        let tuning = self.shared.context.tuning();
        let (client, outbox): (_, Outbox) = RequestClient::new(tuning);
        let mut sink = AnswerSink(Arc::clone(&client));
        self.stream.send_replace(StreamState::Up(Arc::clone(&client)));
        tracing::info!(node = peer.node_id.0, purpose = ?self.purpose, "peer connected");
        if let Some(public) = &self.public {
            public.send_replace(PeerState::Up { peer, since: Instant::now() });
        }
        let counters = &self.shared.counters;
        let reason = tokio::select! {
            reason = connection::run(io, outbox, tuning, counters, &mut sink) => reason,
            _ = target.changed() => CloseReason::Local("the peer was removed or has moved"),
        };
        client.close();
        reason
    }

    fn down(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        self.stream.send_replace(StreamState::Down(Arc::clone(&reason)));
        if let Some(public) = &self.public {
            public.send_if_modified(|state| match state {
                PeerState::Down { reason: known, .. } if *known == reason => false,
                _ => {
                    *state = PeerState::Down { reason, since: Instant::now() };
                    true
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_cut_by_at_most_a_half() {
        let mut backoff = Backoff::new(&PortTuning::default());
        for expected in [50, 100, 200, 400, 800, 1_000, 1_000] {
            let expected = Duration::from_millis(expected);
            let pause = backoff.next_pause();
            assert!(pause <= expected && pause >= expected / 2, "{pause:?} for {expected:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(50));
    }
}
