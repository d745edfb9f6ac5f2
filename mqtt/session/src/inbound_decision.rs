use crate::FlowId;

/// What to do with a QoS 1 or 2 PUBLISH from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundDecision {
    /// Route it. Then tell the session with [`crate::Session::publish_held`] or
    /// [`crate::Session::publish_refused`].
    Route(FlowId),
    /// It was routed before [MQTT-4.3.3-10]: answer PUBREC 0x00 now, route nothing.
    Repeat,
    /// It is being routed; the answer follows when that ends. Route nothing.
    Pending,
    /// Too many QoS 2 ids wait for their PUBREL: answer PUBREC with this code (0x97); 3.1.1 has none
    /// and is closed.
    Refuse(u8),
    /// End the connection with this code (0x93).
    Close(u8),
}
