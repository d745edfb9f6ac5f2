/// Why a message did not reach a session. Every case is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// QoS 0 and nobody is connected.
    Offline,
    /// The inbox (or spill) of the session is full.
    QueueFull,
    /// It made room for a newer one: QoS 0 for QoS 1 and 2, any if the oldest is to give way.
    Evicted,
    /// Its expiry interval passed before delivery began [MQTT-3.3.2-5].
    Expired,
    /// Larger than the client's maximum packet size [MQTT-3.1.2-25].
    TooLarge,
    /// It waited in the store, and the store does not have it any more.
    Lost,
    /// The session lives elsewhere by now (newer epoch).
    Moved,
}

impl DropReason {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::Offline,
        Self::QueueFull,
        Self::Evicted,
        Self::Expired,
        Self::TooLarge,
        Self::Lost,
        Self::Moved,
    ];

    /// Its label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::QueueFull => "queue_full",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::Lost => "lost",
            Self::Moved => "moved",
        }
    }
}
