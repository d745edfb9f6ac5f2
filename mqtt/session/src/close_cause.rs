/// Why a connection ended, as far as its will is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The client sent DISCONNECT 0x00, or any DISCONNECT of 3.1.1.
    Disconnect,
    /// The client sent DISCONNECT 0x04.
    DisconnectWithWill,
    /// Anything else: silence, errors, kicks, a closed socket, a shutdown of the server.
    Broken,
    /// A new connection of the same client takes the session over and keeps it.
    TakenOver,
    /// A new connection of the same client starts clean: the session ends.
    TakenOverClean,
}
