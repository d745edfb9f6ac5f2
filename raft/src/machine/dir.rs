//! The directory of snapshots: which one is current, which may go.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::file::{SnapshotError, io_error};
use crate::types::SnapshotMeta;

/// Newest snapshots that are kept; the one before the last helps when the last is damaged and the
/// log still reaches back.
const KEPT: usize = 2;

/// Where snapshots lie. Names sort by the index they reach.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotDir(PathBuf);

impl SnapshotDir {
    /// Opens the directory and removes what an earlier run left unfinished.
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(path).map_err(io_error("create the directory of", path))?;
        let dir = Self(path.to_owned());
        for file in dir.files()?.into_iter().filter(|file| !is_snapshot(file)) {
            fs::remove_file(&file).map_err(io_error("remove the unfinished", &file))?;
        }
        Ok(dir)
    }

    /// Whole snapshots, newest first.
    pub(crate) fn newest_first(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let by_index: BTreeMap<(u64, PathBuf), ()> = self
            .files()?
            .into_iter()
            .filter_map(|file| Some(((index_of(&file)?, file), ())))
            .collect();
        Ok(by_index.into_keys().rev().map(|(_, file)| file).collect())
    }

    /// The name of the snapshot `meta`.
    pub(crate) fn path_of(&self, meta: &SnapshotMeta) -> PathBuf {
        let index = meta.last_log_id.map_or(0, |id| id.index);
        self.0.join(format!("{index:020}-{}.snap", plain(&meta.snapshot_id)))
    }

    /// A name for a snapshot that is being written or received.
    pub(crate) fn temporary(&self, what: &str) -> PathBuf {
        self.0.join(format!("{}.tmp", plain(what)))
    }

    /// Removes all but the newest snapshots. Those being sent stay readable through their handle.
    pub(crate) fn retain_newest(&self) -> Result<(), SnapshotError> {
        for file in self.newest_first()?.into_iter().skip(KEPT) {
            fs::remove_file(&file).map_err(io_error("remove the old", &file))?;
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let entries = fs::read_dir(&self.0).map_err(io_error("list", &self.0))?;
        entries.map(|entry| Ok(entry.map_err(io_error("list", &self.0))?.path())).collect()
    }
}

/// A snapshot id comes from another node, so it does not go into a path as it is.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(80).collect()
}

fn is_snapshot(file: &Path) -> bool {
    index_of(file).is_some()
}

fn index_of(file: &Path) -> Option<u64> {
    file.file_name()?.to_str()?.strip_suffix(".snap")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use openraft::testing::log_id;

    use super::*;

    fn meta(index: u64, id: &str) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: Some(log_id(1, 1, index)),
            snapshot_id: id.into(),
            ..SnapshotMeta::default()
        }
    }

    #[test]
    fn the_newest_two_stay_and_unfinished_ones_go() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path()).unwrap();
        let paths: Vec<_> = [9, 10, 100].map(|index| dir.path_of(&meta(index, "x"))).into();
        for path in paths.iter().chain([&dir.temporary("receiving")]) {
            fs::write(path, "").unwrap();
        }
        let dir = SnapshotDir::open(temp.path()).unwrap();
        dir.retain_newest().unwrap();
        assert_eq!(dir.newest_first().unwrap(), [paths[2].clone(), paths[1].clone()]);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_id_from_elsewhere_cannot_leave_the_directory() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path()).unwrap();
        let path = dir.path_of(&meta(1, "../../etc/passwd"));
        assert_eq!(path.parent().unwrap(), temp.path());
    }
}
