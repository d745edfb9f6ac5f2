use crate::MessageId;

/// Under which name a flow is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The id of its message.
    pub message: MessageId,
    /// It was routed before under this id, see [`crate::Message::repeated`].
    pub repeated: bool,
    /// The journal knows it.
    pub noted: bool,
}
