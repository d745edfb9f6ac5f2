//! From a data directory to a running Raft: what is read, what is refused.

use std::sync::Arc;

use parking_lot::Mutex;
use spanmq_port::{InstanceId, NodeId as PortNodeId, PeerPool, PortContext, Security};
use spanmq_state::view::ViewReaderFactory;
use tokio::sync::watch;

use crate::{
    IdentityError, RaftOptions,
    core::{Acquainted, Core, KnownMembers, Phase},
    handlers::Handlers,
    identity::{DataDir, NodeIdentity, Stage},
    lease::HeldLease,
    log::{LogOpenError, LogOptions, LogStore},
    machine::{self, SnapshotError, StateMachine},
    network::Networks,
    options::PortSecurity,
    transfer::Receiver,
    types::{NodeId, Raft},
};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the Raft log cannot be used")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the snapshots cannot be read")]
    Snapshots(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "the log begins behind entry {purged}, and no sound snapshot reaches that far; remove this \
         node from the cluster, empty its data directory and join again"
    )]
    SnapshotLost { purged: u64 },
    #[error("the threads for Raft cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("Raft cannot start: {0}")]
    Raft(String),
}

impl From<LogOpenError> for StartError {
    fn from(error: LogOpenError) -> Self {
        Self::Log(Box::new(error))
    }
}

impl From<SnapshotError> for StartError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshots(Box::new(error))
    }
}

/// Opens log and snapshots, and starts Raft on them.
pub(crate) async fn open(
    options: RaftOptions,
    dir: DataDir,
    identity: NodeIdentity,
) -> Result<(Arc<Core>, ViewReaderFactory), StartError> {
    let log_options = LogOptions { fatal: options.on_fatal.clone(), ..LogOptions::default() };
    let log = LogStore::open(&dir.join("raft"), &log_options)?;
    check_raft_data(&dir, &identity, &log)?;
    let loaded = machine::load_newest(&dir.join("snapshots"))?;
    let reached = loaded.last().map(|id| id.index);
    if let Some(purged) = log.purged().map(|id| id.index)
        && Some(purged) > reached
    {
        return Err(StartError::SnapshotLost { purged });
    }
    let snapshots = loaded.dir.clone();
    let (state_machine, replica, views) = StateMachine::new(loaded, options.on_fatal.clone());
    let known = Arc::new(KnownMembers::default());
    let context = port_context(&options, &identity, known.clone());
    let pool = PeerPool::new(context.clone());
    let me = identity.node_id;
    let config = options.raft_config().validate();
    let config = config.map_err(|error| StartError::Raft(error.to_string()))?;
    let network = Networks { pool: pool.clone() };
    let raft = Raft::new(me, Arc::new(config), network, log.clone(), state_machine)
        .await
        .map_err(|error| StartError::Raft(error.to_string()))?;
    let metrics = raft.metrics();
    elect_at_once_if_alone(&raft, me).await;
    let core = Core {
        dir,
        identity: Mutex::new(identity),
        me,
        log,
        replica,
        metrics,
        raft,
        context,
        pool,
        known,
        port: Mutex::new(None),
        advertised: Mutex::new(options.advertise.clone().unwrap_or_default()),
        lease: Arc::new(HeldLease::default()),
        leading: Mutex::new(None),
        leading_changed: tokio::sync::Notify::new(),
        handlers: Handlers::default(),
        receiver: Receiver::new(snapshots),
        phase: watch::Sender::new(Phase::Joining),
        changing: tokio::sync::Mutex::new(()),
        options,
    };
    Ok((Arc::new(core), views))
}

/// A member without its Raft data has lost its vote; one that has left does not come back.
fn check_raft_data(
    dir: &DataDir,
    identity: &NodeIdentity,
    log: &LogStore,
) -> Result<(), IdentityError> {
    let node = identity.node_name.clone();
    match identity.cluster.as_ref().map(|cluster| cluster.stage) {
        Some(Stage::Member) if log.is_pristine() => {
            Err(IdentityError::RaftDataGone { node, dir: dir.path().to_owned() })
        }
        Some(Stage::Left) => Err(IdentityError::HasLeft { node, dir: dir.path().to_owned() }),
        _ => Ok(()),
    }
}

fn port_context(
    options: &RaftOptions,
    identity: &NodeIdentity,
    known: Arc<KnownMembers>,
) -> PortContext {
    let told = spanmq_port::Identity {
        cluster_id: identity.cluster.as_ref().map(|cluster| spanmq_port::ClusterId(cluster.id)),
        cluster_name: options.cluster_name.clone(),
        node_id: PortNodeId(identity.node_id),
        node_name: identity.node_name.clone(),
        instance: InstanceId(identity.instance),
        incarnation: identity.incarnation,
    };
    let security = match &options.security {
        PortSecurity::Given(credentials) => Security::Tls(credentials.clone()),
        // The cluster's own certificates are put in before the port listens or dials.
        PortSecurity::ClusterCa | PortSecurity::Dev => Security::Dev,
    };
    let (dial_map, tuning) = (options.dial_map.clone(), options.port.clone());
    PortContext::new(told, security, Acquainted(known), dial_map, tuning)
}

/// Nobody else could vote, so there is no silence to wait for.
async fn elect_at_once_if_alone(raft: &Raft, me: NodeId) {
    let alone = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        let voters: Vec<NodeId> = metrics.membership_config.voter_ids().collect();
        voters == [me] && metrics.current_leader != Some(me)
    };
    if alone && let Err(error) = raft.trigger().elect().await {
        tracing::error!(%error, "raft ended at its start");
    }
}
