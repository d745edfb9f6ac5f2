//! How a node comes to its cluster: founds it, is let in, or comes back, and announces itself.
//! What follows from the membership is in `members`.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use openraft::error::{InitializeError, RaftError};
use spanmq_port::{
    Acceptor, CaError, ClusterId, Credentials, EnrolError, JoinToken, ListenError, Port, Purpose,
    RequestError, Security, enrol,
};
use spanmq_state::{
    Batch, Command, Reply,
    command::{ClusterCommand, ClusterReply, Member},
};
use tokio::time::Instant;

use crate::{
    IdentityError, codec,
    core::{Core, Phase},
    handlers::{Joins, Queries, RaftRequests, Wires},
    identity::{ClusterIdentity, Stage},
    join::JoinRequest,
    kinds,
    leader::{self, LeaderRequest},
    options::{Formation, PortSecurity},
};

/// Pause between two rounds of asking all seeds.
const ROUND_PAUSE: Duration = Duration::from_millis(200);
const ASK_TIMEOUT: Duration = Duration::from_secs(8);
const CERTIFICATES: &str = "cluster-tls";

/// Why a node does not come to its cluster.
#[derive(Debug, thiserror::Error)]
pub enum FormationError {
    #[error(
        "this node belongs to cluster {name:?} already; `--init` and `cluster init` make a new cluster from an empty data directory only"
    )]
    AlreadyMember { name: String },
    #[error("no member let this node in within {limit:?}; the last answer was: {last}")]
    JoinTimeout { limit: Duration, last: String },
    #[error("this node was refused: {reason}")]
    Refused { reason: String },
    #[error("a join token is needed; print one with `spanmq cluster token` on a member")]
    TokenMissing,
    #[error(
        "the cluster's certificates are missing in the data directory; restore them, or empty it and join again"
    )]
    CertificatesMissing,
    #[error(transparent)]
    Certificates(#[from] CaError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("Raft refused to begin: {0}")]
    Raft(String),
}

/// Opens the cluster port, once the node knows how to protect it.
pub(crate) async fn listen(core: &Arc<Core>, address: SocketAddr) -> Result<(), FormationError> {
    if core.port.lock().is_some() {
        return Ok(());
    }
    let acceptor = Acceptor::new()
        .raft(RaftRequests(Arc::downgrade(core)))
        .query(Queries(Arc::downgrade(core)))
        .join(Joins(Arc::downgrade(core)))
        .wires(Wires(Arc::downgrade(core)));
    let port = Port::listen(address, core.context.clone(), acceptor).await?;
    let in_use = port.local_addr().to_string();
    *core.advertised.lock() = core.options.advertise.clone().unwrap_or(in_use);
    *core.port.lock() = Some(port);
    Ok(())
}

/// Brings the node to its cluster, as flags and data directory say.
pub(crate) async fn form(core: Arc<Core>) {
    let cluster = core.identity.lock().cluster.clone();
    let result = match (cluster, core.options.formation.clone()) {
        (Some(cluster), formation) => come_back(&core, &cluster, &formation).await,
        (None, Formation::Init) => found(&core).await,
        (None, Formation::Join { seeds, token, timeout }) => {
            join(&core, &seeds, token.as_ref(), timeout).await
        }
        (None, Formation::Wait) => {
            core.phase.send_replace(Phase::Waiting);
            return;
        }
    };
    if let Err(error) = result {
        fail(&core, &error);
    }
}

fn fail(core: &Core, error: &FormationError) {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    tracing::error!(reason = %text, "this node could not come to its cluster");
    core.phase.send_replace(Phase::Failed(text));
}

async fn come_back(
    core: &Arc<Core>,
    cluster: &ClusterIdentity,
    formation: &Formation,
) -> Result<(), FormationError> {
    if !matches!(formation, Formation::Wait) {
        tracing::info!(cluster = %cluster.name, "this node belongs to its cluster already; --init and --join are ignored");
    }
    if let PortSecurity::ClusterCa = core.options.security {
        let loaded = Credentials::load(&core.dir.join(CERTIFICATES))?;
        let credentials = loaded.ok_or(FormationError::CertificatesMissing)?;
        core.context.replace_security(Security::Tls(credentials));
    }
    core.context.update_identity(|identity| identity.cluster_id = Some(ClusterId(cluster.id)));
    listen(core, core.options.listen).await?;
    match cluster.stage {
        Stage::Founding => initialize(core, cluster).await?,
        // The answer was lost, or we were stopped before our log came: ask again, as often as
        // needed. Those we ask know us already, or let us in now.
        Stage::Joining => {
            if let Formation::Join { seeds, timeout, .. } = formation {
                ask_seeds(core, seeds, *timeout).await?;
            }
        }
        Stage::Member | Stage::Left => {}
    }
    become_member(core);
    Ok(())
}

/// `--init`, and `cluster init` on a node that waits.
pub(crate) async fn found(core: &Arc<Core>) -> Result<(), FormationError> {
    let known = core.identity.lock().cluster.clone();
    if let Some(known) = known {
        return Err(FormationError::AlreadyMember { name: known.name });
    }
    let name = core.options.cluster_name.clone();
    if let PortSecurity::ClusterCa = core.options.security {
        let dir = core.dir.join(CERTIFICATES);
        // They may be there from a start that did not come further.
        let credentials = match Credentials::load(&dir)? {
            Some(known) => known,
            None => Credentials::init(&dir, &name, &core.options.node_name)?,
        };
        core.context.replace_security(Security::Tls(credentials));
    }
    let cluster = ClusterIdentity { id: rand::random(), name, stage: Stage::Founding };
    core.update_identity(|identity| identity.cluster = Some(cluster.clone()))?;
    core.context.update_identity(|identity| identity.cluster_id = Some(ClusterId(cluster.id)));
    listen(core, core.options.listen).await?;
    initialize(core, &cluster).await?;
    become_member(core);
    Ok(())
}

async fn initialize(core: &Arc<Core>, cluster: &ClusterIdentity) -> Result<(), FormationError> {
    let members = BTreeMap::from([(core.me, core.info())]);
    match core.raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(error) => return Err(FormationError::Raft(error.to_string())),
    }
    set_stage(core, Stage::Member)?;
    let command = ClusterCommand::Found {
        cluster_id: u128::from_be_bytes(cluster.id),
        name: cluster.name.as_str().into(),
    };
    let founded = leader::ask(
        core,
        LeaderRequest::Propose(Batch::from(Command::Cluster(command))),
        core.options.propose_timeout,
    )
    .await;
    founded.map(drop).map_err(|error| FormationError::Raft(error.to_string()))
}

pub(crate) fn set_stage(core: &Core, stage: Stage) -> Result<(), IdentityError> {
    core.update_identity(|identity| {
        if let Some(cluster) = &mut identity.cluster {
            cluster.stage = stage;
        }
    })
}

async fn join(
    core: &Arc<Core>,
    seeds: &[String],
    token: Option<&JoinToken>,
    timeout: Option<Duration>,
) -> Result<(), FormationError> {
    core.phase.send_replace(Phase::Joining);
    let began = Instant::now();
    if let PortSecurity::ClusterCa = core.options.security {
        let credentials = get_certificate(core, seeds, token, timeout).await?;
        core.context.replace_security(Security::Tls(credentials));
    }
    // We listen before we ask: the leader calls us as soon as it has let us in. Strangers are
    // refused as long as we belong to no cluster.
    listen(core, core.options.listen).await?;
    ask_seeds(core, seeds, timeout.map(|limit| limit.saturating_sub(began.elapsed()))).await?;
    become_member(core);
    Ok(())
}

async fn get_certificate(
    core: &Core,
    seeds: &[String],
    token: Option<&JoinToken>,
    timeout: Option<Duration>,
) -> Result<Arc<Credentials>, FormationError> {
    let dir = core.dir.join(CERTIFICATES);
    if let Some(known) = Credentials::load(&dir)? {
        return Ok(known);
    }
    let token = token.ok_or(FormationError::TokenMissing)?;
    let (options, began) = (&core.options, Instant::now());
    loop {
        let mut last = String::from("no seed was given");
        for seed in seeds {
            let enrolled =
                enrol(seed, &options.dial_map, token, &options.node_name, &dir, &options.port);
            match enrolled.await {
                Ok(credentials) => return Ok(credentials),
                Err(EnrolError::Store(error)) => return Err(error.into()),
                Err(error) => last = with_causes(&error),
            }
        }
        pause_or_give_up(began, timeout, &last).await?;
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn pause_or_give_up(
    began: Instant,
    timeout: Option<Duration>,
    last: &str,
) -> Result<(), FormationError> {
    if let Some(limit) = timeout
        && began.elapsed() >= limit
    {
        return Err(FormationError::JoinTimeout { limit, last: last.to_owned() });
    }
    tracing::debug!(reason = last, "not let in yet");
    tokio::time::sleep(ROUND_PAUSE).await;
    Ok(())
}

/// Asks the seeds in turn until one lets us in, then adopts its cluster.
async fn ask_seeds(
    core: &Arc<Core>,
    seeds: &[String],
    timeout: Option<Duration>,
) -> Result<(), FormationError> {
    let began = Instant::now();
    let request = JoinRequest { node: core.me, info: core.info() };
    // `cluster init` may come while we ask others that wait as we do.
    while !is_member(core) {
        let mut last = String::from("no seed was given");
        for seed in seeds.iter().filter(|seed| **seed != request.info.addr) {
            let body = codec::encode(&request).into();
            let asked = core.pool.ask(seed, Purpose::Join, kinds::JOIN, body, ASK_TIMEOUT).await;
            match asked {
                Ok((peer, _)) => {
                    let id = peer.cluster_id.map(|id| id.0);
                    return id.map_or(Ok(()), |id| adopt(core, id));
                }
                Err(RequestError::Failed { code: kinds::REFUSED, message }) => {
                    return Err(FormationError::Refused { reason: message });
                }
                Err(error) => last = format!("{seed}: {error}"),
            }
        }
        pause_or_give_up(began, timeout, &last).await?;
    }
    Ok(())
}

fn is_member(core: &Core) -> bool {
    let identity = core.identity.lock();
    identity.cluster.as_ref().is_some_and(|cluster| cluster.stage != Stage::Joining)
}

fn adopt(core: &Core, id: [u8; 16]) -> Result<(), FormationError> {
    let name = core.options.cluster_name.clone();
    core.update_identity(|identity| {
        identity.cluster.get_or_insert(ClusterIdentity { id, name, stage: Stage::Joining });
    })?;
    core.context.update_identity(|identity| identity.cluster_id = Some(ClusterId(id)));
    Ok(())
}

fn become_member(core: &Arc<Core>) {
    core.phase.send_replace(Phase::Member);
    tokio::spawn(announce(core.clone()));
}

/// Tells the cluster of this run of the node: once it is a member with a leader.
async fn announce(core: Arc<Core>) {
    loop {
        // Our log must have begun: then our vote counts from now on (see `Stage::Member`).
        if core.metrics_until(ROUND_PAUSE, |now| now.last_log_index.is_some()).await {
            break;
        }
    }
    if let Err(error) = set_stage(&core, Stage::Member) {
        tracing::error!(%error, "the identity file cannot be written");
    }
    while *core.phase.borrow() == Phase::Member {
        if tell_address(&core).await && tell_member(&core).await {
            return;
        }
        tokio::time::sleep(ROUND_PAUSE).await;
    }
}

async fn tell_member(core: &Arc<Core>) -> bool {
    let command = Command::Cluster(ClusterCommand::PutMember(member(core)));
    let request = LeaderRequest::Propose(Batch::from(command));
    match leader::ask(core, request, core.options.propose_timeout).await {
        Ok(leader::LeaderAnswer::Applied(applied)) => {
            let reply = applied.replies.first();
            if !matches!(
                reply,
                Some(Reply::Cluster(ClusterReply::Done { .. } | ClusterReply::Unchanged))
            ) {
                tracing::error!(?reply, "the cluster did not take this node's announcement");
            }
            true
        }
        other => {
            tracing::debug!(?other, "announcing again");
            false
        }
    }
}

fn member(core: &Core) -> Member {
    let identity = core.identity.lock();
    let told = &core.options.announcement;
    Member {
        id: core.me,
        name: identity.node_name.as_str().into(),
        disk_id: u128::from_be_bytes(identity.instance),
        incarnation: identity.incarnation,
        cluster_addr: core.advertised.lock().as_str().into(),
        api_addr: told.api_addr.as_str().into(),
        mqtt_addrs: told.mqtt_addrs.iter().map(|addr| addr.as_str().into()).collect(),
        version: told.version.as_str().into(),
        features: told.features,
    }
}

/// A leader that knows only our old address cannot reach us, so we ask whom we can reach.
/// True when the membership has our present address.
async fn tell_address(core: &Arc<Core>) -> bool {
    let info = core.info();
    match core.members().get(&core.me) {
        Some(known) if *known == info => return true,
        Some(_) => {}
        // Our own admission has not reached us yet.
        None => return false,
    }
    let body = bytes::Bytes::from(codec::encode(&JoinRequest { node: core.me, info }));
    for peer in core.pool.all() {
        let told = peer.query(kinds::MOVED, body.clone(), core.options.propose_timeout).await;
        match told {
            Ok(_) => return true,
            Err(error) => {
                tracing::debug!(node = %peer.node(), %error, "the new address is not told yet");
            }
        }
    }
    // Alone there is nobody else to tell.
    let request = LeaderRequest::Admit(JoinRequest { node: core.me, info: core.info() });
    leader::ask(core, request, core.options.propose_timeout).await.is_ok()
}
