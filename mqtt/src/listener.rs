//! Listeners: they accept, count, and hand sockets to workers (SECURITY-REQUIREMENTS L4).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::config::{ConnectionLimits, ListenerConfig};
use crate::mail::{Accepted, Mail};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::socket::Lingering;
use crate::tls::Acceptor;

/// Pause after accept failed, which mostly means that descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Silence after which TCP itself asks whether the peer is still there (L5): for clients without
/// keep-alive.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// One listener, as its connections see it.
#[derive(Debug)]
pub(crate) struct ListenerState {
    pub(crate) config: ListenerConfig,
    pub(crate) tls: Option<Acceptor>,
    pub(crate) io_config: ntex_service::cfg::SharedCfg,
    connections: AtomicUsize,
}

impl ListenerState {
    pub(crate) fn new(config: ListenerConfig, tls: Option<Acceptor>) -> Self {
        let io_config = crate::transport::io_config();
        Self { config, tls, io_config, connections: AtomicUsize::new(0) }
    }
}

/// Counts of all listeners together.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// `None`: as fast as they come.
    rate: Option<DefaultDirectRateLimiter>,
    total: AtomicUsize,
    pending: AtomicUsize,
    lingering: Arc<Lingering>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's share of the limits; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    listener: Arc<ListenerState>,
    metrics: Arc<Metrics>,
    address: Option<IpAddr>,
    per_address_max: usize,
    pending: bool,
}

impl Gate {
    /// `accept_per_second` 0 is no limit; as many may come at once after a pause.
    pub(crate) fn new(accept_per_second: u32) -> Self {
        let rate = std::num::NonZeroU32::new(accept_per_second)
            .map(|rate| RateLimiter::direct(Quota::per_second(rate)));
        Self { rate, ..Self::default() }
    }

    /// Until the next connection may be accepted.
    async fn turn(&self, metrics: &Metrics) {
        let Some(rate) = &self.rate else { return };
        let mut delayed = false;
        while let Err(until) = rate.check() {
            if !std::mem::replace(&mut delayed, true) {
                metrics.accepts_delayed.inc();
            }
            tokio::time::sleep(until.wait_time_from(DefaultClock::default().now())).await;
        }
    }

    /// Admits a connection, or says nothing and counts why not.
    pub(crate) fn admit(
        self: &Arc<Self>,
        limits: &ConnectionLimits,
        listener: &Arc<ListenerState>,
        metrics: &Arc<Metrics>,
        address: IpAddr,
    ) -> Option<Permit> {
        if limits.memory_is_high.is_high() {
            metrics.refused_memory.inc();
            return None;
        }
        if self.pending.load(Ordering::Relaxed) >= limits.pending_max {
            metrics.refused_pending.inc();
            return None;
        }
        let on_listener = listener.connections.load(Ordering::Relaxed);
        let listener_max = listener.config.connections_max;
        if self.total.load(Ordering::Relaxed) >= limits.total_max
            || (listener_max > 0 && on_listener >= listener_max)
        {
            metrics.refused_total.inc();
            return None;
        }
        // Behind a proxy its header says where the client is.
        let counted = limits.per_address_max > 0 && listener.config.proxy_timeout.is_none();
        if counted && !self.count_address(address, limits.per_address_max) {
            metrics.refused_address.inc();
            return None;
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        self.pending.fetch_add(1, Ordering::Relaxed);
        listener.connections.fetch_add(1, Ordering::Relaxed);
        metrics.connections.add(1);
        metrics.connections_pending.add(1);
        Some(Permit {
            gate: self.clone(),
            listener: listener.clone(),
            metrics: metrics.clone(),
            address: counted.then_some(address),
            per_address_max: limits.per_address_max,
            pending: true,
        })
    }

    fn count_address(&self, address: IpAddr, max: usize) -> bool {
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(address).or_default();
        let fits = *count < max;
        *count += usize::from(fits);
        fits
    }
}

impl Permit {
    /// Where the connection counts when it is closed but for the peer's end.
    pub(crate) fn lingering(&self) -> (Arc<Lingering>, Arc<Metrics>) {
        (self.gate.lingering.clone(), self.metrics.clone())
    }

    /// The proxy in front says that the client is there.
    ///
    /// # Errors
    /// There are too many from this address.
    pub(crate) fn comes_from(&mut self, address: IpAddr) -> std::io::Result<()> {
        if self.per_address_max == 0 {
            return Ok(());
        }
        if !self.gate.count_address(address, self.per_address_max) {
            self.metrics.refused_address.inc();
            return Err(std::io::Error::other("too many connections from this address"));
        }
        self.address = Some(address);
        Ok(())
    }

    /// The connection is authenticated now.
    pub(crate) fn authenticated(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.gate.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.connections_pending.add(-1);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.authenticated();
        self.gate.total.fetch_sub(1, Ordering::Relaxed);
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.metrics.connections.add(-1);
        if let Some(address) = self.address {
            let mut by_address = self.gate.by_address.lock();
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

/// Accepts until the runtime stops. Connections go round the workers.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    state: Arc<ListenerState>,
    listener: TcpListener,
) {
    let mut next = 0;
    loop {
        gate.turn(&shared.metrics).await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = %state.config.name, %error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        shared.metrics.accepted.inc();
        if shared.is_stopping() {
            continue;
        }
        hand_over(&shared, &gate, &state, stream, peer, next);
        next = (next + 1) % shared.workers.len();
    }
}

fn hand_over(
    shared: &Arc<Shared>,
    gate: &Arc<Gate>,
    state: &Arc<ListenerState>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    worker: usize,
) {
    let limits = &shared.config.connections;
    let Some(permit) = gate.admit(limits, state, &shared.metrics, peer.ip()) else { return };
    let keep_alive = socket2::TcpKeepalive::new().with_time(TCP_KEEP_ALIVE);
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive) {
        tracing::debug!(%error, "TCP keep-alive is not available");
    }
    match stream.into_std() {
        Ok(stream) => {
            let accepted = Accepted { stream, peer, listener: state.clone(), permit };
            shared.workers[worker].send(Mail::Accepted(accepted));
        }
        Err(error) => tracing::debug!(%error, "a socket was lost before it was served"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;

    fn listener() -> Arc<ListenerState> {
        let bind = "127.0.0.1:0".parse().unwrap();
        let config = ListenerConfig::new("test", bind, Transport::Tcp);
        Arc::new(ListenerState::new(config, None))
    }

    #[test]
    fn the_pending_limit_counts_only_those_not_authenticated() {
        let (gate, metrics) = (Arc::new(Gate::default()), Arc::new(Metrics::default()));
        let limits = ConnectionLimits { pending_max: 1, ..Default::default() };
        let address = IpAddr::from([127, 0, 0, 1]);
        let listener = listener();
        let mut first = gate.admit(&limits, &listener, &metrics, address).unwrap();
        assert!(gate.admit(&limits, &listener, &metrics, address).is_none());
        assert_eq!(metrics.refused_pending.get(), 1);
        first.authenticated();
        assert!(gate.admit(&limits, &listener, &metrics, address).is_some());
    }

    #[test]
    fn a_closed_connection_gives_its_address_free() {
        let (gate, metrics) = (Arc::new(Gate::default()), Arc::new(Metrics::default()));
        let limits = ConnectionLimits { per_address_max: 1, ..Default::default() };
        let address = IpAddr::from([127, 0, 0, 1]);
        let listener = listener();
        let first = gate.admit(&limits, &listener, &metrics, address).unwrap();
        assert!(gate.admit(&limits, &listener, &metrics, address).is_none());
        drop(first);
        assert!(gate.admit(&limits, &listener, &metrics, address).is_some());
        assert_eq!(metrics.refused_address.get(), 1);
    }
}
