/// How a PUBLISH to a client names its topic (MQTT 5.0 §3.3.2.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AliasUse {
    /// The topic, no alias.
    #[default]
    None,
    /// The topic, and this alias for it from now on.
    Set(u16),
    /// Only this alias; the topic is empty.
    Known(u16),
}
