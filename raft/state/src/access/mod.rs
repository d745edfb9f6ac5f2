//! Users, API keys and ACL overrides: three tables of texts with a revision each.

pub(crate) mod command;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::changes::{Changes, Event};
use crate::digest::EntryHash;
use crate::types::{Revision, SecretText};
use command::{AccessCommand, AccessKind, AccessReply};

/// One user, key or rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// JSON text for `spanmq-access`.
    pub record: SecretText,
    /// Raft index of the last change.
    pub revision: Revision,
}

type Key = (AccessKind, Arc<str>);

/// All three tables. The digest is kept up to date, as there may be 100,000 users.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    records: Arc<BTreeMap<Key, AccessRecord>>,
    digest: u64,
}

impl Access {
    /// One record.
    #[must_use]
    pub fn get(&self, kind: AccessKind, name: &str) -> Option<&AccessRecord> {
        self.records.get(&(kind, Arc::from(name)))
    }

    /// All records, by table and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&(AccessKind, Arc<str>), &AccessRecord)> {
        self.records.iter()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn put(&mut self, key: Key, record: AccessRecord) {
        self.digest = self.digest.wrapping_add(hash(&key, &record));
        if let Some(old) = Arc::make_mut(&mut self.records).insert(key.clone(), record) {
            self.digest = self.digest.wrapping_sub(hash(&key, &old));
        }
    }

    pub(crate) fn apply(
        &mut self,
        index: u64,
        command: &AccessCommand,
        changes: &mut Changes,
    ) -> AccessReply {
        let (AccessCommand::Put { kind, name, expected, .. }
        | AccessCommand::Delete { kind, name, expected }) = command;
        let key = (*kind, name.clone());
        let present = self.records.get(&key).map(|record| record.revision);
        match (expected, present) {
            (Some(_), None) => return AccessReply::NotFound,
            (Some(expected), Some(revision)) if *expected != revision => {
                return AccessReply::Conflict { revision };
            }
            _ => {}
        }
        match command {
            AccessCommand::Put { create_only: true, .. } if present.is_some() => {
                return AccessReply::AlreadyExists;
            }
            AccessCommand::Put { record, .. } => {
                self.put(key, AccessRecord { record: record.clone(), revision: index });
            }
            AccessCommand::Delete { .. } => match Arc::make_mut(&mut self.records).remove(&key) {
                Some(old) => self.digest = self.digest.wrapping_sub(hash(&key, &old)),
                None => return AccessReply::NotFound,
            },
        }
        changes.events.push(Event::Access { kind: *kind, name: name.clone() });
        AccessReply::Done { revision: index }
    }
}

fn hash(key: &Key, record: &AccessRecord) -> u64 {
    EntryHash::new(7).value(key).value(record).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(name: &str, record: &str, create_only: bool, expected: Option<u64>) -> AccessCommand {
        AccessCommand::Put {
            kind: AccessKind::User,
            name: name.into(),
            record: SecretText::new(record),
            create_only,
            expected,
        }
    }

    #[test]
    fn a_record_is_changed_only_at_the_expected_revision() {
        let mut access = Access::default();
        let mut apply = |index, command| access.apply(index, &command, &mut Changes::default());
        assert_eq!(apply(1, put("u", "a", true, None)), AccessReply::Done { revision: 1 });
        assert_eq!(apply(2, put("u", "b", true, None)), AccessReply::AlreadyExists);
        assert_eq!(apply(3, put("u", "b", false, Some(2))), AccessReply::Conflict { revision: 1 });
        assert_eq!(apply(4, put("u", "b", false, Some(1))), AccessReply::Done { revision: 4 });
        assert_eq!(apply(5, put("x", "b", false, Some(1))), AccessReply::NotFound);
    }

    #[test]
    fn the_digest_returns_to_zero_with_the_last_record() {
        let mut access = Access::default();
        let delete =
            AccessCommand::Delete { kind: AccessKind::User, name: "u".into(), expected: None };
        access.apply(1, &put("u", "a", false, None), &mut Changes::default());
        access.apply(2, &put("u", "b", false, None), &mut Changes::default());
        assert_ne!(access.digest(), 0);
        access.apply(3, &delete, &mut Changes::default());
        assert_eq!(access.digest(), 0);
        assert_eq!(access.apply(4, &delete, &mut Changes::default()), AccessReply::NotFound);
    }

    #[test]
    fn hashes_are_not_printed_security_a9() {
        assert!(!format!("{:?}", put("u", "argon2", false, None)).contains("argon2"));
    }
}
