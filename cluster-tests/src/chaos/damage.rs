//! Damage to the files of a node that is down (N8, with a torn tail).

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What a write that was cut off leaves behind the last whole record.
const TORN: &[u8] = &[0x53, 0x00, 0xff, 0x17, 0x2a];

/// Appends the beginning of a record to the newest session journal, as a kill in the middle of a
/// write leaves it. Nothing that was written whole is touched, so nothing may be lost.
///
/// # Errors
/// When there is no journal, or it cannot be written.
pub(crate) fn torn_tail(data: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    segments(data, &mut files)?;
    let newest = files.into_iter().max_by_key(|path| {
        fs::metadata(path).and_then(|m| m.modified()).unwrap_or(std::time::UNIX_EPOCH)
    });
    let path = newest.with_context(|| format!("no journal in {}", data.display()))?;
    OpenOptions::new().append(true).open(&path)?.write_all(TORN)?;
    Ok(path.display().to_string())
}

fn segments(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            segments(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "seg") {
            found.push(path);
        }
    }
    Ok(())
}
