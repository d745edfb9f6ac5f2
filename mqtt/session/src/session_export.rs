use std::{collections::HashMap, sync::Arc};

use crate::{JournalOp, Message, MessageId};

/// A session on its way to another worker or node.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionExport {
    /// Whose it is.
    pub client_id: Arc<str>,
    /// Its state.
    pub ops: Vec<JournalOp>,
    /// The messages in memory that `ops` name; those that wait in the old owner's store follow on
    /// their own (see [`Self::missing`]).
    pub messages: Vec<Arc<Message>>,
}

impl SessionExport {
    /// The messages by their ids.
    #[must_use]
    pub fn by_id(&self) -> HashMap<MessageId, Arc<Message>> {
        self.messages.iter().map(|message| (message.id, Arc::clone(message))).collect()
    }

    /// The ids that `messages` lacks: the new owner's store needs them before the new session
    /// asks for them ([`crate::Session::refill`]).
    #[must_use]
    pub fn missing(&self) -> Vec<MessageId> {
        let known = self.by_id();
        let named = self.ops.iter().filter_map(|op| match op {
            JournalOp::Enqueued(entry) => Some(entry.message),
            _ => None,
        });
        named.filter(|id| !known.contains_key(id)).collect()
    }
}
