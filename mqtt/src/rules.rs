//! What clients may use of MQTT on this broker, and what they are told of it (`mqtt.*`,
//! `retainer.*`).

use std::sync::Arc;

use spanmq_session::{Properties, QoS};
use spanmq_topic::Subscription;

const CLIENT_ID_INVALID: u8 = 0x85;
const RETAIN_NOT_SUPPORTED: u8 = 0x9A;
const QOS_NOT_SUPPORTED: u8 = 0x9B;
const SHARED_NOT_SUPPORTED: u8 = 0x9E;
const WILDCARDS_NOT_SUPPORTED: u8 = 0xA2;

/// Rules for all clients of a node. A 5.0 client hears of them in its CONNACK.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRules {
    /// Highest QoS of a PUBLISH or will; subscriptions are granted at most this (MQTT 5.0
    /// §3.2.2.3.4). Default: 2.
    pub qos_max: QoS,
    /// Whether messages and wills may be retained (§3.2.2.3.5). Default: yes.
    pub retain: bool,
    /// Whether filters may hold wildcards (§3.2.2.3.11). Default: yes.
    pub wildcards: bool,
    /// Whether shared subscriptions are accepted (§3.2.2.3.13). Default: yes.
    pub shared: bool,
    /// Bytes of a client id. Default: 65,535.
    pub client_id_bytes_max: usize,
    /// Silence, in keep-alives, after which a client is gone [MQTT-3.1.2-22]. Default: 1.5.
    pub keep_alive_factor: f64,
    /// Seconds that the session of a 3.1.1 client without clean session stays. Default: 2 h.
    pub session_expiry_v3_s: u32,
    /// Whether a 3.1.1 client gets what it published itself. Default: yes [MQTT-3.3.1-9 leaves the
    /// other choice to 5.0 and its No Local].
    pub echo_v3: bool,
    /// Seconds until a message expires whose publisher named no time. `None`: never.
    pub message_expiry_s: Option<u32>,
    /// Response Information for those who ask for it (§3.2.2.3.15). Default: none.
    pub response_information: Option<Arc<str>>,
    /// Rules of retained messages.
    pub retainer: RetainerRules,
}

/// What becomes of retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainerRules {
    /// Whether they are kept, and sent to new subscribers. Default: yes.
    pub keeps: bool,
    /// Seconds until one expires whose publisher named no time. `None`: never.
    pub expiry_s: Option<u32>,
    /// Whether the empty message that deletes a retained one is hidden from subscribers.
    /// Default: no.
    pub hides_clearing: bool,
}

impl Default for ClientRules {
    fn default() -> Self {
        Self {
            qos_max: QoS::ExactlyOnce,
            retain: true,
            wildcards: true,
            shared: true,
            client_id_bytes_max: usize::from(u16::MAX),
            keep_alive_factor: 1.5,
            session_expiry_v3_s: 2 * 60 * 60,
            echo_v3: true,
            message_expiry_s: None,
            response_information: None,
            retainer: RetainerRules { keeps: true, expiry_s: None, hides_clearing: false },
        }
    }
}

impl ClientRules {
    pub(crate) fn check_client_id(&self, id: &str) -> Result<(), u8> {
        if id.len() > self.client_id_bytes_max { Err(CLIENT_ID_INVALID) } else { Ok(()) }
    }

    /// A PUBLISH, or the will of a CONNECT [MQTT-3.2.2-12].
    pub(crate) fn check_message(&self, qos: QoS, retain: bool) -> Result<(), u8> {
        if qos > self.qos_max {
            Err(QOS_NOT_SUPPORTED)
        } else if retain && !self.retain {
            Err(RETAIN_NOT_SUPPORTED)
        } else {
            Ok(())
        }
    }

    /// A refusal is the answer to this filter, not the end of the connection: the filters beside it
    /// may be fine.
    pub(crate) fn check_filter(&self, subscription: &Subscription) -> Result<(), u8> {
        if !self.shared && matches!(subscription, Subscription::Shared(_)) {
            Err(SHARED_NOT_SUPPORTED)
        } else if !self.wildcards && subscription.filter().contains(['+', '#']) {
            Err(WILDCARDS_NOT_SUPPORTED)
        } else {
            Ok(())
        }
    }

    pub(crate) fn limit_life(&self, properties: &mut Properties) {
        if properties.message_expiry.is_none() {
            properties.message_expiry = self.message_expiry_s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_refused_with_its_own_code() {
        let rules = ClientRules {
            qos_max: QoS::AtLeastOnce,
            retain: false,
            wildcards: false,
            shared: false,
            client_id_bytes_max: 23,
            ..ClientRules::default()
        };
        assert_eq!(rules.check_message(QoS::AtLeastOnce, false), Ok(()));
        assert_eq!(rules.check_message(QoS::ExactlyOnce, false), Err(0x9B));
        assert_eq!(rules.check_message(QoS::AtMostOnce, true), Err(0x9A));
        let filter = |text: &str| rules.check_filter(&text.parse().unwrap());
        assert_eq!(filter("a/b"), Ok(()));
        assert_eq!(filter("a/+"), Err(0xA2));
        assert_eq!(filter("#"), Err(0xA2));
        assert_eq!(filter("$share/g/a"), Err(0x9E));
        assert_eq!(rules.check_client_id(&"x".repeat(23)), Ok(()));
        assert_eq!(rules.check_client_id(&"x".repeat(24)), Err(0x85));
    }

    #[test]
    fn only_messages_without_an_expiry_get_one() {
        let rules = ClientRules { message_expiry_s: Some(60), ..ClientRules::default() };
        let life = |own| {
            let mut properties = Properties { message_expiry: own, ..Properties::default() };
            rules.limit_life(&mut properties);
            properties.message_expiry
        };
        assert_eq!((life(None), life(Some(5)), life(Some(600))), (Some(60), Some(5), Some(600)));
    }
}
