//! What a change of a link means for what is running (1.5, C-12, C-15).

use super::LinkConfig;

/// What to do with one part of a running link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartEffect {
    Keep,
    Start,
    Stop,
    Restart,
}

/// The effect of one change on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeEffect {
    /// Replication actors; a start or restart is a new incarnation.
    pub replication: PartEffect,
    /// Forwarding connections.
    pub pool: PartEffect,
    /// Buffered messages are lost: only when the link goes away or is disabled (C-15).
    pub drop_buffers: bool,
    /// The buffered messages must be spread anew over the lanes (C-15).
    pub rehash_buffers: bool,
    /// The hidden counter grows by one in the same replicated change (C-12).
    pub bump_counter: bool,
}

impl ChangeEffect {
    const NONE: ChangeEffect = ChangeEffect {
        replication: PartEffect::Keep,
        pool: PartEffect::Keep,
        drop_buffers: false,
        rehash_buffers: false,
        bump_counter: false,
    };

    pub fn of_create(new: &LinkConfig) -> ChangeEffect {
        let part = if new.enable { PartEffect::Start } else { PartEffect::Keep };
        ChangeEffect { replication: part, pool: part, ..ChangeEffect::NONE }
    }

    pub fn of_delete(old: &LinkConfig) -> ChangeEffect {
        let part = if old.enable { PartEffect::Stop } else { PartEffect::Keep };
        ChangeEffect { replication: part, pool: part, drop_buffers: true, ..ChangeEffect::NONE }
    }

    /// Compares two configurations of one link.
    pub fn of_update(old: &LinkConfig, new: &LinkConfig) -> ChangeEffect {
        // The counter is the server's own; it is no change by itself.
        let comparable =
            LinkConfig { ps_actor_incarnation: old.ps_actor_incarnation, ..new.clone() };
        if *old == comparable {
            return ChangeEffect::NONE;
        }
        let changed = ChangeEffect { bump_counter: true, ..ChangeEffect::NONE };
        match (old.enable, new.enable) {
            (false, false) => changed,
            (false, true) => {
                ChangeEffect { replication: PartEffect::Start, pool: PartEffect::Start, ..changed }
            }
            (true, false) => ChangeEffect {
                replication: PartEffect::Stop,
                pool: PartEffect::Stop,
                drop_buffers: true,
                ..changed
            },
            (true, true) => {
                let reconnect = connects_differently(old, new);
                let restart_if = |is| if is { PartEffect::Restart } else { PartEffect::Keep };
                ChangeEffect {
                    replication: restart_if(reconnect || old.topics != new.topics),
                    pool: restart_if(reconnect || forwards_differently(old, new)),
                    rehash_buffers: old.resource_opts.worker_pool_size
                        != new.resource_opts.worker_pool_size,
                    ..changed
                }
            }
        }
    }
}

fn connects_differently(old: &LinkConfig, new: &LinkConfig) -> bool {
    old.server != new.server
        || old.clientid != new.clientid
        || old.username != new.username
        || old.password != new.password
        || old.ssl != new.ssl
}

fn forwards_differently(old: &LinkConfig, new: &LinkConfig) -> bool {
    old.pool_size != new.pool_size
        || old.retry_interval != new.retry_interval
        || old.max_inflight != new.max_inflight
        || old.resource_opts != new.resource_opts
        || old.buffer != new.buffer
        || old.tcp_opts != new.tcp_opts
}
