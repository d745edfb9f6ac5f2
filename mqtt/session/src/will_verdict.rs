use std::time::Instant;

/// What becomes of a will when its connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WillVerdict {
    /// It is forgotten [MQTT-3.14.4-3].
    Discard,
    /// Publish it now.
    Publish,
    /// Publish it then, unless the session ends sooner (then at once) or a connection resumes the
    /// session before (then never, [MQTT-3.1.3-9]).
    PublishAt(Instant),
}
