use crate::DropReason;

/// What became of a message that a session was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It waits in memory. Pump the session if it is connected.
    Queued,
    /// Memory is full: only its entry is kept, and the store must hold the message until
    /// [`crate::Session::refill`] asks for it.
    Spilled,
    /// It had the message before the node was restarted; this is the repeat of a QoS 2 PUBLISH
    /// that was never answered.
    Repeat,
    /// The session does not have it; counted.
    Dropped(DropReason),
}
