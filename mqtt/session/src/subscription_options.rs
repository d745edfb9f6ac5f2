use serde::{Deserialize, Serialize};

use crate::{MatchedOptions, QoS, RetainHandling};

/// What a client asked for with one topic filter (MQTT 5.0 §3.8.3.1).
///
/// For 3.1.1 only `qos` is given; the other defaults are that version's behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SubscriptionOptions {
    /// Highest QoS it wants [MQTT-3.8.4-8].
    pub qos: QoS,
    /// Nothing it published itself [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Keep the retain flag as published [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Which retained messages it wants now.
    pub retain_handling: RetainHandling,
    /// Its number for this subscription, 1–268,435,455.
    pub id: Option<u32>,
}

impl SubscriptionOptions {
    /// What a matching message is delivered with; `None` if the client itself published it and
    /// does not want that (`own`: publisher and subscriber have the same client id).
    ///
    /// Cost: no allocation.
    #[must_use]
    pub fn matched(&self, own: bool) -> Option<MatchedOptions> {
        (!(own && self.no_local)).then(|| MatchedOptions {
            qos: self.qos,
            retain: if self.retain_as_published {
                crate::RetainFlag::AsPublished
            } else {
                crate::RetainFlag::Clear
            },
            ids: self.id.into(),
            shared: None,
        })
    }
}
