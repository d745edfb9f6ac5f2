//! A snapshot as a file.
//!
//! ```text
//! file   = magic "SPANMQSS" | version u32 | record*
//! record = kind u8 | length u32 | crc32 u32 | body      kinds: 1 meta, 2 chunk, 3 end
//! ```
//! Numbers are little-endian; the checksum covers kind, length and body. The end record holds the
//! number of chunks, so a file that was cut off at a record is noticed. A file gets its name only
//! when it is whole and synced (SECURITY C3).

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{codec, types::SnapshotMeta};

const MAGIC: &[u8; 8] = b"SPANMQSS";
const VERSION: u32 = 1;
/// No chunk is longer; checked before memory is set aside for it.
const CHUNK_BYTES_MAX: u32 = 32 << 20;

const KIND_META: u8 = 1;
const KIND_CHUNK: u8 = 2;
const KIND_END: u8 = 3;

/// Why a snapshot file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} the snapshot {}", file.display())]
    Io {
        action: &'static str,
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the snapshot {} is damaged at offset {offset}: {detail}", file.display())]
    Damaged { file: PathBuf, offset: u64, detail: String },
    #[error(
        "the snapshot {} has format version {version}, this program reads {VERSION}; use the \
         program version that wrote it",
        file.display()
    )]
    Version { file: PathBuf, version: u32 },
}

impl SnapshotError {
    pub(crate) fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }
}

pub(super) fn io_error<'a>(
    action: &'static str,
    file: &'a Path,
) -> impl FnOnce(io::Error) -> SnapshotError + 'a {
    move |source| SnapshotError::Io { action, file: file.to_owned(), source }
}

/// A whole snapshot, open for reading: it can be sent even after a newer one has replaced it.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
}

impl SnapshotFile {
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let bytes = file.metadata().map_err(io_error("stat", path))?.len();
        Ok(Self { path: path.to_owned(), file: Arc::new(file), bytes })
    }
}

/// Writes a snapshot under a temporary name.
pub(crate) struct SnapshotWriter {
    temporary: PathBuf,
    out: BufWriter<File>,
    chunks: u64,
}

impl SnapshotWriter {
    pub(crate) fn create(temporary: &Path, meta: &SnapshotMeta) -> Result<Self, SnapshotError> {
        let file = create_private(temporary)?;
        let mut writer =
            Self { temporary: temporary.to_owned(), out: BufWriter::new(file), chunks: 0 };
        writer.put(&[MAGIC.as_slice(), &VERSION.to_le_bytes()].concat())?;
        writer.record(KIND_META, &codec::encode(meta))?;
        Ok(writer)
    }

    pub(crate) fn chunk(&mut self, body: &[u8]) -> Result<(), SnapshotError> {
        self.chunks += 1;
        self.record(KIND_CHUNK, body)
    }

    /// Syncs the file and gives it its name, durably.
    pub(crate) fn finish(mut self, path: &Path) -> Result<SnapshotFile, SnapshotError> {
        let chunks = self.chunks;
        self.record(KIND_END, &chunks.to_le_bytes())?;
        let synced = self.out.into_inner().map_err(io::IntoInnerError::into_error);
        synced.and_then(|file| file.sync_all()).map_err(io_error("write", &self.temporary))?;
        publish(&self.temporary, path)
    }

    fn record(&mut self, kind: u8, body: &[u8]) -> Result<(), SnapshotError> {
        let length = body.len() as u32;
        let mut head = vec![kind];
        head.extend(length.to_le_bytes());
        head.extend(checksum(kind, length, body).to_le_bytes());
        self.put(&head)?;
        self.put(body)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.out.write_all(bytes).map_err(io_error("write", &self.temporary))
    }
}

pub(crate) fn create_private(path: &Path) -> Result<File, SnapshotError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(io_error("create", path))
}

/// Gives a whole, synced file its name.
pub(super) fn publish(temporary: &Path, path: &Path) -> Result<SnapshotFile, SnapshotError> {
    std::fs::rename(temporary, path).map_err(io_error("rename", path))?;
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))?;
    }
    SnapshotFile::open(path)
}

/// Reads a snapshot; `chunk` takes its parts in order and may refuse them with a reason.
pub(crate) fn read(
    path: &Path,
    mut chunk: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<SnapshotMeta, SnapshotError> {
    let mut reader = Reader::open(path)?;
    let (kind, body) = reader.record()?;
    if kind != KIND_META {
        return Err(reader.damaged("it does not begin with its meta data"));
    }
    let meta = codec::decode(&body).map_err(|error| reader.damaged(&error.to_string()))?;
    let mut chunks = 0u64;
    loop {
        match reader.record()? {
            (KIND_CHUNK, body) => {
                chunk(&body).map_err(|reason| reader.damaged(&reason))?;
                chunks += 1;
            }
            (KIND_END, body) if body == chunks.to_le_bytes() => return Ok(meta),
            (KIND_END, _) => return Err(reader.damaged("chunks are missing")),
            (kind, _) => return Err(reader.damaged(&format!("unknown record kind {kind}"))),
        }
    }
}

struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let mut reader = Self { path: path.to_owned(), input: BufReader::new(file), offset: 0 };
        let magic: [u8; 8] = reader.take()?;
        let version = u32::from_le_bytes(reader.take()?);
        if &magic != MAGIC {
            return Err(reader.damaged("this is not a snapshot"));
        }
        if version != VERSION {
            return Err(SnapshotError::Version { file: reader.path, version });
        }
        Ok(reader)
    }

    fn record(&mut self) -> Result<(u8, Vec<u8>), SnapshotError> {
        let [kind] = self.take()?;
        let length = u32::from_le_bytes(self.take()?);
        let crc = u32::from_le_bytes(self.take()?);
        if length > CHUNK_BYTES_MAX {
            return Err(self.damaged("a record is longer than any can be"));
        }
        let mut body = vec![0; length as usize];
        self.fill(&mut body)?;
        if checksum(kind, length, &body) != crc {
            return Err(self.damaged("a record fails its checksum"));
        }
        self.offset += 9 + u64::from(length);
        Ok((kind, body))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        match self.input.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it is cut off"))
            }
            Err(error) => Err(io_error("read", &self.path)(error)),
        }
    }

    fn damaged(&self, detail: &str) -> SnapshotError {
        SnapshotError::Damaged {
            file: self.path.clone(),
            offset: self.offset,
            detail: detail.to_owned(),
        }
    }
}

fn checksum(kind: u8, length: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(&length.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path) -> PathBuf {
        let meta = SnapshotMeta { snapshot_id: "1-1-7".into(), ..SnapshotMeta::default() };
        let mut writer = SnapshotWriter::create(&dir.join("s.tmp"), &meta).unwrap();
        writer.chunk(b"first").unwrap();
        writer.chunk(b"second").unwrap();
        writer.finish(&dir.join("s.snap")).unwrap().path
    }

    fn read_all(path: &Path) -> Result<(SnapshotMeta, Vec<Vec<u8>>), SnapshotError> {
        let mut chunks = Vec::new();
        let meta = read(path, |chunk| {
            chunks.push(chunk.to_vec());
            Ok(())
        })?;
        Ok((meta, chunks))
    }

    #[test]
    fn a_snapshot_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let (meta, chunks) = read_all(&write(dir.path())).unwrap();
        assert_eq!(meta.snapshot_id, "1-1-7");
        assert_eq!(chunks, [b"first".to_vec(), b"second".to_vec()]);
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, bad).unwrap();
            assert!(read_all(&path).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_cut_off_file_is_noticed_wherever_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read_all(&path).is_err(), "length {length}");
        }
    }

    #[test]
    fn an_announced_length_beyond_the_limit_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[13..17].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        assert!(read_all(&path).unwrap_err().to_string().contains("longer than any"));
    }
}
