/// What to answer to a PUBREC of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubrecOutcome {
    /// Send PUBREL 0x00 [MQTT-4.3.3-4], also to a repeated PUBREC.
    Release,
    /// The client refused the message: the flow is over, nothing to send; pump.
    Ended,
    /// No such packet id: PUBREL 0x92 (3.1.1: plain PUBREL), unless the PUBREC itself was a refusal.
    Unknown,
    /// The packet id belongs to a QoS 1 flow: protocol error, close with 0x82.
    WrongFlow,
}
