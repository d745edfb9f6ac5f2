//! How a log is laid out on disk.

/// How a [`SegmentLog`](crate::SegmentLog) is laid out and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentOptions {
    /// A segment that has reached this size is sealed and a new one begun. At most 1 GiB.
    /// Default: 64 MiB.
    pub segment_bytes: u64,
    /// The file grows ahead of the records in steps of this size, filled with zeros, because a
    /// sync that need not change the file's length is 2–3 times faster. 0: off. Default: 0.
    pub preallocate_bytes: u64,
    /// Longest record accepted, both when written and when read. Default: 32 MiB.
    pub record_bytes_max: u32,
    /// Which segments are read through when the log is opened. Default: all.
    pub verify: Verify,
    /// The sequence of the first record of an empty log. Default: 0.
    pub first_sequence: u64,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            preallocate_bytes: 0,
            record_bytes_max: 32 << 20,
            verify: Verify::All,
            first_sequence: 0,
        }
    }
}

/// Which segments are read through when a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Every record of every segment: damage is found before anything is served.
    All,
    /// Only the newest segment. Older ones are checked when they are first read, which suits
    /// large spools: opening stays fast.
    Newest,
}
