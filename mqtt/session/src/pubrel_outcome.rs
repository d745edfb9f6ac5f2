/// What to answer to a PUBREL of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubrelOutcome {
    /// PUBCOMP 0x00.
    Complete,
    /// PUBCOMP 0x92 (3.1.1: plain PUBCOMP).
    Unknown,
}
