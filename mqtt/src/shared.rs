//! What all threads of the broker share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use spanmq_session::{Limits, MessageId};
use spanmq_topic::TopicLimits;

use crate::clients::Clients;
use crate::complaints::Complaints;
use crate::config::BrokerConfig;
use crate::interest::InterestHub;
use crate::left_behind::LeftBehind;
use crate::local_routes::NodeRoutes;
use crate::mail::{Mail, TicketAddress};
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::ports::Ports;
use crate::store::StoreHandle;
use crate::sys::SysTopics;
use crate::turns::Turns;

pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    pub(crate) limits: Arc<Limits>,
    pub(crate) topic_limits: TopicLimits,
    pub(crate) ports: Ports,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) workers: Vec<Mailbox<Mail>>,
    pub(crate) routes: Arc<NodeRoutes>,
    pub(crate) interest: Arc<InterestHub>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) store: Option<StoreHandle>,
    pub(crate) turns: Turns,
    pub(crate) sys: SysTopics,
    pub(crate) left_behind: LeftBehind<TicketAddress>,
    pub(crate) complaints: Complaints,
    pub(crate) started: Instant,
    connections: AtomicU64,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        config: BrokerConfig,
        limits: Arc<Limits>,
        ports: Ports,
        workers: Vec<Mailbox<Mail>>,
        store: Option<StoreHandle>,
    ) -> Self {
        let turns = Turns::new(config.shared_strategy, ports.identity.node);
        let interest = Arc::<InterestHub>::default();
        let topic_limits = TopicLimits {
            bytes_max: usize::from(limits.topic_bytes_max),
            levels_max: usize::from(limits.topic_levels_max),
        };
        Self {
            config,
            limits,
            topic_limits,
            ports,
            metrics: Arc::default(),
            workers,
            routes: Arc::new(NodeRoutes::new(interest.clone())),
            interest,
            clients: Arc::new(Clients::new()),
            store,
            turns,
            sys: SysTopics::default(),
            left_behind: LeftBehind::default(),
            complaints: Complaints::default(),
            started: Instant::now(),
            connections: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        }
    }

    /// A number for a connection, unique in this run of the node.
    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// Wall clock in milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes message ids for one thread: a random half, and a counter.
#[derive(Debug)]
pub(crate) struct MessageIds {
    prefix: [u8; 8],
    next: u64,
}

impl MessageIds {
    pub(crate) fn new() -> Self {
        Self { prefix: random_u64().to_be_bytes(), next: 0 }
    }

    pub(crate) fn next(&mut self) -> MessageId {
        self.next += 1;
        let mut id = [0; 16];
        let (high, low) = id.split_at_mut(8);
        high.copy_from_slice(&self.prefix);
        low.copy_from_slice(&self.next.to_be_bytes());
        MessageId(id)
    }
}

/// Random enough for ids and seeds: the standard hasher is keyed by the operating system.
pub(crate) fn random_u64() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(wall_ms())
}
