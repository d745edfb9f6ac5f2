/// A member of a shared group, as its picker sees it.
pub trait SharedMember {
    /// Names the member as long as it is in the group (say, a hash of its client id).
    fn key(&self) -> u64;

    /// Whether its session lives on this node.
    fn is_local(&self) -> bool;

    /// Whether its client is connected. Others are picked only when nobody is.
    fn is_online(&self) -> bool;
}
