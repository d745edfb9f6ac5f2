//! From the configuration of a node to the settings of its parts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use spanmq_api::ApiConfig;
use spanmq_config::{
    Config, DenyAction as ConfigDeny, Durability as ConfigDurability, Listener, ListenerKind,
    MinorityMode as ConfigMinority, ServerTls, SharedStrategy as ConfigStrategy,
    SubscribeVisibility, TlsVerify,
};
use spanmq_link_protocol::expiry::ExpirySettings;
use spanmq_linking::LinkingConfig;
use spanmq_mqtt::config::{
    BrokerConfig, ConnectionLimits, DenyAction, Durability, ListenerConfig, Minority, StoreConfig,
    TlsConfig, Transport, Visibility, WsConfig,
};
use spanmq_port::{Credentials, DialMap, GivenFiles, JoinToken};
use spanmq_raft::{Formation, PortSecurity, RaftOptions};
use spanmq_session::{Limits, SharedStrategy};

/// Descriptors kept for files, peers and the API (SECURITY L4).
const DESCRIPTORS_RESERVED: u64 = 256;

pub(crate) fn raft(config: &Config) -> anyhow::Result<RaftOptions> {
    let cluster = &config.cluster;
    let mut options = RaftOptions::new(
        config.node.data_dir.join("raft"),
        config.node.name.as_str(),
        cluster.name.as_str(),
        cluster.listen.0,
    );
    // With port 0 the real port is known only after the bind; the host is that of the node.
    options.advertise = match (&cluster.advertise, cluster.listen.0.port()) {
        (Some(advertise), _) => Some(advertise.to_string()),
        (None, 0) => None,
        (None, port) => Some(config.advertised(port).to_string()),
    };
    options.formation = formation(config)?;
    options.security = security(config)?;
    if let Some(path) = &cluster.dial_map {
        options.dial_map = DialMap::read(path)?;
    }
    options.heartbeat = config.raft.heartbeat_interval;
    options.election = config.raft.election_timeout * 2;
    options.snapshot_after = config.raft.snapshot_after_entries;
    options.voters_max = cluster.voters_max as usize;
    Ok(options)
}

/// `--init` is the default for a first start without `--join` in `--dev`.
fn formation(config: &Config) -> anyhow::Result<Formation> {
    let join = &config.cluster.join;
    if config.cluster.init {
        return Ok(Formation::Init);
    }
    if join.seeds.is_empty() {
        return Ok(if config.dev { Formation::Init } else { Formation::Wait });
    }
    let token = match &join.token {
        Some(token) => {
            let text = read_secret(token).context("cluster.join.token")?;
            Some(JoinToken::parse(text.trim()).context("cluster.join.token")?)
        }
        None => None,
    };
    Ok(Formation::Join {
        seeds: join.seeds.iter().map(ToString::to_string).collect(),
        token,
        timeout: Some(join.timeout),
    })
}

fn security(config: &Config) -> anyhow::Result<PortSecurity> {
    if config.dev {
        return Ok(PortSecurity::Dev);
    }
    let Some(ssl) = &config.cluster.ssl else { return Ok(PortSecurity::ClusterCa) };
    let file = |path: &Option<PathBuf>, key: &str| {
        path.clone().with_context(|| format!("cluster.ssl.{key} is missing"))
    };
    let files = GivenFiles {
        ca: file(&ssl.cacertfile, "cacertfile")?,
        certificate: file(&ssl.certfile, "certfile")?,
        key: file(&ssl.keyfile, "keyfile")?,
        member_name: None,
    };
    Ok(PortSecurity::Given(Credentials::given(&files)?))
}

/// A secret is literal, or `file://PATH`.
pub(crate) fn read_secret(secret: &spanmq_config::Secret) -> anyhow::Result<String> {
    let text = secret.reveal();
    match text.strip_prefix("file://") {
        Some(path) => {
            let content = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
            Ok(content.trim_end().to_owned())
        }
        None => Ok(text.to_owned()),
    }
}

pub(crate) fn broker(config: &Config) -> anyhow::Result<BrokerConfig> {
    let listeners =
        config.listeners.enabled().map(|l| listener(config, &l)).collect::<Result<_, _>>()?;
    let limits = &config.limits;
    let infinite = |limit: spanmq_config::OrInfinity<u32>, none: usize| {
        limit.finite().map_or(none, |limit| limit as usize)
    };
    Ok(BrokerConfig {
        listeners,
        limits: sessions(config),
        connections: ConnectionLimits {
            total_max: infinite(limits.max_connections, descriptors()),
            pending_max: limits.pending_connections as usize,
            per_address_max: infinite(limits.connections_per_address, 0),
            ..ConnectionLimits::default()
        },
        store: StoreConfig {
            durability: match config.durability {
                ConfigDurability::Memory => Durability::Memory,
                ConfigDurability::Local => Durability::Local,
                ConfigDurability::LocalFsync => Durability::LocalFsync,
            },
            dir: Some(config.node.data_dir.join("sessions")),
        },
        subscribe_visibility: match config.cluster.subscribe_visibility {
            SubscribeVisibility::Cluster => Visibility::Cluster,
            SubscribeVisibility::Local => Visibility::Local,
        },
        minority: match config.cluster.minority {
            ConfigMinority::Available => Minority::Available,
            ConfigMinority::Strict => Minority::Strict,
        },
        deny_action: match config.authorization.deny_action {
            ConfigDeny::Ignore => DenyAction::Ignore,
            ConfigDeny::Disconnect => DenyAction::Disconnect,
        },
        shared_strategy: shared_strategy(config.mqtt.shared_subscription_strategy),
        ..BrokerConfig::default()
    })
}

fn shared_strategy(strategy: ConfigStrategy) -> SharedStrategy {
    match strategy {
        ConfigStrategy::Random => SharedStrategy::Random,
        ConfigStrategy::RoundRobin => SharedStrategy::RoundRobin,
        ConfigStrategy::RoundRobinPerGroup => SharedStrategy::RoundRobinPerGroup,
        ConfigStrategy::Local => SharedStrategy::Local,
        ConfigStrategy::Sticky => SharedStrategy::Sticky,
        ConfigStrategy::HashClientid => SharedStrategy::HashClientid,
        ConfigStrategy::HashTopic => SharedStrategy::HashTopic,
    }
}

/// Connections that the descriptor limit allows beside everything else.
fn descriptors() -> usize {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let soft = limit.map_or(1024, |(soft, _)| soft);
    usize::try_from(soft.saturating_sub(DESCRIPTORS_RESERVED).max(64)).unwrap_or(usize::MAX)
}

fn sessions(config: &Config) -> Limits {
    let (mqtt, limits, retainer) = (&config.mqtt, &config.limits, &config.retainer);
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let count = |limit: spanmq_config::OrInfinity<u32>| limit.finite().unwrap_or(u32::MAX);
    Limits {
        topic_bytes_max: u16::try_from(limits.topic_bytes).unwrap_or(u16::MAX),
        topic_levels_max: u16::try_from(mqtt.max_topic_levels).unwrap_or(u16::MAX),
        filters_per_session_max: count(mqtt.max_subscriptions),
        filters_per_subscribe_max: limits.filters_per_subscribe,
        topic_aliases_max: mqtt.max_topic_alias,
        receive_max: mqtt.max_inflight,
        in_flight_max: mqtt.max_inflight,
        inbox_messages_max: count(mqtt.max_mqueue_len),
        inbox_bytes_max: limits.session_memory.0,
        spill_messages_max: limits.session_stored_messages,
        spill_bytes_max: limits.session_stored.0,
        store_offline_qos0: mqtt.mqueue_store_qos0,
        retained_messages_max: u32::try_from(retainer.backend.max_retained_messages)
            .unwrap_or(u32::MAX),
        retained_bytes_max: retainer.backend.max_retained_bytes.0,
        retained_message_bytes_max: u32::try_from(retainer.max_payload_size.0).unwrap_or(u32::MAX),
        will_bytes_max: u32::try_from(limits.will.0).unwrap_or(u32::MAX),
        session_expiry_max_s: Some(seconds(limits.session_expiry)),
        message_expiry_max_s: Some(seconds(limits.message_expiry)),
        output_bytes_max: limits.output_buffer.0,
        ..Limits::default()
    }
}

fn listener(config: &Config, listener: &Listener<'_>) -> anyhow::Result<ListenerConfig> {
    let name = format!("{}:{}", listener.kind.as_str(), listener.name);
    let tls = || {
        let tls = listener.tls.with_context(|| format!("listener {name}: no ssl_options"))?;
        server_tls(tls).with_context(|| format!("listener {name}"))
    };
    let ws = || WsConfig {
        path: listener.websocket.map_or_else(|| "/mqtt".to_owned(), |ws| ws.mqtt_path.clone()),
    };
    let transport = match listener.kind {
        ListenerKind::Tcp => Transport::Tcp,
        ListenerKind::Ssl => Transport::Tls(tls()?),
        ListenerKind::Ws => Transport::Ws(ws()),
        ListenerKind::Wss => Transport::Wss(tls()?, ws()),
    };
    let mqtt = &config.mqtt;
    let mut settings = ListenerConfig::new(&name, listener.bind.0, transport);
    settings.packet_bytes_max = u32::try_from(mqtt.max_packet_size.0).unwrap_or(u32::MAX);
    settings.connect_timeout = mqtt.idle_timeout;
    settings.keep_alive_max_s = mqtt.server_keepalive_s.enabled().unwrap_or(0);
    settings.idle_timeout = config.limits.idle_connection;
    settings.connections_max = listener.max_connections.finite().unwrap_or(0) as usize;
    Ok(settings)
}

fn server_tls(tls: &ServerTls) -> anyhow::Result<TlsConfig> {
    let file = |path: &Option<PathBuf>, key: &str| {
        path.clone().with_context(|| format!("ssl_options.{key} is missing"))
    };
    let verify = tls.verify == TlsVerify::VerifyPeer;
    Ok(TlsConfig {
        certificate: file(&tls.certfile, "certfile")?,
        key: file(&tls.keyfile, "keyfile")?,
        client_ca: if verify { Some(file(&tls.cacertfile, "cacertfile")?) } else { None },
        client_required: verify && tls.fail_if_no_peer_cert,
    })
}

/// Topic and properties of a retained message beside its payload.
const RETAINED_OVERHEAD_BYTES: u64 = 128 << 10;

/// The caps that the replicated state keeps, as the configuration wants them; the others as in
/// `now`.
pub(crate) fn replicated_limits(
    config: &Config,
    now: spanmq_state::command::Limits,
) -> spanmq_state::command::Limits {
    let (retainer, links) = (&config.retainer, &config.links);
    spanmq_state::command::Limits {
        remote_routes_max: u64::from(links.routes_max),
        remote_actors_max: links.actors_max.min(256),
        retained_count_max: retainer.backend.max_retained_messages,
        retained_bytes_max: retainer.backend.max_retained_bytes.0,
        retained_message_max: retainer.max_payload_size.0.saturating_add(RETAINED_OVERHEAD_BYTES),
        ..now
    }
}

pub(crate) fn linking(config: &Config, node_id: u64) -> LinkingConfig {
    let links = &config.links;
    LinkingConfig {
        cluster: config.cluster.name.as_str().into(),
        node: config.node.name.as_str().into(),
        data_dir: config.node.data_dir.clone(),
        resync_interval: (!links.resync_interval.is_zero()).then_some(links.resync_interval),
        fsync: config.durability == ConfigDurability::LocalFsync,
        node_id,
        expiry: ExpirySettings { ttl: links.actor_ttl, route_hold: links.route_hold },
    }
}

pub(crate) fn api(config: &Config) -> anyhow::Result<ApiConfig> {
    Ok(ApiConfig {
        token_life: config.dashboard.token_expired_time,
        https: super::https::config(config)?,
        ..ApiConfig::new(config.dashboard.listeners.http.bind.0)
    })
}
