//! The opcodes of this crate on the cluster port. Part of the wire format.

/// On raft connections.
pub(crate) const APPEND: u16 = 1;
pub(crate) const VOTE: u16 = 2;
pub(crate) const LEASE: u16 = 3;

/// On query connections.
pub(crate) const SNAPSHOT_PART: u16 = 1;
pub(crate) const SNAPSHOT_INSTALL: u16 = 2;
pub(crate) const LEADER: u16 = 3;
pub(crate) const ELECT: u16 = 4;
/// A member that no leader reaches any more tells its new address to whom it can reach.
pub(crate) const MOVED: u16 = 5;

/// On join connections.
pub(crate) const JOIN: u16 = 1;

/// Other crates' queries have kinds from here on.
pub const APPLICATION_KINDS: u16 = 256;

/// Codes of failures.
pub(crate) const REFUSED: u16 = 1;
pub(crate) const NOT_LEADER: u16 = 2;
pub(crate) const UNKNOWN_OUTCOME: u16 = 3;
pub(crate) const BAD_BODY: u16 = 4;
pub(crate) const STOPPING: u16 = 5;
pub(crate) const OUT_OF_PLACE: u16 = 6;
/// The asker was removed from the cluster.
pub(crate) const REMOVED: u16 = 7;
/// The leader's disk has no room for another entry.
pub(crate) const DISK_FULL: u16 = 8;
