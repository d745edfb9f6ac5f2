//! The cluster itself: identity, members, run-time settings, caps and feature level.

pub(crate) mod command;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::types::{NodeId, Revision};
use command::{ClusterCommand, ClusterReply, Limits, Member};

/// A run-time setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// JSON text.
    pub value: Arc<str>,
    /// Raft index of the last change.
    pub revision: Revision,
}

/// Who the cluster is and who belongs to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    pub(crate) identity: Option<Identity>,
    pub(crate) features: u32,
    pub(crate) limits: Limits,
    pub(crate) members: BTreeMap<NodeId, Arc<Member>>,
    pub(crate) settings: BTreeMap<Arc<str>, Setting>,
}

/// What `--init` fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Random, for ever.
    pub cluster_id: u128,
    /// `cluster.name`.
    pub name: Arc<str>,
}

impl Cluster {
    /// Id and name, once founded.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The cluster-wide feature level.
    #[must_use]
    pub fn features(&self) -> u32 {
        self.features
    }

    /// The replicated caps.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// All members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<Member>> {
        self.members.values()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Arc<Member>> {
        self.members.get(&id)
    }

    /// All settings, by key.
    pub fn settings(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Setting)> {
        self.settings.iter()
    }

    /// One setting.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut hash = EntryHash::new(1)
            .value(&self.identity)
            .u64(u64::from(self.features))
            .value(&self.limits);
        for member in self.members.values() {
            hash = hash.value(&**member);
        }
        for (key, setting) in &self.settings {
            hash = hash.text(key).value(setting);
        }
        hash.finish()
    }

    pub(crate) fn apply(
        &mut self,
        index: u64,
        command: &ClusterCommand,
        changes: &mut Changes,
    ) -> ClusterReply {
        match command {
            ClusterCommand::Found { cluster_id, name } => self.found(index, *cluster_id, name),
            ClusterCommand::PutMember(member) => self.put_member(index, member, changes),
            ClusterCommand::RemoveMember { id } => match self.members.remove(id) {
                Some(_) => {
                    changes.events.push(Event::Members);
                    ClusterReply::Done { revision: index }
                }
                None => ClusterReply::NotFound,
            },
            ClusterCommand::PutSetting { key, value } => {
                let reply = self.put_setting(index, key, value.as_ref());
                if matches!(reply, ClusterReply::Done { .. }) {
                    changes.events.push(Event::Setting { key: key.clone() });
                }
                reply
            }
            ClusterCommand::PutLimits(limits) if *limits == self.limits => ClusterReply::Unchanged,
            ClusterCommand::PutLimits(limits) => {
                self.limits = *limits;
                changes.events.push(Event::Limits);
                ClusterReply::Done { revision: index }
            }
            ClusterCommand::RaiseFeatures { level } => self.raise(index, *level, changes),
        }
    }

    fn found(&mut self, index: u64, cluster_id: u128, name: &Arc<str>) -> ClusterReply {
        if let Some(identity) = &self.identity {
            return ClusterReply::AlreadyFounded { cluster_id: identity.cluster_id };
        }
        self.identity = Some(Identity { cluster_id, name: name.clone() });
        ClusterReply::Done { revision: index }
    }

    fn put_member(&mut self, index: u64, new: &Member, changes: &mut Changes) -> ClusterReply {
        if let Some(old) = self.members.get(&new.id) {
            if old.disk_id != new.disk_id {
                return ClusterReply::IdTaken;
            }
            if old.incarnation > new.incarnation {
                return ClusterReply::StaleIncarnation { stored: old.incarnation };
            }
            if **old == *new {
                return ClusterReply::Unchanged;
            }
        }
        if let Some(other) = self.members.values().find(|m| m.id != new.id && m.name == new.name) {
            return ClusterReply::NameTaken { by: other.id };
        }
        if new.features < self.features {
            return ClusterReply::MemberTooOld { id: new.id, features: new.features };
        }
        self.members.insert(new.id, Arc::new(new.clone()));
        changes.events.push(Event::Members);
        ClusterReply::Done { revision: index }
    }

    fn put_setting(
        &mut self,
        index: u64,
        key: &Arc<str>,
        value: Option<&Arc<str>>,
    ) -> ClusterReply {
        let old = self.settings.get(key).map(|setting| &setting.value);
        match (old, value) {
            (None, None) => return ClusterReply::NotFound,
            (Some(old), Some(new)) if old == new => return ClusterReply::Unchanged,
            (_, None) => drop(self.settings.remove(key)),
            (_, Some(new)) => {
                let setting = Setting { value: new.clone(), revision: index };
                self.settings.insert(key.clone(), setting);
            }
        }
        ClusterReply::Done { revision: index }
    }

    fn raise(&mut self, index: u64, level: u32, changes: &mut Changes) -> ClusterReply {
        if level <= self.features {
            return ClusterReply::Unchanged;
        }
        if let Some(old) = self.members.values().find(|member| member.features < level) {
            return ClusterReply::MemberTooOld { id: old.id, features: old.features };
        }
        self.features = level;
        changes.events.push(Event::Limits);
        ClusterReply::Done { revision: index }
    }
}
