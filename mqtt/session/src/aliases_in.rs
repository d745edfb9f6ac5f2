use spanmq_topic::TopicName;

use crate::AliasError;

/// Topic aliases that the client set on this connection (MQTT 5.0 §3.3.2.3.4).
///
/// Memory: one slot per alias up to the highest one used, at most the announced maximum (L6).
#[derive(Debug, Clone, Default)]
pub struct AliasesIn {
    max: u16,
    topics: Vec<Option<TopicName>>,
}

impl AliasesIn {
    /// None set yet; `max` is what CONNACK announces.
    #[must_use]
    pub const fn new(max: u16) -> Self {
        Self { max, topics: Vec::new() }
    }

    /// The topic of a PUBLISH. `topic` is `None` if it was empty on the wire.
    ///
    /// # Errors
    /// [`AliasError`], after which the connection must end.
    pub fn resolve(
        &mut self,
        topic: Option<TopicName>,
        alias: Option<u16>,
    ) -> Result<TopicName, AliasError> {
        let Some(alias) = alias else { return topic.ok_or(AliasError::NoTopic) };
        if alias == 0 || alias > self.max {
            return Err(AliasError::OutOfRange { alias, max: self.max });
        }
        let slot = usize::from(alias - 1);
        let Some(topic) = topic else {
            let known = self.topics.get(slot).and_then(Option::as_ref);
            return known.cloned().ok_or(AliasError::Unknown { alias });
        };
        if self.topics.len() <= slot {
            self.topics.resize(slot + 1, None);
        }
        self.topics[slot] = Some(topic.clone());
        Ok(topic)
    }
}
