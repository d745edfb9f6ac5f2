use serde::{Deserialize, Serialize};

/// How the member of a shared group is picked for a message (MQTT 5.0 §4.8.2 leaves it open).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedStrategy {
    /// One after the other. Default.
    #[default]
    RoundRobin,
    /// The same: a turn belongs to a group on one node in any case.
    RoundRobinPerGroup,
    /// Any, with equal chances.
    Random,
    /// Any of the publisher's node; any other if it has none.
    Local,
    /// The same one until it goes.
    Sticky,
    /// One for each publishing client, as long as the members stay.
    HashClientid,
    /// One for each topic, as long as the members stay.
    HashTopic,
}
