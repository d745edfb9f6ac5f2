//! `spanmq start`: the parts in the order in which they need each other, until a signal ends them.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use serde::Serialize;
use spanmq_api::Api;
use spanmq_config::{Config, Loaded, LogFormatter, LogLevel};
use spanmq_linking::{Beat, Linking};
use spanmq_mqtt::ports::{Identity, Ports};
use spanmq_mqtt::{Broker, BrokerHandle};
use spanmq_raft::RaftNode;
use tokio::signal::unix::{SignalKind, signal};

use crate::seed::{first_administrator, put_limits, seed};
use crate::wiring::access::{Access, AccessPort};
use crate::wiring::api::{ApiPort, QUESTION};
use crate::wiring::broker::RaftPort;
use crate::wiring::links::{LinkPort, LinkingPorts};
use crate::wiring::peers::{PeerInbox, PeerPort};
use crate::wiring::{Slot, links, sessions, settings};
use crate::{alarms, link_topics, upkeep, watch};

/// How long clients may take to be told good-bye.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Heartbeats of remote actors are reported to the leader so often (W-28).
const BEATS_PERIOD: Duration = Duration::from_secs(2);
/// Kind of heartbeat reports on the query stream.
const BEATS: u16 = spanmq_raft::APPLICATION_KINDS + 3;

/// Runs a node until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub(crate) fn run(loaded: Loaded, exit_with_stdin: bool) -> anyhow::Result<()> {
    let Loaded { config, warnings, .. } = loaded;
    log(&config);
    for warning in warnings {
        match warning.is_notice() {
            true => tracing::info!("configuration: {warning}"),
            false => tracing::warn!("configuration: {warning}"),
        }
    }
    // Every TLS user in this process takes ring; a second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    private_dir(&config.node.data_dir)?;
    let access = Access::load(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("node")
        .enable_all()
        .build()?;
    let stop = stop_requests(exit_with_stdin);
    let system = actix_rt::System::new();
    system.block_on(async {
        let node = Node::start(config, access, runtime.handle().clone()).await?;
        node.announce()?;
        stop.await;
        node.stop().await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// The parts of a running node.
struct Node {
    config: Config,
    raft: RaftNode,
    broker: BrokerHandle,
    linking: Arc<Linking>,
    api: Api,
}

impl Node {
    async fn start(
        config: Config,
        access: Arc<Access>,
        runtime: tokio::runtime::Handle,
    ) -> anyhow::Result<Self> {
        let raft = RaftNode::start(settings::raft(&config)?)?;
        let broker_slot: Slot<BrokerHandle> = Slot::default();
        let linking_slot: Slot<Arc<Linking>> = Slot::default();
        serve_peers(&raft, &broker_slot, &runtime);
        raft.ready().await.map_err(anyhow::Error::msg)?;

        let name: Arc<str> = config.node.name.as_str().into();
        let link_port = Arc::new(LinkPort::new(linking_slot.clone()));
        let (broker, peers) =
            start_broker(&config, &raft, link_port.clone(), access.clone(), &runtime)?;
        broker_slot.set(broker.clone());
        sessions::follow(&raft, &broker, &runtime).await;
        watch::reload_on_hangup(config.clone(), access.clone(), broker.clone());

        let ports = Arc::new(LinkingPorts {
            broker: broker.clone(),
            raft: raft.clone(),
            node: name.clone(),
        });
        let settings = settings::linking(&config, raft.id());
        let linking = Linking::start(&settings, ports.ports(), runtime.clone())?;
        let linking = Arc::new(linking);
        linking_slot.set(linking.clone());
        follow_links(&raft, &linking, link_port, &config, &runtime);
        report_beats(&raft, &linking, config.links.actor_ttl, &runtime);

        let port = Arc::new(ApiPort {
            raft: raft.clone(),
            linking: linking.clone(),
            broker: broker.clone(),
            access,
            audit: Arc::new(spanmq_api::AuditLog::default()),
            name,
            cluster: config.cluster.name.as_str().into(),
        });
        serve_questions(&raft, port.clone());
        seed(&raft, &config).await?;
        put_limits(&raft, &config).await;
        first_administrator(&port, &config).await?;
        alarms::watch(&raft, &broker, peers, &runtime);
        upkeep::start(&raft, &broker, &port, &config, &runtime);
        link_topics::publish(port.clone(), broker.clone(), &runtime);
        let api = spanmq_api::serve(settings::api(&config)?, port)
            .context("the API cannot listen where `dashboard.listeners` says")?;
        Ok(Self { config, raft, broker, linking, api })
    }

    /// Says where the node listens: in the log, and for scripts in `addresses.json`.
    fn announce(&self) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Addresses {
            mqtt: BTreeMap<String, SocketAddr>,
            api: Option<SocketAddr>,
            api_https: Option<SocketAddr>,
            cluster: String,
        }
        let bound = self.broker.bound().iter();
        let addresses = Addresses {
            mqtt: bound.map(|b| (b.name.to_string(), b.address)).collect(),
            api: self.api.address,
            api_https: self.api.https_address,
            cluster: self.raft.cluster_addr(),
        };
        let text = serde_json::to_vec_pretty(&addresses)?;
        spanmq_segment::replace_file(&self.config.node.data_dir.join("addresses.json"), &text)?;
        let status = self.raft.status();
        tracing::info!(
            node = %self.config.node.name.as_str(),
            cluster = %self.config.cluster.name.as_str(),
            members = status.members.len(),
            failures_tolerated = status.failures_tolerated,
            "ready"
        );
        let mut out = std::io::stdout().lock();
        for (name, address) in &addresses.mqtt {
            writeln!(out, "mqtt {name} {address}")?;
        }
        if let Some(api) = addresses.api {
            writeln!(out, "api http://{api}")?;
        }
        if let Some(api) = addresses.api_https {
            writeln!(out, "api https://{api}")?;
        }
        writeln!(out, "cluster {}", addresses.cluster)?;
        Ok(())
    }

    /// Links, sessions, listeners, HTTP, Raft, in this order.
    async fn stop(self) {
        tracing::info!("stopping");
        #[cfg(feature = "testing")]
        let _ = tokio::task::spawn_blocking(|| fail::fail_point!("node::stop")).await;
        self.linking.stop().await;
        self.broker.stop(STOP_LIMIT).await;
        self.api.stop().await;
        self.raft.shutdown().await;
        tracing::info!("stopped");
    }
}

/// The MQTT side with everything it needs of the others.
fn start_broker(
    config: &Config,
    raft: &RaftNode,
    link_port: Arc<LinkPort>,
    access: Arc<Access>,
    runtime: &tokio::runtime::Handle,
) -> anyhow::Result<(BrokerHandle, Arc<PeerPort>)> {
    let identity = Identity {
        node: raft.id(),
        name: config.node.name.as_str().into(),
        incarnation: raft.incarnation(),
    };
    let raft_port = Arc::new(RaftPort(raft.clone()));
    let access_port = Arc::new(AccessPort { access, runtime: runtime.clone(), raft: raft.clone() });
    let spool_bytes = usize::try_from(config.limits.peer_spool.0).unwrap_or(usize::MAX);
    let data_dir = &config.node.data_dir;
    let peers = PeerPort::new(raft.clone(), runtime.clone(), data_dir, spool_bytes);
    let ports = Ports {
        identity,
        propose: raft_port.clone(),
        routes: raft_port.clone(),
        peers: peers.clone(),
        link_out: link_port.clone(),
        link_in: link_port,
        authenticate: access_port.clone(),
        authorize: access_port,
        retained: raft_port,
    };
    let broker_config = settings::broker(config)?;
    let gauge = broker_config.connections.memory_is_high.clone();
    let broker = Broker::start(broker_config, ports)?;
    watch::watch_memory(config, gauge);
    Ok((broker, peers))
}

/// Messages and sessions that other nodes send or ask for.
fn serve_peers(raft: &RaftNode, broker: &Slot<BrokerHandle>, runtime: &tokio::runtime::Handle) {
    raft.peers().on_wire(PeerInbox {
        broker: broker.clone(),
        runtime: runtime.clone(),
        receivers: Mutex::new(HashMap::new()),
    });
    sessions::serve(raft, broker);
}

fn serve_questions(raft: &RaftNode, port: Arc<ApiPort>) {
    raft.peers().on_query(QUESTION, move |_, body| {
        let port = port.clone();
        async move { Ok(spanmq_api::answer(&*port, &body).await.unwrap_or_default().into()) }
    });
}

/// Hands the replicated link list to linking whenever it has changed; after the first one, what
/// clients have published meanwhile goes into the buffers of its links.
fn follow_links(
    raft: &RaftNode,
    linking: &Arc<Linking>,
    port: Arc<LinkPort>,
    config: &Config,
    runtime: &tokio::runtime::Handle,
) {
    let (raft, linking) = (raft.clone(), linking.clone());
    let cluster = config.cluster.name.as_str().to_owned();
    runtime.spawn(async move {
        let mut applied = raft.applied();
        let mut seen = None;
        loop {
            let found = {
                let state = raft.state();
                let revisions: Vec<u64> = state.links().list().map(|l| l.revision).collect();
                let version = (state.links().revision(), revisions);
                (seen.as_ref() != Some(&version))
                    .then(|| (links::entries(state.links().list(), &cluster), version))
            };
            if let Some((entries, version)) = found {
                if seen.is_none() {
                    linking.begin(entries).await;
                    port.open();
                } else {
                    linking.configure(entries);
                }
                seen = Some(version);
            }
            if applied.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Sends what was heard of remote actors to the leader, all actors together.
fn report_beats(
    raft: &RaftNode,
    linking: &Arc<Linking>,
    actor_ttl: Duration,
    runtime: &tokio::runtime::Handle,
) {
    // Two reports must fit between a heartbeat and the end of the actor's time.
    let period = BEATS_PERIOD.min(actor_ttl / 6);
    let receiving = linking.clone();
    raft.peers().on_query(BEATS, move |_, body| {
        if let Ok(beats) = serde_json::from_slice::<Vec<Beat>>(&body) {
            receiving.heard(beats);
        }
        async { Ok(bytes::Bytes::new()) }
    });
    let (raft, linking) = (raft.clone(), linking.clone());
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(period).await;
            let beats = linking.beats();
            if beats.is_empty() {
                continue;
            }
            if raft.is_leader() {
                linking.heard(beats);
            } else if let Some(leader) = raft.status().leader {
                let body = serde_json::to_vec(&beats).unwrap_or_default().into();
                // Lost reports are made up for by the next ones.
                let _ = raft.peers().query(leader, BEATS, body, BEATS_PERIOD).await;
            }
        }
    });
}

fn log(config: &Config) {
    let console = &config.log.console;
    if !console.enable {
        return;
    }
    let level = match console.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The libraries below us report what we handle and log ourselves.
    let filter = format!("{level},openraft=off,ntex=warn,ntex_io=warn,actix_server=warn,mio=warn");
    let filter = std::env::var("RUST_LOG").unwrap_or(filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second subscriber (in tests) is refused and harmless.
    let _ = match console.formatter {
        LogFormatter::Text => builder.try_init(),
        LogFormatter::Json => builder.json().try_init(),
    };
}

/// The data folder, for nobody else's eyes (SECURITY A8).
fn private_dir(dir: &Path) -> anyhow::Result<()> {
    spanmq_segment::create_private_dir(dir)
        .with_context(|| format!("the data folder {} cannot be used", dir.display()))
}

/// SIGTERM or SIGINT; a second one ends the process at once. With `--exit-with-stdin` also the end
/// of standard input, so that a node does not outlive whoever started it.
fn stop_requests(exit_with_stdin: bool) -> impl Future<Output = ()> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<()>();
    if exit_with_stdin {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = std::io::stdin().read_to_end(&mut rest);
            let _ = sender.send(());
        });
    }
    async move {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::warn!("signals cannot be caught; only SIGKILL ends this process");
            let _ = receiver.recv().await;
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = receiver.recv() => {}
        }
        drop(sender);
        actix_rt::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("second signal: ending at once");
            std::process::exit(130);
        });
    }
}
