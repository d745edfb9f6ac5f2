//! Incarnations of this node's replication actors: they never go back (W-11).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use spanmq_segment::replace_file;

/// The last number used per link, in a file.
pub(crate) struct Incarnations {
    file: PathBuf,
    used: Mutex<BTreeMap<String, u64>>,
}

impl Incarnations {
    /// Reads the file. One that cannot be read counts as empty: the clock then keeps the numbers
    /// growing.
    pub(crate) fn open(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let entry = |line: &str| {
            let (number, link) = line.split_once(' ')?;
            Some((link.to_owned(), number.parse().ok()?))
        };
        Self { used: Mutex::new(text.lines().filter_map(entry).collect()), file }
    }

    /// max(now, last used + 1), on disk before it is used.
    pub(crate) fn next(&self, link: &str) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut used = self.used.lock();
        let next = used.get(link).map_or(now, |last| now.max(last + 1));
        used.insert(link.to_owned(), next);
        let text: String = used.iter().map(|(link, number)| format!("{number} {link}\n")).collect();
        if let Err(error) = replace_file(&self.file, text.as_bytes()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                link,
                "the incarnation is not on disk; the clock must not go back"
            );
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // W-11, 8.1-21
    #[test]
    fn a_clock_that_went_back_does_not_make_a_smaller_incarnation() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("incarnations");
        std::fs::write(&file, format!("{} eu-west\n", u64::MAX / 2)).unwrap();
        assert_eq!(Incarnations::open(file.clone()).next("eu-west"), u64::MAX / 2 + 1);
        assert_eq!(Incarnations::open(file.clone()).next("eu-west"), u64::MAX / 2 + 2);
        assert!(Incarnations::open(file).next("other") < u64::MAX / 2);
    }
}
