//! Who of this worker's sessions wants a topic.

use std::collections::HashMap;
use std::sync::Arc;

use spanmq_session::{
    MatchedOptions, Message, SharedMember, SharedPicker, SharedStrategy, SubscriptionOptions,
};
use spanmq_topic::{FilterTable, SharedFilter, Subscription, TopicFilter};

use crate::local_routes::RouteOp;

/// The plain subscribers of one filter.
#[derive(Default)]
struct Subscribers {
    /// Batch of route changes that made the filter known; SUBACKs wait for it.
    batch: u64,
    list: Vec<(u32, SubscriptionOptions)>,
}

/// The members of one shared group on this worker.
struct Group {
    batch: u64,
    members: Vec<Member>,
    picker: SharedPicker,
}

impl Group {
    fn report(&self, filter: Arc<SharedFilter>) -> RouteOp {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let online = self.members.iter().filter(|member| member.online).count();
        RouteOp::Shared { filter, members: count(self.members.len()), online: count(online) }
    }
}

struct Member {
    slot: u32,
    options: SubscriptionOptions,
    online: bool,
}

impl SharedMember for Member {
    fn key(&self) -> u64 {
        u64::from(self.slot)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn is_online(&self) -> bool {
        self.online
    }
}

/// Subscriptions of one worker, by filter.
#[derive(Default)]
pub(crate) struct Table {
    plain: FilterTable<Subscribers>,
    shared: HashMap<Arc<SharedFilter>, Group>,
    strategy: SharedStrategy,
}

/// What adding a subscription meant.
pub(crate) struct Added {
    /// The batch after which the subscription is visible.
    pub(crate) batch: u64,
    /// What to report to the node.
    pub(crate) op: Option<RouteOp>,
}

impl Table {
    pub(crate) fn new(strategy: SharedStrategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    /// Adds a subscription or replaces its options. `batch` is the number of the batch that will
    /// carry the reported change.
    pub(crate) fn add(
        &mut self,
        slot: u32,
        filter: &Subscription,
        options: SubscriptionOptions,
        online: bool,
        batch: u64,
    ) -> Added {
        match filter {
            Subscription::Plain(filter) => self.add_plain(slot, filter, options, batch),
            Subscription::Shared(shared) => self.add_shared(slot, shared, options, online, batch),
        }
    }

    fn add_plain(
        &mut self,
        slot: u32,
        filter: &TopicFilter,
        options: SubscriptionOptions,
        batch: u64,
    ) -> Added {
        let entry = self.plain.get_or_insert_with(filter, Subscribers::default);
        let is_new = entry.list.is_empty();
        match entry.list.iter_mut().rev().find(|(of, _)| *of == slot) {
            Some(known) => known.1 = options,
            None => entry.list.push((slot, options)),
        }
        if is_new {
            entry.batch = batch;
        }
        let op = is_new.then(|| RouteOp::Plain { filter: filter.clone(), wanted: true });
        Added { batch: entry.batch, op }
    }

    fn add_shared(
        &mut self,
        slot: u32,
        shared: &SharedFilter,
        options: SubscriptionOptions,
        online: bool,
        batch: u64,
    ) -> Added {
        if !self.shared.contains_key(shared) {
            let picker = SharedPicker::new(self.strategy, false, u64::from(slot));
            let group = Group { batch, members: Vec::new(), picker };
            self.shared.insert(Arc::new(shared.clone()), group);
        }
        let Some((filter, _)) = self.shared.get_key_value(shared) else {
            return Added { batch, op: None };
        };
        let filter = filter.clone();
        let Some(group) = self.shared.get_mut(shared) else { return Added { batch, op: None } };
        if let Some(member) = group.members.iter_mut().find(|member| member.slot == slot) {
            let changed = member.online != online;
            (member.options, member.online) = (options, online);
            let op = changed.then(|| group.report(filter));
            return Added { batch: group.batch, op };
        }
        group.members.push(Member { slot, options, online });
        group.batch = batch;
        Added { batch, op: Some(group.report(filter)) }
    }

    /// Removes a subscription; yields what to report.
    pub(crate) fn remove(&mut self, slot: u32, filter: &Subscription) -> Option<RouteOp> {
        match filter {
            Subscription::Plain(filter) => {
                let entry = self.plain.get_mut(filter)?;
                let at = entry.list.iter().rposition(|(of, _)| *of == slot)?;
                entry.list.swap_remove(at);
                if !entry.list.is_empty() {
                    return None;
                }
                self.plain.remove(filter);
                Some(RouteOp::Plain { filter: filter.clone(), wanted: false })
            }
            Subscription::Shared(shared) => {
                let (filter, _) = self.shared.get_key_value(shared)?;
                let filter = filter.clone();
                let group = self.shared.get_mut(shared)?;
                let at = group.members.iter().position(|member| member.slot == slot)?;
                group.members.remove(at);
                let op = group.report(filter);
                if group.members.is_empty() {
                    self.shared.remove(shared);
                }
                Some(op)
            }
        }
    }

    /// Says whether the client of a group's member is connected; others are preferred if not.
    /// Yields what to report.
    pub(crate) fn set_online(
        &mut self,
        slot: u32,
        shared: &SharedFilter,
        online: bool,
    ) -> Option<RouteOp> {
        let filter = self.shared.get_key_value(shared)?.0.clone();
        let group = self.shared.get_mut(shared)?;
        let member = group.members.iter_mut().find(|member| member.slot == slot)?;
        let changed = std::mem::replace(&mut member.online, online) != online;
        changed.then(|| group.report(filter))
    }

    /// What a member of a group gets messages with.
    pub(crate) fn options_of(
        &self,
        slot: u32,
        filter: &Arc<SharedFilter>,
    ) -> Option<MatchedOptions> {
        let group = self.shared.get(filter)?;
        let member = group.members.iter().find(|member| member.slot == slot)?;
        Some(member.options.matched(false)?.for_shared(filter.clone()))
    }

    /// Whether a group has a connected member on this worker besides one.
    pub(crate) fn has_other_member(&self, shared: &SharedFilter, slot: u32) -> bool {
        let members = self.shared.get(shared).map_or(&[][..], |group| &group.members);
        members.iter().any(|member| member.slot != slot && member.online)
    }

    /// Collects the sessions with plain subscriptions to the message's topic, each once with the
    /// sum of its subscriptions. `is_own` tells whether a session is the publisher's.
    pub(crate) fn matches(
        &self,
        message: &Message,
        mut is_own: impl FnMut(u32) -> bool,
        into: &mut Vec<(u32, MatchedOptions)>,
    ) {
        let mut filters = 0;
        self.plain.for_each_match(&message.topic, |entry| {
            filters += 1;
            for (slot, options) in &entry.list {
                let own = options.no_local && is_own(*slot);
                if let Some(matched) = options.matched(own) {
                    into.push((*slot, matched));
                }
            }
        });
        if filters > 1 {
            merge_overlaps(into);
        }
    }

    /// Picks the member of a group that gets the message.
    pub(crate) fn pick(
        &mut self,
        filter: &Arc<SharedFilter>,
        message: &Message,
        tried: &[u64],
    ) -> Option<(u32, MatchedOptions)> {
        let group = self.shared.get_mut(filter)?;
        let index = group.picker.pick(&group.members, message, tried)?;
        let member = group.members.get(index)?;
        let matched = member.options.matched(false)?.for_shared(filter.clone());
        Some((member.slot, matched))
    }
}

/// One delivery per session with the sum of its matching subscriptions [MQTT-3.3.4-2].
fn merge_overlaps(matches: &mut Vec<(u32, MatchedOptions)>) {
    matches.sort_by_key(|(slot, _)| *slot);
    matches.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1.merge(&later.1);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(filter: &str) -> Subscription {
        filter.parse().unwrap()
    }

    #[test]
    fn only_the_first_and_the_last_subscriber_are_reported() {
        let mut table = Table::default();
        let options = SubscriptionOptions::default();
        assert!(table.add(1, &plain("a/+"), options, true, 7).op.is_some());
        let second = table.add(2, &plain("a/+"), options, true, 8);
        assert!(second.op.is_none());
        assert_eq!(second.batch, 7, "visible as soon as the first one is");
        assert!(table.remove(1, &plain("a/+")).is_none());
        assert!(table.remove(2, &plain("a/+")).is_some());
        assert!(table.remove(2, &plain("a/+")).is_none());
    }

    #[test]
    fn each_change_of_a_group_reports_its_members() {
        let mut table = Table::default();
        let options = SubscriptionOptions::default();
        let filter = plain("$share/g/a");
        let members = |op: Option<RouteOp>| match op {
            Some(RouteOp::Shared { members, .. }) => members,
            other => panic!("{other:?}"),
        };
        let online = |op: Option<RouteOp>| match op {
            Some(RouteOp::Shared { online, .. }) => online,
            other => panic!("{other:?}"),
        };
        assert_eq!(members(table.add(1, &filter, options, true, 1).op), 1);
        assert_eq!(members(table.add(2, &filter, options, true, 2).op), 2);
        let Subscription::Shared(shared) = &filter else { panic!("{filter:?}") };
        assert_eq!(online(table.set_online(1, shared, false)), 1);
        assert!(table.set_online(1, shared, false).is_none());
        assert_eq!(members(table.remove(1, &filter)), 1);
        assert_eq!(members(table.remove(2, &filter)), 0);
    }
}
