//! One node for all tests of a file, so that a file costs one start.

use std::fs;
use std::path::{Path, PathBuf};

use super::node::{Node, NodeOptions};

/// A running node that lives as long as the test process; the node ends with it, because its
/// standard input closes.
pub struct SharedNode {
    node: Node,
}

impl SharedNode {
    /// Starts a single node in `base/<name>-<pid>`, with `files` written beside its configuration.
    /// Folders of earlier processes are removed, as a static is never dropped.
    ///
    /// # Panics
    /// When it does not start; the text carries its log.
    #[must_use]
    pub fn start(base: &str, name: &str, options: NodeOptions, files: &[(&str, &str)]) -> Self {
        Self::try_start(base, name, options, files)
            .unwrap_or_else(|error| panic!("node for {name}: {error:#}"))
    }

    fn try_start(
        base: &str,
        name: &str,
        mut options: NodeOptions,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let base = Path::new(base);
        sweep(base, name);
        let dir = base.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        for (file, text) in files {
            fs::write(dir.join(file), text)?;
        }
        options.name = "n1@127.0.0.1".into();
        options.cluster = name.into();
        options.flags.push("--init".into());
        let mut node = Node::new(&dir, options)?;
        node.start()?;
        Ok(Self { node })
    }

    /// The node, until the test ends.
    pub fn lease(&'static self) -> Lease {
        Lease { node: &self.node, log_len: self.node.log().len() }
    }
}

/// Removes folders of processes that are gone.
fn sweep(base: &Path, name: &str) {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()) {
        let pid = process_of(&dir, name);
        if pid.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

fn process_of(dir: &Path, name: &str) -> Option<u32> {
    dir.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
}

/// The shared node in the hands of one test. At its end the log must show no new panic.
pub struct Lease {
    node: &'static Node,
    log_len: usize,
}

impl std::ops::Deref for Lease {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = self.node.log();
        let new = log.get(self.log_len..).unwrap_or_default();
        if let Some(line) = new.lines().find(|line| line.contains("panicked at")) {
            panic!("the node said: {line}");
        }
    }
}
