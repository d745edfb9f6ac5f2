use crate::OutgoingPublish;

/// A packet that a session wants written.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// PUBLISH to the client.
    Publish(OutgoingPublish),
    /// PUBREL 0x00, sent again after a reconnect [MQTT-4.4.0-1].
    Pubrel {
        /// The flow it continues.
        packet_id: u16,
    },
}
