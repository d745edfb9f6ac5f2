//! The link list: configurations in order of creation, a revision each, and the hidden counters
//! that outlive their links (LINK-SPEC C-12).

pub(crate) mod command;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::types::{Revision, SecretText};
use command::{LinkCommand, LinkReply, LinkSpec};

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The remote cluster's name.
    pub name: Arc<str>,
    /// As configured.
    pub server: Arc<str>,
    /// With the default filled in.
    pub clientid: Arc<str>,
    /// Wins over an `enable` inside `config`.
    pub enable: bool,
    /// Buffer, do not send. Survives changes of the configuration.
    pub paused: bool,
    /// The whole configuration as JSON text, secrets included.
    pub config: SecretText,
    /// Raft index of the last change; unique per change.
    pub revision: Revision,
    /// Incarnation of the persistent-session actor (W-12, C-12).
    pub counter: u64,
}

/// What one link command did to the names, for the learnt routes and the view.
#[derive(Debug, Default)]
pub(crate) struct LinkEffects {
    pub(crate) deleted: Vec<Arc<str>>,
    pub(crate) changed: Vec<Arc<str>>,
}

/// All links.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Links {
    pub(crate) list: Vec<Arc<Link>>,
    pub(crate) revision: Revision,
    pub(crate) counters: BTreeMap<Arc<str>, u64>,
}

impl Links {
    /// In order of creation.
    pub fn list(&self) -> impl ExactSizeIterator<Item = &Arc<Link>> {
        self.list.iter()
    }

    /// One link.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Link>> {
        self.list.iter().find(|link| &*link.name == name)
    }

    /// The revision of the last change of any link.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The last hidden counter of a name, also of one that is deleted.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.counters.get(name).copied()
    }

    /// Costs a pass over all links, so [`State`](crate::State) asks only after a change.
    pub(crate) fn digest(&self) -> u64 {
        let mut hash = EntryHash::new(4).u64(self.revision).value(&self.counters);
        for link in &self.list {
            hash = hash.value(&**link);
        }
        hash.finish()
    }

    pub(crate) fn apply(
        &mut self,
        context: &LinkContext<'_>,
        command: &LinkCommand,
        changes: &mut Changes,
    ) -> (LinkReply, LinkEffects) {
        let mut effects = LinkEffects::default();
        let result = match command {
            LinkCommand::Create(spec) => self.create(context, spec, &mut effects),
            LinkCommand::Update { spec, expected } => {
                self.update(context, spec, *expected, &mut effects)
            }
            LinkCommand::Delete { name, expected } => {
                self.delete(context, name, *expected, &mut effects)
            }
            LinkCommand::ReplaceAll { links, expected } => {
                self.replace_all(context, links, *expected, &mut effects)
            }
            LinkCommand::SetEnabled { name, enabled } => {
                self.set_enabled(context, name, *enabled, &mut effects)
            }
            LinkCommand::SetPaused { name, paused } => {
                self.set_paused(context, name, *paused, &mut effects)
            }
        };
        for name in effects.deleted.iter().chain(&effects.changed) {
            changes.events.push(Event::Link { name: name.clone() });
        }
        (result.unwrap_or_else(|refusal| refusal), effects)
    }

    fn create(
        &mut self,
        context: &LinkContext<'_>,
        spec: &LinkSpec,
        effects: &mut LinkEffects,
    ) -> Answer {
        if self.get(&spec.name).is_some() {
            return Err(LinkReply::AlreadyExists { name: spec.name.clone() });
        }
        context.check_name(&spec.name)?;
        check_connections(self.list.iter().map(|link| &**link), spec)?;
        context.check_count(self.list.len() + 1)?;
        let revision = self.next_revision(context);
        let counter = self.next_counter(&spec.name, spec.counter);
        self.list.push(Arc::new(made(spec, false, revision, counter)));
        effects.changed.push(spec.name.clone());
        Ok(LinkReply::Done { revision, counter })
    }

    fn update(
        &mut self,
        context: &LinkContext<'_>,
        spec: &LinkSpec,
        expected: Option<Revision>,
        effects: &mut LinkEffects,
    ) -> Answer {
        let at = self.find(&spec.name, expected)?;
        let others = self.list.iter().enumerate().filter(|(n, _)| *n != at);
        check_connections(others.map(|(_, link)| &**link), spec)?;
        if equal(&self.list[at], spec) {
            return Ok(LinkReply::Unchanged { revision: self.list[at].revision });
        }
        let paused = self.list[at].paused;
        let revision = self.next_revision(context);
        let counter = self.next_counter(&spec.name, spec.counter);
        self.list[at] = Arc::new(made(spec, paused, revision, counter));
        effects.changed.push(spec.name.clone());
        Ok(LinkReply::Done { revision, counter })
    }

    fn delete(
        &mut self,
        context: &LinkContext<'_>,
        name: &Arc<str>,
        expected: Option<Revision>,
        effects: &mut LinkEffects,
    ) -> Answer {
        let at = self.find(name, expected)?;
        self.list.remove(at);
        effects.deleted.push(name.clone());
        Ok(LinkReply::Done { revision: self.next_revision(context), counter: 0 })
    }

    fn replace_all(
        &mut self,
        context: &LinkContext<'_>,
        specs: &[LinkSpec],
        expected: Option<Revision>,
        effects: &mut LinkEffects,
    ) -> Answer {
        if expected.is_some_and(|expected| expected != self.revision) {
            return Err(LinkReply::Conflict { revision: self.revision });
        }
        context.check_count(specs.len())?;
        let mut names = BTreeSet::new();
        let mut connections = BTreeMap::new();
        for spec in specs {
            context.check_name(&spec.name)?;
            if !names.insert(&spec.name) {
                return Err(LinkReply::Duplicate { name: spec.name.clone() });
            }
            if let Some(other) = connections.insert((&spec.server, &spec.clientid), &spec.name) {
                return Err(LinkReply::SameConnection { other: Arc::clone(other) });
            }
        }
        if specs.len() == self.list.len()
            && self.list.iter().zip(specs).all(|(old, new)| old.name == new.name && equal(old, new))
        {
            return Ok(LinkReply::Unchanged { revision: self.revision });
        }
        let old: BTreeMap<_, _> = self.list.drain(..).map(|l| (l.name.clone(), l)).collect();
        effects.deleted.extend(old.keys().filter(|name| !names.contains(name)).cloned());
        for spec in specs {
            let before = old.get(&spec.name);
            if let Some(same) = before.filter(|before| equal(before, spec)) {
                self.list.push(same.clone());
                continue;
            }
            let paused = before.is_some_and(|before| before.paused);
            let revision = self.next_revision(context);
            let counter = self.next_counter(&spec.name, spec.counter);
            self.list.push(Arc::new(made(spec, paused, revision, counter)));
            effects.changed.push(spec.name.clone());
        }
        if effects.changed.is_empty() {
            // Only deletes or another order: the list has changed all the same.
            self.next_revision(context);
        }
        Ok(LinkReply::Done { revision: self.revision, counter: 0 })
    }

    fn set_enabled(
        &mut self,
        context: &LinkContext<'_>,
        name: &Arc<str>,
        enabled: bool,
        effects: &mut LinkEffects,
    ) -> Answer {
        let at = self.find(name, None)?;
        if self.list[at].enable == enabled {
            return Ok(LinkReply::Unchanged { revision: self.list[at].revision });
        }
        let revision = self.next_revision(context);
        let counter = self.next_counter(name, 0);
        let link = Arc::make_mut(&mut self.list[at]);
        (link.enable, link.revision, link.counter) = (enabled, revision, counter);
        effects.changed.push(name.clone());
        Ok(LinkReply::Done { revision, counter })
    }

    /// A pause is not in the table of LINK-SPEC 1.5: actors go on, so the counter stays.
    fn set_paused(
        &mut self,
        context: &LinkContext<'_>,
        name: &Arc<str>,
        paused: bool,
        effects: &mut LinkEffects,
    ) -> Answer {
        let at = self.find(name, None)?;
        if self.list[at].paused == paused {
            return Ok(LinkReply::Unchanged { revision: self.list[at].revision });
        }
        let revision = self.next_revision(context);
        let link = Arc::make_mut(&mut self.list[at]);
        (link.paused, link.revision) = (paused, revision);
        effects.changed.push(name.clone());
        Ok(LinkReply::Done { revision, counter: link.counter })
    }

    fn find(&self, name: &Arc<str>, expected: Option<Revision>) -> Result<usize, LinkReply> {
        let at = self
            .list
            .iter()
            .position(|link| link.name == *name)
            .ok_or_else(|| LinkReply::NotFound { name: name.clone() })?;
        let revision = self.list[at].revision;
        match expected {
            Some(expected) if expected != revision => Err(LinkReply::Conflict { revision }),
            _ => Ok(at),
        }
    }

    /// The raft index, or one more than the last one when a batch changes several links: a revision
    /// has one value (CHAOS P6).
    fn next_revision(&mut self, context: &LinkContext<'_>) -> Revision {
        self.revision = context.index.max(self.revision.saturating_add(1));
        self.revision
    }

    /// Kept for ever per name and one more on each change (C-12); what a file gives counts when
    /// higher.
    fn next_counter(&mut self, name: &Arc<str>, given: u64) -> u64 {
        let next = self.counters.get(name).map_or(0, |last| last.saturating_add(1)).max(given);
        self.counters.insert(name.clone(), next);
        next
    }
}

/// What a link command may look at outside the list.
pub(crate) struct LinkContext<'a> {
    pub(crate) index: u64,
    pub(crate) own_name: Option<&'a str>,
    pub(crate) links_max: u32,
}

impl LinkContext<'_> {
    fn check_name(&self, name: &str) -> Result<(), LinkReply> {
        if self.own_name == Some(name) { Err(LinkReply::LinkToSelf) } else { Ok(()) }
    }

    fn check_count(&self, count: usize) -> Result<(), LinkReply> {
        let limit = self.links_max;
        if count > limit as usize { Err(LinkReply::TooMany { limit }) } else { Ok(()) }
    }
}

/// `Err` is a refusal.
type Answer = Result<LinkReply, LinkReply>;

/// Two links with one server and client id would take each other over (W-4).
fn check_connections<'a>(
    mut others: impl Iterator<Item = &'a Link>,
    spec: &LinkSpec,
) -> Result<(), LinkReply> {
    let same = others.find(|link| link.server == spec.server && link.clientid == spec.clientid);
    same.map_or(Ok(()), |link| Err(LinkReply::SameConnection { other: link.name.clone() }))
}

fn equal(link: &Link, spec: &LinkSpec) -> bool {
    link.server == spec.server
        && link.clientid == spec.clientid
        && link.enable == spec.enable
        && link.config == spec.config
}

fn made(spec: &LinkSpec, paused: bool, revision: Revision, counter: u64) -> Link {
    Link {
        name: spec.name.clone(),
        server: spec.server.clone(),
        clientid: spec.clientid.clone(),
        enable: spec.enable,
        paused,
        config: spec.config.clone(),
        revision,
        counter,
    }
}
