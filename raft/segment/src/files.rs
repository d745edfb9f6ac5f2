//! Files and directories: private modes, and names that survive a power loss.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{SegmentError, fault::Faults, fault::WriteFault};

/// Creates `dir` and its parents with mode 0700 (SECURITY-REQUIREMENTS A8); an existing one stays
/// as it is.
///
/// # Errors
/// [`SegmentError::Io`] with the directory's name.
pub fn create_private_dir(dir: &Path) -> Result<(), SegmentError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}

/// Makes the names inside `dir` durable.
///
/// # Errors
/// [`SegmentError::Io`] with the directory's name.
pub fn sync_dir(dir: &Path) -> Result<(), SegmentError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(io_error("sync", dir))
}

/// Puts `bytes` in the place of `file` (mode 0600): after a crash the old or the new content is
/// there, never a mixture, and the new one once this has returned.
///
/// # Errors
/// [`SegmentError::Io`]; the old content is then still there.
pub fn replace_file(file: &Path, bytes: &[u8]) -> Result<(), SegmentError> {
    let temporary = with_suffix(file, "tmp");
    let written = create_private(&temporary).and_then(|mut out| {
        out.write_all(bytes)?;
        out.sync_all()
    });
    if let Err(source) = written {
        // Frees the space again; the error that counts is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(io_error("write", &temporary)(source));
    }
    fs::rename(&temporary, file).map_err(io_error("rename a temporary file to", file))?;
    file.parent().map_or(Ok(()), sync_dir)
}

/// `file` with `.suffix` appended to its name.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Names the file and what was done to it in an error.
pub(crate) fn io_error<'a>(
    action: &'static str,
    file: &'a Path,
) -> impl FnOnce(io::Error) -> SegmentError + 'a {
    move |source| SegmentError::Io { action, file: file.to_owned(), source }
}

fn create_private(file: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(file)
}

/// Creates a segment with its header, durably, and returns its handle.
pub(crate) fn create_segment(
    file: &Path,
    header: &[u8],
    faults: &dyn Faults,
) -> Result<File, SegmentError> {
    let temporary = with_suffix(file, "tmp");
    let made = (|| {
        let out = create_private(&temporary)?;
        write_at(&out, &temporary, header, 0, faults)?;
        sync(&out, &temporary, faults, Extent::All)?;
        Ok(out)
    })();
    let out = made.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        io_error("create", file)(source)
    })?;
    fs::rename(&temporary, file).map_err(io_error("rename a temporary file to", file))?;
    file.parent().map_or(Ok(()), sync_dir)?;
    Ok(out)
}

pub(crate) fn open_segment(file: &Path) -> Result<File, SegmentError> {
    OpenOptions::new().read(true).write(true).open(file).map_err(io_error("open", file))
}

/// Writes all of `bytes` at `offset`: one `write(2)` unless the kernel takes only a part.
pub(crate) fn write_at(
    out: &File,
    file: &Path,
    bytes: &[u8],
    offset: u64,
    faults: &dyn Faults,
) -> io::Result<()> {
    match faults.on_write(file, bytes.len()) {
        None => out.write_all_at(bytes, offset),
        Some(WriteFault::Fail(error)) => Err(error),
        Some(WriteFault::Short(count, error)) => {
            out.write_all_at(bytes.get(..count).unwrap_or(bytes), offset)?;
            Err(error)
        }
    }
}

/// What a sync covers.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// The data and what is needed to read it.
    Data,
    /// Also the file's attributes: after creation and shortening.
    All,
}

pub(crate) fn sync(out: &File, file: &Path, faults: &dyn Faults, what: Extent) -> io::Result<()> {
    match (faults.on_sync(file), what) {
        (Some(error), _) => Err(error),
        (None, Extent::Data) => out.sync_data(),
        (None, Extent::All) => out.sync_all(),
    }
}

pub(crate) fn shorten(out: &File, file: &Path, to: u64, faults: &dyn Faults) -> io::Result<()> {
    match faults.on_truncate(file) {
        Some(error) => Err(error),
        None => out.set_len(to),
    }
}
