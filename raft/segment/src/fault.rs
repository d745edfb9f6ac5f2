//! Where tests and fail points make the disk fail (CHAOS.md N11).

use std::{io, path::Path};

/// What happens to one write.
#[derive(Debug)]
pub enum WriteFault {
    /// Nothing is written.
    Fail(io::Error),
    /// This many bytes are written, then the error comes.
    Short(usize, io::Error),
}

/// Asked before each access to a segment file. The default answers let everything pass.
pub trait Faults: Send + Sync + 'static {
    /// Before `bytes` bytes are written to `file`.
    fn on_write(&self, file: &Path, bytes: usize) -> Option<WriteFault> {
        let _ = (file, bytes);
        None
    }
    /// Before `file` is synced.
    fn on_sync(&self, file: &Path) -> Option<io::Error> {
        let _ = file;
        None
    }
    /// Before `file` is shortened, also when a failed write is undone.
    fn on_truncate(&self, file: &Path) -> Option<io::Error> {
        let _ = file;
        None
    }
    /// Before a record is read from `file`.
    fn on_read(&self, file: &Path) -> Option<io::Error> {
        let _ = file;
        None
    }
}

/// The disk as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
