//! Nodes in this process, on loopback, in temporary directories.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use spanmq_raft::{Formation, PortSecurity, ProposeError, RaftNode, RaftOptions, StartError};
use spanmq_state::{
    Command, Reply,
    command::{ClusterCommand, RouteChange, RouteCommand},
};
use tempfile::TempDir;

/// Longest wait for anything; generous, because the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// One node's directory and flags; the node itself comes and goes.
pub struct Site {
    pub dir: TempDir,
    pub name: String,
    pub tune: fn(&mut RaftOptions),
    pub port: u16,
}

/// `RUST_LOG` shows what the nodes do.
fn log_if_asked() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        // The second test to ask finds it done.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
}

/// A port that is free now: restarted nodes keep their address. Not one of those that the system
/// gives to whoever asks for any: another process might get it before the node binds it.
pub fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    // Processes of tests that run one after the other start at different places.
    let first = u16::try_from(std::process::id() % 200).unwrap() * 100;
    let mut tried = std::iter::repeat_with(|| {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        10_000 + first.wrapping_add(next) % 20_000
    });
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    tried.by_ref().take(20_000).find(is_free).expect("one of 20,000 ports is free")
}

impl Site {
    pub fn new(name: &str) -> Self {
        let (dir, name) = (tempfile::tempdir().unwrap(), format!("{name}@test"));
        Self { dir, name, tune: |_| {}, port: free_port() }
    }

    pub fn tuned(name: &str, tune: fn(&mut RaftOptions)) -> Self {
        Self { tune, ..Self::new(name) }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn options(&self, formation: Formation) -> RaftOptions {
        let listen = ([127, 0, 0, 1], self.port).into();
        let mut options = RaftOptions::new(self.data_dir(), &self.name, "east", listen);
        options.security = PortSecurity::Dev;
        options.formation = formation;
        // The machine is slow and shared: a leader is not to be lost because a test compiles.
        options.heartbeat = Duration::from_millis(200);
        options.election = Duration::from_millis(2_000);
        (self.tune)(&mut options);
        options
    }

    pub fn start(&self, formation: Formation) -> RaftNode {
        log_if_asked();
        RaftNode::start(self.options(formation)).unwrap()
    }

    pub fn init(&self) -> RaftNode {
        self.start(Formation::Init)
    }

    pub fn join(&self, seeds: &[&RaftNode]) -> RaftNode {
        self.start(join(seeds))
    }

    /// Starts again once the last run's lock is gone.
    pub async fn restart(&self, formation: Formation) -> RaftNode {
        let options = self.options(formation);
        eventually("the directory is free", async || match RaftNode::start(options.clone()) {
            Ok(node) => Some(node),
            Err(StartError::Identity(error)) if error.to_string().contains("another process") => {
                None
            }
            Err(error) => panic!("{error:?}"),
        })
        .await
    }
}

pub fn join(seeds: &[&RaftNode]) -> Formation {
    let seeds = seeds.iter().map(|node| node.cluster_addr()).collect();
    Formation::Join { seeds, token: None, timeout: Some(PATIENCE) }
}

pub fn setting(key: &str, value: &str) -> Command {
    let (key, value) = (key.into(), Some(value.into()));
    Command::Cluster(ClusterCommand::PutSetting { key, value })
}

pub fn value(node: &RaftNode, key: &str) -> Option<String> {
    node.state().cluster().setting(key).map(|setting| setting.value.to_string())
}

/// Announces the node's routes and adds one.
pub fn route(node: &RaftNode, filter: &str) -> Vec<Command> {
    let (id, incarnation) = (node.id(), node.incarnation());
    vec![
        Command::Route(RouteCommand::ReplaceNode {
            node: id,
            incarnation,
            part: 0,
            last: true,
            routes: vec![],
        }),
        Command::Route(RouteCommand::RouteBatch {
            node: id,
            incarnation,
            changes: vec![RouteChange::Add(filter.into())],
        }),
    ]
}

/// Proposes until it succeeds; settings may be put twice.
pub async fn put(node: &RaftNode, key: &str, what: &str) -> Vec<Reply> {
    eventually("a proposal succeeds", async || node.propose(vec![setting(key, what)]).await.ok())
        .await
}

pub async fn put_once(node: &RaftNode, key: &str, what: &str) -> Result<Vec<Reply>, ProposeError> {
    node.propose(vec![setting(key, what)]).await
}

pub async fn holds(what: &str, mut check: impl FnMut() -> bool) {
    eventually(what, async || check().then_some(())).await;
}

/// Waits, not longer than [`PATIENCE`], until `check` gives something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < until, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn ready(nodes: &[&RaftNode]) {
    for node in nodes {
        tokio::time::timeout(PATIENCE, node.ready()).await.expect("in time").unwrap();
    }
}

/// All nodes have applied the same, and agree on what that led to (CHAOS P9).
pub async fn agree(nodes: &[&RaftNode]) {
    eventually("the nodes agree", async || {
        let seen: Vec<_> = nodes.iter().map(|node| node.status()).collect();
        let first = &seen[0];
        let same = |other: &spanmq_raft::Status| {
            other.applied != first.applied || other.digest == first.digest
        };
        assert!(seen.iter().all(same), "equal index, other state");
        seen.iter().all(|other| other.applied == first.applied).then_some(())
    })
    .await;
}

pub async fn voters(node: &RaftNode, count: usize) {
    eventually(&format!("{count} voters"), async || {
        let status = node.status();
        let voters = status.members.iter().filter(|member| member.voter).count();
        (voters == count && !status.changing).then_some(())
    })
    .await;
}

/// Three nodes that vote.
pub async fn three(sites: &[Site; 3]) -> [RaftNode; 3] {
    let first = sites[0].init();
    ready(&[&first]).await;
    let second = sites[1].join(&[&first]);
    ready(&[&second]).await;
    let third = sites[2].join(&[&second]);
    ready(&[&third]).await;
    voters(&first, 3).await;
    [first, second, third]
}
