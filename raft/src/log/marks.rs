//! The small files beside the log. Each is `crc32 u32 (little-endian) | codec body`.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use spanmq_segment::SegmentError;

use crate::codec;

/// A hint is padded to this length, so that writing it never changes the file's size.
const HINT_BYTES: usize = 64;

/// Why a mark cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MarkError {
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error(
        "{} is damaged; remove this node from the cluster, empty its data directory and join again",
        .0.display()
    )]
    Damaged(PathBuf),
}

/// Replaces the mark in `file`; it is durable when this returns.
pub(crate) fn replace<T: Serialize>(file: &Path, value: &T) -> Result<(), SegmentError> {
    spanmq_segment::replace_file(file, &seal(value))
}

/// The mark in `file`, if there is one.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, MarkError> {
    match std::fs::read(file) {
        Ok(bytes) => unseal(&bytes).map(Some).ok_or_else(|| MarkError::Damaged(file.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(MarkError::Read(file.to_owned(), error)),
    }
}

fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let body = codec::encode(value);
    let mut bytes = crc32fast::hash(&body).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (crc, body) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32fast::hash(body)).then(|| codec::decode(body).ok())?
}

/// A mark that is written often, in place, and not synced: after a power loss it may be old or
/// unreadable, and then counts as absent.
#[derive(Debug)]
pub(crate) struct Hint {
    file: File,
}

impl Hint {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        Ok(Self { file: options.open(path)? })
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let mut bytes = [0; HINT_BYTES];
        self.file.read_exact_at(&mut bytes, 0).ok()?;
        let (length, rest) = bytes.split_first()?;
        unseal(rest.get(..usize::from(*length))?)
    }

    /// Writes the mark. Failing to is harmless, so nothing is reported.
    pub(crate) fn write<T: Serialize>(&self, value: &T) {
        let _ = self.try_write(value);
    }

    /// Writes the mark and makes it durable.
    pub(crate) fn write_synced<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.try_write(value)?;
        self.file.sync_data()
    }

    fn try_write<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let sealed = seal(value);
        let length = u8::try_from(sealed.len()).ok().filter(|n| usize::from(*n) < HINT_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a hint must be short"))?;
        let mut bytes = vec![length];
        bytes.extend(sealed);
        bytes.resize(HINT_BYTES, 0);
        self.file.write_all_at(&bytes, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_mark_reads_back_and_a_changed_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mark");
        assert_eq!(read::<u64>(&file).unwrap(), None);
        replace(&file, &7u64).unwrap();
        assert_eq!(read::<u64>(&file).unwrap(), Some(7));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(read::<u64>(&file), Err(MarkError::Damaged(_))));
    }

    #[test]
    fn a_hint_reads_back_and_a_changed_one_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let hint = Hint::open(&dir.path().join("hint")).unwrap();
        assert_eq!(hint.read::<u64>(), None);
        hint.write(&300u64);
        hint.write_synced(&7u64).unwrap();
        assert_eq!(hint.read::<u64>(), Some(7));
        hint.file.write_all_at(&[9], 6).unwrap();
        assert_eq!(hint.read::<u64>(), None);
    }
}
