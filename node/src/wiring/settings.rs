//! From the configuration of a node to the settings of its parts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use spanmq_api::ApiConfig;
use spanmq_config::{
    Config, DenyAction as ConfigDeny, Durability as ConfigDurability, LinksSource,
    MinorityMode as ConfigMinority, OrInfinity, OrphanMode, SessionOverflow,
    SharedStrategy as ConfigStrategy, SubscribeVisibility,
};
use spanmq_link_protocol::expiry::ExpirySettings;
use spanmq_linking::LinkingConfig;
use spanmq_mqtt::config::{
    BrokerConfig, ConnectionLimits, DenyAction, Durability, Minority, Orphans, StoreConfig,
    Visibility,
};
use spanmq_mqtt::rules::{ClientRules, RetainerRules};
use spanmq_port::{Credentials, DialMap, GivenFiles, JoinToken};
use spanmq_raft::{Formation, PortSecurity, RaftOptions};
use spanmq_session::{Limits, Overflow, QoS, SharedStrategy};

use super::listeners;

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
    let listeners = config
        .listeners
        .enabled()
        .map(|l| listeners::listener(config, &l))
        .collect::<Result<_, _>>()?;
    let limits = &config.limits;
    let infinite =
        |limit: OrInfinity<u32>, none: usize| limit.finite().map_or(none, |limit| limit as usize);
    Ok(BrokerConfig {
        listeners,
        limits: sessions(config),
        rules: rules(config),
        connections: ConnectionLimits {
            total_max: infinite(limits.max_connections, descriptors()),
            pending_max: limits.pending_connections as usize,
            per_address_max: infinite(limits.connections_per_address, 0),
            accept_per_second: limits.accept_per_second.finite().unwrap_or(0),
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
        orphans: match config.session.orphan {
            OrphanMode::Resume => Orphans::Resume,
            OrphanMode::Refuse => Orphans::Refuse,
        },
        shared_strategy: shared_strategy(config.mqtt.shared_subscription_strategy),
        sys_interval: config.sys_topics.sys_msg_interval,
        workers: match config.node.workers {
            0 => BrokerConfig::default().workers,
            workers => workers as usize,
        },
    })
}

fn rules(config: &Config) -> ClientRules {
    let (mqtt, retainer) = (&config.mqtt, &config.retainer);
    let information = mqtt.response_information.as_str();
    ClientRules {
        qos_max: QoS::from_u8(mqtt.max_qos_allowed).unwrap_or_default(),
        retain: mqtt.retain_available,
        wildcards: mqtt.wildcard_subscription,
        shared: mqtt.shared_subscription,
        client_id_bytes_max: mqtt.max_clientid_len_bytes as usize,
        keep_alive_factor: mqtt.keepalive_multiplier,
        session_expiry_v3_s: seconds(mqtt.session_expiry_interval),
        echo_v3: !mqtt.ignore_loop_deliver,
        message_expiry_s: mqtt.message_expiry_interval.finite().map(seconds),
        response_information: (!information.is_empty()).then(|| information.into()),
        retainer: RetainerRules {
            keeps: retainer.enable,
            expiry_s: Some(seconds(retainer.msg_expiry_interval)).filter(|seconds| *seconds > 0),
            hides_clearing: retainer.stop_publish_clear_msg,
        },
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
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
    let count = |limit: OrInfinity<u32>| limit.finite().unwrap_or(u32::MAX);
    Limits {
        topic_bytes_max: u16::try_from(limits.topic_bytes).unwrap_or(u16::MAX),
        topic_levels_max: u16::try_from(mqtt.max_topic_levels).unwrap_or(u16::MAX),
        filters_per_session_max: count(mqtt.max_subscriptions),
        filters_per_subscribe_max: limits.filters_per_subscribe,
        topic_aliases_max: mqtt.max_topic_alias,
        receive_max: mqtt.max_inflight,
        awaiting_release_max: mqtt.max_awaiting_rel,
        awaiting_release_time: mqtt.await_rel_timeout,
        in_flight_max: mqtt.max_inflight,
        inbox_messages_max: count(mqtt.max_mqueue_len),
        inbox_bytes_max: limits.session_memory.0,
        spill_messages_max: limits.session_stored_messages,
        spill_bytes_max: limits.session_stored.0,
        overflow: match limits.session_overflow {
            SessionOverflow::DropNewest => Overflow::DropNewest,
            SessionOverflow::DropOldest => Overflow::DropOldest,
        },
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
        expiry: ExpirySettings {
            ttl: links.actor_ttl,
            route_hold: links.route_hold,
            gc_interval: links.gc_interval,
        },
    }
}

pub(crate) fn api(config: &Config) -> anyhow::Result<ApiConfig> {
    let dashboard = &config.dashboard;
    let http = &dashboard.listeners.http;
    Ok(ApiConfig {
        bind: http.enable.then_some(http.bind.0),
        token_life: dashboard.token_expired_time,
        body_bytes_max: usize::try_from(dashboard.max_body_size.0).unwrap_or(usize::MAX),
        links_are_of_the_file: config.cluster.links_source == LinksSource::File,
        https: super::https::config(config)?,
        ..ApiConfig::new(http.bind.0)
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
