//! The route ids of one learnt filter, with the slots that hold each. Most filters have one id, and
//! that is the filter itself (LINK-SPEC 2.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::slots::SlotSet;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ids {
    /// One id; none = equal to the filter.
    One(Option<Arc<str>>, SlotSet),
    /// Several ids; a tree, as a hostile remote may send two million of one filter (K6).
    Many(BTreeMap<Arc<str>, SlotSet>),
}

impl Ids {
    pub(crate) fn one(filter: &Arc<str>, id: &Arc<str>, slot: u16) -> Self {
        Self::One((id != filter).then(|| id.clone()), SlotSet::of([slot]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(_, slots) => slots.is_empty(),
            Self::Many(all) => all.is_empty(),
        }
    }

    pub(crate) fn contains(&self, filter: &Arc<str>, id: &Arc<str>) -> bool {
        match self {
            Self::One(one, _) => one.as_ref().unwrap_or(filter) == id,
            Self::Many(all) => all.contains_key(id),
        }
    }

    /// By id.
    pub(crate) fn iter<'a>(
        &'a self,
        filter: &'a Arc<str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a SlotSet)> {
        let (one, many) = match self {
            Self::One(id, slots) => (Some((id.as_ref().unwrap_or(filter), slots)), None),
            Self::Many(all) => (None, Some(all.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Changes the slots of `id`; returns 1 when the entry appeared, -1 when it disappeared.
    pub(crate) fn change(
        &mut self,
        filter: &Arc<str>,
        id: &Arc<str>,
        change: impl FnOnce(&mut SlotSet),
    ) -> i8 {
        if let Self::One(one, slots) = self {
            if one.as_ref().unwrap_or(filter) == id {
                change(slots);
                return -i8::from(slots.is_empty());
            }
            let mut new = SlotSet::default();
            change(&mut new);
            if new.is_empty() {
                return 0;
            }
            let first = one.clone().unwrap_or_else(|| filter.clone());
            let all = BTreeMap::from([(first, slots.clone()), (id.clone(), new)]);
            *self = Self::Many(all);
            return 1;
        }
        let Self::Many(all) = self else { return 0 };
        let is_new = !all.contains_key(id);
        if is_new {
            let mut new = SlotSet::default();
            change(&mut new);
            if new.is_empty() {
                return 0;
            }
            all.insert(id.clone(), new);
            return 1;
        }
        let Some(slots) = all.get_mut(id) else { return 0 };
        change(slots);
        if !slots.is_empty() {
            return 0;
        }
        all.remove(id);
        if all.len() == 1
            && let Some((last, slots)) = all.pop_first()
        {
            *self = Self::One((last != *filter).then_some(last), slots);
        }
        -1
    }
}
