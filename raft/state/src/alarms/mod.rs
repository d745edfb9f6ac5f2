//! Alarms that stand, and a bounded history of those that ended.

pub(crate) mod command;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::types::{Millis, NodeId};
use command::{AlarmCommand, AlarmReply};

/// Alarms standing at one time; more are refused.
const STANDING_MAX: usize = 10_000;

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Such as `retained_full`.
    pub name: Arc<str>,
    /// Who raised it; 0 = the cluster.
    pub node: NodeId,
    /// For people.
    pub message: Arc<str>,
    /// JSON text.
    pub details: Arc<str>,
    /// When it was raised.
    pub activated_ms: Millis,
    /// When it ended.
    pub deactivated_ms: Option<Millis>,
}

/// Standing alarms and the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alarms {
    pub(crate) standing: BTreeMap<(Arc<str>, NodeId), Alarm>,
    pub(crate) history: VecDeque<Alarm>,
}

impl Alarms {
    /// Those that stand, by name and node.
    pub fn standing(&self) -> impl ExactSizeIterator<Item = &Alarm> {
        self.standing.values()
    }

    /// Those that ended, oldest first.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &Alarm> {
        self.history.iter()
    }

    /// Costs a pass over all alarms, so [`State`](crate::State) asks only after a change.
    pub(crate) fn digest(&self) -> u64 {
        let hash = EntryHash::new(8).u64(self.standing.len() as u64);
        self.standing.values().chain(&self.history).fold(hash, |h, alarm| h.value(alarm)).finish()
    }

    pub(crate) fn apply(
        &mut self,
        command: &AlarmCommand,
        history_max: u32,
        changes: &mut Changes,
    ) -> AlarmReply {
        let name = match command {
            AlarmCommand::ClearHistory => {
                self.history.clear();
                return AlarmReply::Done;
            }
            AlarmCommand::Activate { name, node, message, details, at_ms } => {
                let key = (name.clone(), *node);
                if let Some(alarm) = self.standing.get_mut(&key) {
                    alarm.message = message.clone();
                    alarm.details = details.clone();
                    return AlarmReply::Unchanged;
                }
                if self.standing.len() >= STANDING_MAX {
                    return AlarmReply::TooMany;
                }
                let alarm = Alarm {
                    name: name.clone(),
                    node: *node,
                    message: message.clone(),
                    details: details.clone(),
                    activated_ms: *at_ms,
                    deactivated_ms: None,
                };
                self.standing.insert(key, alarm);
                name
            }
            AlarmCommand::Deactivate { name, node, at_ms } => {
                let Some(mut alarm) = self.standing.remove(&(name.clone(), *node)) else {
                    return AlarmReply::Unchanged;
                };
                alarm.deactivated_ms = Some(*at_ms);
                self.history.push_back(alarm);
                while self.history.len() > history_max as usize {
                    self.history.pop_front();
                }
                name
            }
        };
        changes.events.push(Event::Alarm { name: name.clone() });
        AlarmReply::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activate(name: &str, at_ms: Millis) -> AlarmCommand {
        AlarmCommand::Activate {
            name: name.into(),
            node: 1,
            message: "m".into(),
            details: "{}".into(),
            at_ms,
        }
    }

    #[test]
    fn an_alarm_that_stands_keeps_its_first_time() {
        let mut alarms = Alarms::default();
        let changes = &mut Changes::default();
        assert_eq!(alarms.apply(&activate("a", 1), 10, changes), AlarmReply::Done);
        assert_eq!(alarms.apply(&activate("a", 2), 10, changes), AlarmReply::Unchanged);
        assert_eq!(alarms.standing().next().unwrap().activated_ms, 1);
    }

    #[test]
    fn the_history_is_bounded_and_drops_the_oldest() {
        let mut alarms = Alarms::default();
        let changes = &mut Changes::default();
        for n in 0..5 {
            alarms.apply(&activate("a", n), 3, changes);
            let end = AlarmCommand::Deactivate { name: "a".into(), node: 1, at_ms: n };
            assert_eq!(alarms.apply(&end, 3, changes), AlarmReply::Done);
        }
        assert_eq!(alarms.history().map(|a| a.activated_ms).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(alarms.standing().len(), 0);
        alarms.apply(&AlarmCommand::ClearHistory, 3, changes);
        assert_eq!(alarms.history().len(), 0);
    }
}
