//! Files that exist only in the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use spanmq_config::{Flags, Inputs, Loaded, load};

/// A folder of text files.
#[derive(Default, Clone)]
pub struct Files(BTreeMap<PathBuf, String>);

impl Files {
    /// `/etc/spanmq/spanmq.conf` with this text.
    pub fn with_config(text: &str) -> Self {
        Self::default().and(CONFIG, text)
    }

    pub fn and(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.into(), text.into());
        self
    }

    pub fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn load(&self, env: &[(&str, &str)], flags: Flags) -> Result<Loaded, Vec<String>> {
        let env = env.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let file = self.0.contains_key(Path::new(CONFIG)).then(|| PathBuf::from(CONFIG));
        load(&Inputs { file, env, flags }, |path| self.read(path))
            .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    }
}

pub const CONFIG: &str = "/etc/spanmq/spanmq.conf";

/// The configuration of a text alone.
pub fn config(text: &str) -> Loaded {
    Files::with_config(text)
        .load(&[], Flags::default())
        .unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}

/// What is wrong with a text, without the path of the file.
pub fn errors(text: &str) -> Vec<String> {
    let errors = Files::with_config(text).load(&[], Flags::default()).unwrap_err();
    errors.into_iter().map(|error| error.replace("/etc/spanmq/spanmq.conf:", "")).collect()
}
