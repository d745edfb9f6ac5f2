//! Why a log could not be opened, read or written.

use std::{io, path::PathBuf};

/// Why an operation on a segment log failed. The log is as it was before the call, except after
/// [`SegmentError::Stopped`].
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("cannot {action} {}", file.display())]
    Io {
        action: &'static str,
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} is damaged at offset {offset} (record {sequence}): {detail}; `spanmq repair` with this \
         node's --data-dir tells what can be saved, and how",
        file.display()
    )]
    Damaged { file: PathBuf, offset: u64, sequence: u64, detail: &'static str },
    #[error(
        "records {missing_from}..{missing_to} are missing before {}; restore the lost file from a \
         backup, or see what `spanmq repair` with this node's --data-dir says",
        file.display()
    )]
    Gap { file: PathBuf, missing_from: u64, missing_to: u64 },
    #[error("{} has format version {version}, this program reads version {expected}; use the program version that wrote it", file.display())]
    Version { file: PathBuf, version: u32, expected: u32 },
    #[error("a record of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the log in {} stopped after an earlier failure ({cause}); reopen it", dir.display())]
    Stopped { dir: PathBuf, cause: String },
}

impl SegmentError {
    /// Whether the disk (or quota) is full: refuse writes, keep serving reads, try again later
    /// (CHAOS.md P11).
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ))
    }

    /// Whether the files contradict themselves, so that reading on would answer wrongly.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Gap { .. } | Self::Version { .. })
    }
}
