/// What a PUBACK or PUBCOMP of the client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckOutcome {
    /// The flow is over; there is room in the window: pump.
    Done,
    /// No such packet id. Harmless (a late repeat).
    Unknown,
    /// The packet id belongs to the other kind of flow: protocol error, close with 0x82.
    WrongFlow,
}
