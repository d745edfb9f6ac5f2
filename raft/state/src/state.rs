//! The state as a whole: one area per kind of command, applied in log order.

use crate::access::Access;
use crate::alarms::Alarms;
use crate::changes::Changes;
use crate::cluster::Cluster;
use crate::command::{Batch, Command, LinkCommand, Reply};
use crate::digest::Digest;
use crate::links::command::LinkReply;
use crate::links::{LinkContext, LinkEffects, Links};
use crate::remote::{RemoteContext, Remotes};
use crate::retained::Retained;
use crate::routes::Routes;
use crate::sessions::Sessions;
use crate::snapshot::Snapshot;

/// Everything the control group agrees on.
///
/// A clone shares all big tables and costs microseconds; writing to either side afterwards copies
/// only the shards it touches. The raft shell keeps the state behind a lock that only the apply
/// thread writes; control-plane reads take the lock for a page, or clone the state and read without
/// it. Publishers read neither: they have the view.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(crate) applied: u64,
    pub(crate) cluster: Cluster,
    pub(crate) routes: Routes,
    pub(crate) sessions: Sessions,
    pub(crate) links: Links,
    pub(crate) remotes: Remotes,
    pub(crate) retained: Retained,
    pub(crate) access: Access,
    pub(crate) alarms: Alarms,
    /// Of cluster, links and alarms, which are small, change seldom and are hashed as a whole.
    small: [u64; 3],
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self {
            applied: 0,
            cluster: Cluster::default(),
            routes: Routes::default(),
            sessions: Sessions::default(),
            links: Links::default(),
            remotes: Remotes::default(),
            retained: Retained::default(),
            access: Access::default(),
            alarms: Alarms::default(),
            small: [0; 3],
        };
        state.refresh_small([true; 3]);
        state
    }
}

impl State {
    /// Applies one log entry and answers each of its commands. `changes` receives what others have
    /// to follow; hand its `view` to the [`ViewWriter`](crate::view::ViewWriter).
    ///
    /// Total: no command makes it fail. A batch of an unknown version changes nothing, so the shell
    /// must look at [`Batch::is_supported`] first and stop the node.
    pub fn apply(&mut self, index: u64, batch: &Batch, changes: &mut Changes) -> Vec<Reply> {
        self.applied = self.applied.max(index);
        if !batch.is_supported() {
            let reply = Reply::UnsupportedVersion { version: batch.version };
            return vec![reply; batch.commands.len()];
        }
        let mut touched = [false; 3];
        let replies = batch
            .commands
            .iter()
            .map(|command| self.apply_one(index, command, changes, &mut touched))
            .collect();
        self.refresh_small(touched);
        replies
    }

    /// For entries that carry no batch (blank, membership): only the index moves.
    pub fn advance(&mut self, index: u64) {
        self.applied = self.applied.max(index);
    }

    /// The raft index of the last entry applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Equal states have equal digests, and different ones practically never (CHAOS P9). The index
    /// is not part of it. Costs a microsecond or two, whatever the size.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let [cluster, links, alarms] = self.small;
        Digest::of([
            cluster,
            self.routes.digest(),
            self.sessions.digest(),
            links,
            self.remotes.digest(),
            self.retained.digest(),
            self.access.digest(),
            alarms,
        ])
    }

    /// The state at this index, to be encoded without a lock.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.clone())
    }

    /// Identity, members, settings, caps.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Topic filter → nodes.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Client id → owner.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Link configurations.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Learnt actors and routes.
    #[must_use]
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// Retained messages.
    #[must_use]
    pub fn retained(&self) -> &Retained {
        &self.retained
    }

    /// Users, API keys, ACL overrides.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Alarms.
    #[must_use]
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    pub(crate) fn refresh_small(&mut self, touched: [bool; 3]) {
        if touched[0] {
            self.small[0] = self.cluster.digest();
        }
        if touched[1] {
            self.small[1] = self.links.digest();
        }
        if touched[2] {
            self.small[2] = self.alarms.digest();
        }
    }

    fn apply_one(
        &mut self,
        index: u64,
        command: &Command,
        changes: &mut Changes,
        touched: &mut [bool; 3],
    ) -> Reply {
        match command {
            Command::Cluster(command) => {
                touched[0] = true;
                Reply::Cluster(self.cluster.apply(index, command, changes))
            }
            Command::Route(command) => Reply::Route(self.routes.apply(command, changes)),
            Command::Session(command) => Reply::Session(self.sessions.apply(command, changes)),
            Command::Link(command) => {
                touched[1] = true;
                Reply::Link(self.apply_link(index, command, changes))
            }
            Command::Remote(command) => {
                let limits = self.cluster.limits();
                let context = RemoteContext {
                    links: &self.links,
                    routes_max: limits.remote_routes_max,
                    actors_max: limits.remote_actors_max,
                };
                Reply::Remote(self.remotes.apply(&context, command, changes))
            }
            Command::Retained(command) => {
                let limits = *self.cluster.limits();
                Reply::Retained(self.retained.apply(index, &limits, command, changes))
            }
            Command::Access(command) => Reply::Access(self.access.apply(index, command, changes)),
            Command::Alarm(command) => {
                touched[2] = true;
                let history_max = self.cluster.limits().alarm_history_max;
                Reply::Alarm(self.alarms.apply(command, history_max, changes))
            }
        }
    }

    /// What was learnt from a remote goes with its link, and counts only while that is enabled.
    fn apply_link(
        &mut self,
        index: u64,
        command: &LinkCommand,
        changes: &mut Changes,
    ) -> LinkReply {
        let own_name = self.cluster.identity().map(|identity| &*identity.name);
        let links_max = self.cluster.limits().links_max;
        let context = LinkContext { index, own_name, links_max };
        let (reply, effects) = self.links.apply(&context, command, changes);
        let LinkEffects { deleted, changed } = effects;
        for name in &deleted {
            self.remotes.forget(name, changes);
        }
        for name in &changed {
            self.remotes.link_changed(&self.links, name, changes);
        }
        reply
    }
}
