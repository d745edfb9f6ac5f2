/// The retain flag of a delivery (MQTT 5.0 §3.3.1.3). Ordered: the later one wins a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RetainFlag {
    /// 0: an ordinary delivery [MQTT-3.3.1-12].
    #[default]
    Clear,
    /// As the publisher set it [MQTT-3.3.1-13].
    AsPublished,
    /// 1: a retained message sent because of a SUBSCRIBE (§3.3.1.3).
    Set,
}

impl RetainFlag {
    /// The flag to send for a message that was published with `published`.
    #[must_use]
    pub const fn apply(self, published: bool) -> bool {
        match self {
            Self::Clear => false,
            Self::AsPublished => published,
            Self::Set => true,
        }
    }
}
