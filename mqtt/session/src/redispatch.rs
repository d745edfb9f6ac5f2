use std::sync::Arc;

use spanmq_topic::SharedFilter;

use crate::{JournalOp, Message, QoS};

/// A message that a member of a shared group gives back, to be picked again (MQTT 5.0 §4.8.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Redispatch {
    /// The group and its filter.
    pub filter: Arc<SharedFilter>,
    /// What it did not acknowledge.
    pub message: Arc<Message>,
    /// QoS it was to have.
    pub qos: QoS,
    /// What the journal is told once another member has it; nothing without a journal.
    pub op: Option<JournalOp>,
}
