//! Proposals on their way into the log: gathered here, written by the leader, resolved when this
//! node has applied them.
//!
//! Batches of one node stay in order: on the leader openraft takes them in order, and to a remote
//! leader only one is under way at a time.

use std::{sync::Arc, time::Instant};

use spanmq_state::{Applied, Batch, Command, Reply};
use tokio::sync::{mpsc, oneshot};

use crate::{
    batcher::{Batcher, NotTaken, Weight},
    codec,
    core::Core,
    leader::{self, LeaderAnswer, LeaderError, LeaderRequest},
};

/// Proposals that were handed over but not yet weighed into the batcher.
pub(crate) const HANDED_OVER_MAX: usize = 16_384;

/// Why a proposal has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was changed.
    #[error("no leader with a quorum of voters could be reached; nothing was changed")]
    NoQuorum,
    /// The change may come about, or not.
    #[error("the leader was lost before it answered; whether the change was made is open")]
    Unknown,
    #[error("the proposal has {bytes} bytes, more than the {limit} that one entry may have")]
    TooLarge { bytes: usize, limit: usize },
    /// Nothing was changed; reads go on.
    #[error("the leader's disk is full; nothing was changed")]
    DiskFull,
    #[error("too many proposals wait for the leader; try again later")]
    Busy,
    /// Made, but not seen in time: by this node, or for `propose_visible` by another.
    #[error("the change was made, but is not yet seen everywhere it should be")]
    NotVisible,
    #[error("this node is stopping")]
    Stopping,
    #[error("this node belongs to no cluster yet")]
    NotAMember,
}

impl From<LeaderError> for ProposeError {
    fn from(error: LeaderError) -> Self {
        match error {
            LeaderError::NoLeader | LeaderError::Refused(_) => Self::NoQuorum,
            LeaderError::Unknown => Self::Unknown,
            LeaderError::DiskFull => Self::DiskFull,
        }
    }
}

/// What a proposal led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The entry's index: the revision of what it changed.
    pub index: u64,
    /// One reply per command.
    pub replies: Vec<Reply>,
}

/// One caller's commands.
pub(crate) struct Proposal {
    pub(crate) commands: Vec<Command>,
    pub(crate) reply: oneshot::Sender<Result<Proposed, ProposeError>>,
}

impl Proposal {
    pub(crate) fn weight(&self) -> Weight {
        Weight { ops: self.commands.len(), bytes: codec::encoded_bytes(&self.commands) }
    }
}

/// Gathers proposals and sends them on, until the handles are gone.
pub(crate) async fn gather(core: Arc<Core>, mut proposals: mpsc::Receiver<Proposal>) {
    let mut batcher = Batcher::new(core.options.batch.clone());
    let (done, mut finished) = mpsc::unbounded_channel::<()>();
    loop {
        let leads = core.is_leader();
        batcher.set_in_flight_limit(if leads { core.options.batch.in_flight } else { 1 });
        while let Some(batch) = batcher.take(Instant::now()) {
            send(&core, batch, leads, &done).await;
        }
        let due = batcher.due_at();
        tokio::select! {
            proposal = proposals.recv() => match proposal {
                Some(proposal) => take(&mut batcher, proposal),
                None => return,
            },
            _ = finished.recv() => batcher.finished(),
            () = sleep_until(due) => {}
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn take(batcher: &mut Batcher<Proposal>, proposal: Proposal) {
    let weight = proposal.weight();
    if let Err((proposal, why)) = batcher.push(Instant::now(), proposal, weight) {
        let error = match why {
            NotTaken::TooLarge { bytes, limit } => ProposeError::TooLarge { bytes, limit },
            NotTaken::Full => ProposeError::Busy,
        };
        // The caller may have gone.
        let _ = proposal.reply.send(Err(error));
    }
}

async fn send(
    core: &Arc<Core>,
    proposals: Vec<Proposal>,
    leads: bool,
    done: &mpsc::UnboundedSender<()>,
) {
    let mut commands = Vec::new();
    let mut shares = Vec::with_capacity(proposals.len());
    for proposal in proposals {
        shares.push((proposal.commands.len(), proposal.reply));
        commands.extend(proposal.commands);
    }
    if leads && core.log.disk_full() {
        let _ = done.send(());
        return resolve(shares, Err(ProposeError::DiskFull));
    }
    let batch = Batch::new(commands);
    // Handing over to openraft is what fixes the order, so it happens before the task begins.
    let local = if leads { core.raft.client_write_ff(batch.clone()).await.ok() } else { None };
    let (core, done) = (core.clone(), done.clone());
    tokio::spawn(async move {
        let result = match local {
            Some(written) => await_local(&core, written).await,
            None => ask_leader(&core, batch).await,
        };
        // The next batch may go before this one is applied here.
        let _ = done.send(());
        let result = match result {
            Ok(applied) => applied_here(&core, applied).await,
            Err(error) => Err(error),
        };
        resolve(shares, result);
    });
}

/// The leader has applied it; we follow, unless nobody reaches us.
async fn applied_here(core: &Core, applied: Applied) -> Result<Applied, ProposeError> {
    match tokio::time::timeout(core.options.propose_timeout, core.applied(applied.index)).await {
        Ok(true) => Ok(applied),
        Ok(false) => Err(ProposeError::Stopping),
        Err(_) => Err(ProposeError::NotVisible),
    }
}

type Written = tokio::sync::oneshot::Receiver<
    Result<
        openraft::raft::ClientWriteResponse<crate::types::TypeConfig>,
        openraft::error::ClientWriteError<crate::types::NodeId, crate::types::NodeInfo>,
    >,
>;

async fn await_local(core: &Core, written: Written) -> Result<Applied, ProposeError> {
    match tokio::time::timeout(core.options.propose_timeout, written).await {
        Ok(Ok(Ok(response))) => Ok(response.data),
        // We led when we asked: the entry may be in our log and yet be committed by another.
        Ok(Ok(Err(_))) | Err(_) => Err(ProposeError::Unknown),
        Ok(Err(_)) => Err(ProposeError::Stopping),
    }
}

async fn ask_leader(core: &Arc<Core>, batch: Batch) -> Result<Applied, ProposeError> {
    match leader::ask(core, LeaderRequest::Propose(batch), core.options.propose_timeout).await? {
        LeaderAnswer::Applied(applied) => Ok(applied),
        LeaderAnswer::Index(_) | LeaderAnswer::Done => Err(ProposeError::Unknown),
    }
}

fn resolve(
    shares: Vec<(usize, oneshot::Sender<Result<Proposed, ProposeError>>)>,
    result: Result<Applied, ProposeError>,
) {
    let mut replies = match &result {
        Ok(applied) => applied.replies.clone().into_iter(),
        Err(_) => Vec::new().into_iter(),
    };
    for (count, reply) in shares {
        let mine = match &result {
            Ok(applied) => Ok(Proposed {
                index: applied.index,
                replies: replies.by_ref().take(count).collect(),
            }),
            Err(error) => Err(error.clone()),
        };
        // The caller may have gone.
        let _ = reply.send(mine);
    }
}
