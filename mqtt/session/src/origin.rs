use std::sync::Arc;

/// How a message came into this cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// A client of this cluster published it.
    #[default]
    Local,
    /// It came over the link to this remote cluster, and must not cross a link again.
    Link(Arc<str>),
}
