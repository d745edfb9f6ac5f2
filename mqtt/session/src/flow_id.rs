use crate::QoS;

/// Names one QoS 1 or 2 PUBLISH of the client while it is being routed.
///
/// A packet id alone would not do: the answer of a slow destination may come after a reconnect, when
/// the client uses the same id for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// The client's packet id.
    pub packet_id: u16,
    /// QoS of the PUBLISH: 1 or 2.
    pub qos: QoS,
    /// Which connection of this session began it.
    pub run: u32,
}
