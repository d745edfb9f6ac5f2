/// The packet that answers a PUBLISH of the client, on its present connection. The reason code is
/// the shell's: 0x00, 0x10 (nobody subscribed) or the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishAnswer {
    /// For QoS 1.
    Puback,
    /// For QoS 2.
    Pubrec,
}
