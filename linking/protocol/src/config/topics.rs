//! The `topics` of a link: what this cluster wants to receive (C-6…C-8).

use super::ValidationError;
use serde_json::{Map, Value, json};
use spanmq_topic::{TopicFilter, intersect, intersections, union};

/// Filters below this are never carried by a link (C-7).
const FORBIDDEN: &str = "$LINK/#";

/// A valid list: every filter well formed, none below `$LINK/`, none covered by another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicList(Vec<TopicFilter>);

impl TopicList {
    /// Checks filter texts.
    ///
    /// # Errors
    /// One error, either `invalid_topics` with all causes or `redundant_topics`, without a path.
    pub fn new(texts: &[String]) -> Result<TopicList, ValidationError> {
        let mut causes = Map::new();
        let mut filters = Vec::with_capacity(texts.len());
        for text in texts {
            match TopicFilter::new(text.as_str()) {
                Err(bad) => {
                    causes.insert(text.clone(), bad.cause().into());
                }
                Ok(filter) if intersect(&filter, FORBIDDEN).is_some() => {
                    causes.insert(text.clone(), "topic_not_allowed".into());
                }
                Ok(filter) => filters.push(filter),
            }
        }
        if !causes.is_empty() {
            return Err(refusal("invalid_topics", causes.into(), texts));
        }
        let redundant = union(&filters).redundant;
        if !redundant.is_empty() {
            let names = redundant.iter().map(|filter| filter.as_str()).collect::<Vec<_>>();
            return Err(refusal("redundant_topics", json!(names), texts));
        }
        Ok(TopicList(filters))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &TopicFilter> {
        self.0.iter()
    }

    /// Whether a forwarded message with this topic is wanted (T-7).
    pub fn matches(&self, topic: &str) -> bool {
        self.0.iter().any(|filter| filter.matches(topic))
    }

    /// What the remote must know for one subscription (T-4).
    pub fn intersections(&self, subscription: &str) -> Vec<String> {
        intersections(subscription, &self.0)
    }
}

fn refusal(reason: &str, topics: Value, given: &[String]) -> ValidationError {
    ValidationError::new(json!({
        "reason": { "reason": reason, "topics": topics },
        "value": given,
    }))
}
