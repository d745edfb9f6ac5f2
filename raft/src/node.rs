//! One node of the control group: what the rest of the broker holds of it.

use std::{
    sync::{Arc, mpsc as std_mpsc},
    time::Duration,
};

use parking_lot::Mutex;
use spanmq_port::{CaError, JoinToken, Security};
use spanmq_state::{
    Command, Reply,
    view::{ViewReader, ViewReaderFactory},
};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{broadcast, mpsc, oneshot, watch},
};

use crate::{
    RaftOptions,
    core::{Core, Phase},
    formation,
    identity::DataDir,
    leader::{self, LeaderAnswer, LeaderError, LeaderRequest},
    leading,
    lease::{HeldLease, LeaseTime},
    machine::{AppliedEvents, StateRef},
    members,
    peers::Peers,
    propose::{self, HANDED_OVER_MAX, Proposal, ProposeError, Proposed},
    start::{self, StartError},
    status::{self, Status},
    types::NodeId,
};

/// Threads of the runtime that Raft and the cluster port live on.
const THREADS: usize = 2;
/// How long a stop waits for Raft before it goes on without.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a membership change did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    #[error("{0}")]
    Refused(String),
    #[error("no leader with a quorum of voters could be reached; nothing was changed")]
    NoQuorum,
    #[error("the leader was lost before it answered; look at the status and ask again if needed")]
    Unknown,
    #[error("this node is stopping")]
    Stopping,
}

impl From<LeaderError> for MembershipError {
    fn from(error: LeaderError) -> Self {
        match error {
            LeaderError::NoLeader => Self::NoQuorum,
            LeaderError::Unknown => Self::Unknown,
            LeaderError::Refused(sentence) => Self::Refused(sentence),
            full @ LeaderError::DiskFull => Self::Refused(full.to_string()),
        }
    }
}

/// A handle to the node; cheap to clone. Dropping the last one ends the node like a power cut;
/// [`RaftNode::shutdown`] ends it politely.
#[derive(Clone)]
pub struct RaftNode(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    views: ViewReaderFactory,
    proposals: mpsc::Sender<Proposal>,
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl RaftNode {
    /// Opens the data directory and starts. Returns as soon as the local state stands; the way to
    /// the cluster goes on in the background, see [`RaftNode::ready`]. Blocks briefly; may be
    /// called from anywhere.
    ///
    /// # Errors
    /// [`StartError`] when the data directory cannot or must not be used.
    pub fn start(options: RaftOptions) -> Result<Self, StartError> {
        let dir = DataDir::lock(&options.data_dir)?;
        let identity = dir.identify(&options.node_name, &options.cluster_name)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let handle = runtime.handle().clone();
        // Not `block_on`: the caller may be inside of another runtime.
        let (sender, receiver) = std_mpsc::sync_channel(1);
        handle.spawn(async move {
            // The caller waits for it.
            let _ = sender.send(start::open(options, dir, identity).await);
        });
        let opened = receiver.recv();
        let (core, views) =
            match opened.unwrap_or_else(|_| Err(StartError::Raft("the start panicked".into()))) {
                Ok(opened) => opened,
                Err(error) => {
                    // Dropping it would block, which a caller inside of a runtime must not.
                    runtime.shutdown_background();
                    return Err(error);
                }
            };
        let (proposals, queue) = mpsc::channel(HANDED_OVER_MAX);
        handle.spawn(propose::gather(core.clone(), queue));
        handle.spawn(members::follow_members(core.clone()));
        handle.spawn(members::promote_learners(core.clone()));
        handle.spawn(members::notice_removal(core.clone()));
        handle.spawn(leading::follow_leadership(core.clone()));
        handle.spawn(leading::confirm_leadership(core.clone()));
        handle.spawn(leading::keep_lease(core.clone()));
        handle.spawn(leading::collect_dead(core.clone()));
        handle.spawn(formation::form(core.clone()));
        let runtime = Mutex::new(Some(runtime));
        Ok(Self(Arc::new(Inner { core, views, proposals, handle, runtime })))
    }

    /// Ends when the node belongs to its cluster, knows a leader and has applied what was
    /// committed before.
    ///
    /// # Errors
    /// A sentence when that will not come about.
    pub async fn ready(&self) -> Result<(), String> {
        let mut phase = self.0.core.phase.subscribe();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Member => break,
                Phase::Failed(reason) => return Err(reason.clone()),
                Phase::Removed => return Err("this node was removed from its cluster".into()),
                Phase::Waiting | Phase::Joining => {}
            }
            if phase.changed().await.is_err() {
                return Err("this node is stopping".into());
            }
        }
        while self.read_barrier().await.is_err() {
            if let Phase::Failed(reason) = &*phase.borrow() {
                return Err(reason.clone());
            }
            if self.0.handle.spawn(async {}).await.is_err() {
                return Err("this node is stopping".into());
            }
        }
        Ok(())
    }

    /// Where the node stands, now and with every change.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.0.core.phase.subscribe()
    }

    /// `cluster init`: makes a new cluster of this node, which waits with an empty directory.
    ///
    /// # Errors
    /// [`FormationError`](crate::FormationError) when it belongs to one already.
    pub async fn init_cluster(&self) -> Result<(), crate::FormationError> {
        let core = self.0.core.clone();
        let founded = self.0.handle.spawn(async move {
            let _one = core.changing.lock().await;
            formation::found(&core).await
        });
        let stopping = |_| crate::FormationError::Raft("this node is stopping".into());
        founded.await.map_err(stopping)?
    }

    /// Changes the replicated state; resolves when the change is applied on *this* node, also
    /// when another leads. Many callers' commands share one log entry; those of one call stay
    /// together and in order.
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn propose(&self, commands: Vec<Command>) -> Result<Vec<Reply>, ProposeError> {
        self.propose_at(commands).await.map(|proposed| proposed.replies)
    }

    /// [`RaftNode::propose`], with the index of the entry.
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn propose_at(&self, commands: Vec<Command>) -> Result<Proposed, ProposeError> {
        if self.0.core.identity.lock().cluster.is_none() {
            return Err(ProposeError::NotAMember);
        }
        let (reply, answer) = oneshot::channel();
        let proposal = Proposal { commands, reply };
        self.0.proposals.send(proposal).await.map_err(|_| ProposeError::Stopping)?;
        answer.await.unwrap_or(Err(ProposeError::Stopping))
    }

    /// [`RaftNode::propose`], and then waits until every member that holds a lease has applied it:
    /// a publish through any of them finds it (ARCHITECTURE §4).
    ///
    /// # Errors
    /// [`ProposeError`]; [`ProposeError::NotVisible`] when only the second half is open.
    pub async fn propose_visible(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Reply>, ProposeError> {
        let proposed = self.propose_at(commands).await?;
        self.await_visible(proposed.index).await?;
        Ok(proposed.replies)
    }

    /// Waits until every member that holds a lease has applied the entry at `index`.
    ///
    /// # Errors
    /// [`ProposeError::NotVisible`], [`ProposeError::Stopping`].
    pub async fn await_visible(&self, index: u64) -> Result<(), ProposeError> {
        let core = self.0.core.clone();
        // A laggard's lease may have to end, and a new leader waits for one more.
        let limit = core.options.lease * 2 + core.options.lag_max + core.options.propose_timeout;
        let waited = self.0.handle.spawn(async move {
            leader::ask(&core, LeaderRequest::AwaitVisible { index }, limit).await
        });
        match waited.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ProposeError::NotVisible),
            Err(_) => Err(ProposeError::Stopping),
        }
    }

    /// After this, [`RaftNode::state`] shows all that was committed anywhere before the call.
    ///
    /// # Errors
    /// [`ProposeError::NoQuorum`]: what this node has may be old; [`ProposeError::Stopping`].
    pub async fn read_barrier(&self) -> Result<u64, ProposeError> {
        let core = self.0.core.clone();
        let waited = self.0.handle.spawn(async move {
            let limit = core.options.propose_timeout;
            let answer = leader::ask(&core, LeaderRequest::ReadIndex, limit).await;
            let Ok(LeaderAnswer::Index(index)) = answer else {
                return Err(ProposeError::NoQuorum);
            };
            let applied = tokio::time::timeout(limit, core.applied(index)).await;
            if applied == Ok(true) { Ok(index) } else { Err(ProposeError::NoQuorum) }
        });
        waited.await.unwrap_or(Err(ProposeError::Stopping))
    }

    /// The replicated state as applied here, held still while the answer lives: be quick, apply
    /// waits. Clone it to look longer.
    pub fn state(&self) -> StateRef<'_> {
        self.0.core.replica.read()
    }

    /// A reader of the publishers' view, for one thread.
    pub fn reader(&self) -> ViewReader {
        self.0.views.reader()
    }

    /// Makes readers of the publishers' view.
    pub fn readers(&self) -> ViewReaderFactory {
        self.0.views.clone()
    }

    /// Whether this node may acknowledge what it matched before this call (ARCHITECTURE §4).
    pub fn lease_held(&self) -> bool {
        self.0.core.lease.is_held(LeaseTime::now())
    }

    /// The lease itself, for those who ask often. Look with [`LeaseTime::now`].
    pub fn lease(&self) -> Arc<HeldLease> {
        self.0.core.lease.clone()
    }

    /// Members that have been without a lease for [`RaftOptions::gone_after`]: their wills and
    /// sessions are for others to take over. Only the leader knows; elsewhere empty.
    pub fn members_without_lease(&self) -> Vec<NodeId> {
        leading::without_lease(&self.0.core)
    }

    /// Index of the next entry to be applied, now and with every change: entries below it are.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.0.core.replica.applied()
    }

    /// What each entry changed, from now on. Who lags more than 4,096 entries behind is told so
    /// and reads the state anew; so does everybody after an event without index.
    pub fn events(&self) -> broadcast::Receiver<AppliedEvents> {
        self.0.core.replica.events()
    }

    /// The leader, now and with every change.
    pub fn leader(&self) -> watch::Receiver<Option<NodeId>> {
        let (sender, receiver) = watch::channel(self.0.core.leader());
        let mut metrics = self.0.core.metrics.clone();
        self.0.handle.spawn(async move {
            while !sender.is_closed() && metrics.changed().await.is_ok() {
                let leader = metrics.borrow_and_update().current_leader;
                sender.send_if_modified(|known| std::mem::replace(known, leader) != leader);
            }
        });
        receiver
    }

    /// Whether this node leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.0.core.is_leader()
    }

    /// This node's number.
    pub fn id(&self) -> NodeId {
        self.0.core.me
    }

    /// Number of this run of the node.
    pub fn incarnation(&self) -> u64 {
        self.0.core.identity.lock().incarnation
    }

    /// `host:port` of the cluster port as others are told; empty before it listens.
    pub fn cluster_addr(&self) -> String {
        self.0.core.advertised.lock().clone()
    }

    /// A node's view of its cluster.
    pub fn status(&self) -> Status {
        status::status(&self.0.core)
    }

    /// The other nodes.
    pub fn peers(&self) -> Peers {
        Peers { core: self.0.core.clone(), handle: self.0.handle.clone() }
    }

    /// A token that lets a node join, good for `valid_for` or without end.
    ///
    /// # Errors
    /// [`CaError::NoCaKey`] when the operator's own certificates, or none, are in use.
    pub fn join_token(&self, valid_for: Option<Duration>) -> Result<JoinToken, CaError> {
        match self.0.core.context.security() {
            Security::Tls(credentials) => credentials.token(valid_for),
            Security::Dev => Err(CaError::NoCaKey),
        }
    }

    /// Removes a member, dead or alive. Asking twice does no harm.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn remove(&self, node: NodeId) -> Result<(), MembershipError> {
        self.change(LeaderRequest::Remove { node }).await
    }

    /// Leaves the cluster. The node can then only be stopped, and its directory emptied.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn leave(&self) -> Result<(), MembershipError> {
        if self.is_leader() && self.status().members.iter().filter(|m| m.voter).count() > 1 {
            // Not needed for safety, but spares the others an election time-out.
            if let Err(error) = self.transfer_leader(None).await {
                tracing::info!(%error, "leaving while leading");
            }
        }
        self.remove(self.id()).await?;
        members::removed(&self.0.core);
        Ok(())
    }

    /// Lets another voter lead; `None` picks the one whose log is furthest. Takes about one
    /// election time-out, during which nothing is decided.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<(), MembershipError> {
        self.change(LeaderRequest::Transfer { to }).await
    }

    /// Takes a snapshot now and purges the log behind it.
    ///
    /// # Errors
    /// [`MembershipError::Stopping`].
    pub async fn snapshot(&self) -> Result<(), MembershipError> {
        let raft = self.0.core.raft.clone();
        let triggered = self.0.handle.spawn(async move { raft.trigger().snapshot().await });
        triggered.await.ok().and_then(Result::ok).ok_or(MembershipError::Stopping)
    }

    /// Stops: no more proposals, Raft ended, files closed. The other members notice at once.
    pub async fn shutdown(&self) {
        let core = self.0.core.clone();
        let stopped = self.0.handle.spawn(async move {
            let log = core.log.clone();
            // Frees Raft from a write that waits for a full disk.
            let _ = tokio::task::spawn_blocking(move || log.stop_waiting()).await;
            if tokio::time::timeout(STOP_TIMEOUT, core.raft.shutdown()).await.is_err() {
                tracing::warn!("raft did not stop in time");
            }
            let port = core.port.lock().take();
            if let Some(port) = port {
                port.shutdown().await;
            }
            core.pool.set([]);
            let log = core.log.clone();
            let _ = tokio::task::spawn_blocking(move || log.stop()).await;
        });
        // The runtime may be gone already: then there is nothing to stop.
        let _ = stopped.await;
        if let Some(runtime) = self.0.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }

    async fn change(&self, request: LeaderRequest) -> Result<(), MembershipError> {
        let core = self.0.core.clone();
        let limit = core.options.propose_timeout * 2;
        let asked = self.0.handle.spawn(async move { leader::ask(&core, request, limit).await });
        asked.await.map_err(|_| MembershipError::Stopping)??;
        Ok(())
    }
}
