//! What the listening and the dialling half share: identity, certificates, dial map, limits.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::{
    counters::Counters,
    credentials::Credentials,
    dial_map::DialMap,
    hello::{Hello, Purpose, Refusal, Side, check},
    identity::{Identity, Membership},
    tuning::PortTuning,
};

/// How connections are protected.
#[derive(Debug, Clone)]
pub enum Security {
    /// `--dev`: plain text, and only between loopback addresses.
    Dev,
    /// TLS 1.3 with both sides authenticated.
    Tls(Arc<Credentials>),
}

/// The shared half of port and pool; a cheap handle.
#[derive(Clone)]
pub struct PortContext {
    inner: Arc<Inner>,
}

struct Inner {
    identity: watch::Sender<Arc<Identity>>,
    security: watch::Sender<Security>,
    membership: Box<dyn Membership>,
    dial_map: DialMap,
    tuning: PortTuning,
    counters: Arc<Counters>,
}

impl PortContext {
    /// Bundles what port and pool need. `membership` is asked at every handshake.
    pub fn new(
        identity: Identity,
        security: Security,
        membership: impl Membership,
        dial_map: DialMap,
        tuning: PortTuning,
    ) -> Self {
        let inner = Inner {
            identity: watch::Sender::new(Arc::new(identity)),
            security: watch::Sender::new(security),
            membership: Box::new(membership),
            dial_map,
            tuning,
            counters: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What this node says of itself at present.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.inner.identity.borrow())
    }

    /// Changes the identity for new connections: cluster id and node id become known on joining.
    pub fn update_identity(&self, change: impl FnOnce(&mut Identity)) {
        self.inner.identity.send_modify(|identity| change(Arc::make_mut(identity)));
    }

    /// How new connections are protected at present.
    pub fn security(&self) -> Security {
        self.inner.security.borrow().clone()
    }

    /// New connections use `security` (a renewed certificate); standing ones stay.
    pub fn replace_security(&self, security: Security) {
        self.inner.security.send_replace(security);
    }

    /// The limits and times in force.
    pub fn tuning(&self) -> &PortTuning {
        &self.inner.tuning
    }

    /// Counters of the listening side.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }

    pub(crate) fn dial_map(&self) -> &DialMap {
        &self.inner.dial_map
    }

    pub(crate) fn is_dev(&self) -> bool {
        matches!(*self.inner.security.borrow(), Security::Dev)
    }

    pub(crate) fn hello(&self, purpose: Purpose) -> Hello {
        Hello::new(&self.inner.identity.borrow(), purpose, self.is_dev())
    }

    pub(crate) fn check(&self, side: Side, ours: &Hello, theirs: &Hello) -> Result<u16, Refusal> {
        check(side, ours, theirs, self.inner.membership.known(theirs.node_id))
    }
}

impl fmt::Debug for PortContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortContext")
            .field("identity", &self.inner.identity.borrow())
            .field("dev", &self.is_dev())
            .finish_non_exhaustive()
    }
}
