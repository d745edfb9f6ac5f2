//! The links of the file, as JSON for `spanmq_link_protocol::config`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use spanmq_link_protocol::config::{LinkConfig, redact};

use crate::origin::{KeyPath, Node, Origin};
use crate::setting::{Effective, Reader, Setting};

const TLS_FILES: [&str; 3] = ["cacertfile", "certfile", "keyfile"];

/// The links of the file, in order. They seed the replicated list (LINK-SPEC 0.1).
#[derive(Clone, PartialEq, Default)]
pub struct LinkSeeds {
    seeds: Vec<LinkSeed>,
}

/// One link of the file. `Debug` hides its secrets.
#[derive(Clone, PartialEq)]
pub struct LinkSeed {
    value: Value,
    config: Option<LinkConfig>,
    at: KeyPath,
    node: Node,
}

impl LinkSeeds {
    pub fn iter(&self) -> impl Iterator<Item = &LinkSeed> {
        self.seeds.iter()
    }

    /// The checked links. A loaded configuration has one for every seed.
    pub fn configs(&self) -> impl Iterator<Item = &LinkConfig> {
        self.seeds.iter().filter_map(|seed| seed.config.as_ref())
    }

    pub fn is_empty(&self) -> bool {
        self.seeds.is_empty()
    }

    pub fn len(&self) -> usize {
        self.seeds.len()
    }

    pub(crate) fn seeds_mut(&mut self) -> &mut [LinkSeed] {
        &mut self.seeds
    }
}

impl LinkSeed {
    /// The link as JSON, secrets included: not for logs. Relative certificate paths already count
    /// from the configuration file's folder.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the link begins.
    pub fn origin(&self) -> &Origin {
        &self.node.origin
    }

    /// Where a field of the link was set, or the nearest of its parents. `key` is a full path.
    pub fn origin_of(&self, key: &KeyPath) -> &Origin {
        let mut inner = key.segments().get(self.at.segments().len()..).unwrap_or_default();
        loop {
            if let Some(node) = self.node.get(inner) {
                return &node.origin;
            }
            let Some((_, parents)) = inner.split_last() else { return &self.node.origin };
            inner = parents;
        }
    }

    pub(crate) fn at(&self) -> &KeyPath {
        &self.at
    }

    pub(crate) fn set_config(&mut self, config: LinkConfig) {
        self.config = Some(config);
    }

    /// Lets relative certificate paths count from `base`.
    pub(crate) fn rebase(&mut self, base: &Path) {
        let Some(ssl) = self.value.get_mut("ssl").and_then(Value::as_object_mut) else { return };
        for field in TLS_FILES {
            if let Some(Value::String(path)) = ssl.get_mut(field)
                && is_path(path)
            {
                *path = base.join(&path).to_string_lossy().into_owned();
            }
        }
    }

    /// The certificate files that must exist: only of a link that is on, with TLS on (C-10).
    pub(crate) fn tls_files(&self) -> Vec<(&'static str, PathBuf)> {
        let Some(link) = self.config.as_ref().filter(|link| link.enable && link.ssl.enable) else {
            return vec![];
        };
        let tls = &link.ssl;
        let keyfile = tls.keyfile.as_ref().map(|key| key.reveal());
        TLS_FILES
            .into_iter()
            .zip([tls.cacertfile.as_deref(), tls.certfile.as_deref(), keyfile])
            .filter_map(|(field, text)| Some((field, text.filter(|text| is_path(text))?.into())))
            .collect()
    }
}

/// A certificate field holds a path, PEM text, or a path with environment references that the
/// link resolves itself.
fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains("-----BEGIN") && !text.contains("${")
}

impl std::fmt::Debug for LinkSeeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.seeds).finish()
    }
}

impl std::fmt::Debug for LinkSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", redact(&self.value))
    }
}

impl Setting for LinkSeeds {
    fn read(node: Option<&Node>, _: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self {
        let seeds = reader
            .list(node, at)
            .into_iter()
            .enumerate()
            .map(|(index, node)| LinkSeed {
                value: node.to_json(),
                config: None,
                at: at.child((index + 1).to_string()),
                node: node.clone(),
            })
            .collect();
        let seeds = Self { seeds };
        let origin = node.map_or(Origin::Default, |node| node.origin.clone());
        reader.effective.push(Effective { key: at.clone(), value: seeds.show(), origin });
        seeds
    }

    fn show(&self) -> Value {
        Value::Array(self.seeds.iter().map(|seed| redact(&seed.value)).collect())
    }

    fn schema() -> Value {
        serde_json::json!({
            "type": "array",
            "items": { "type": "object", "required": ["name", "server", "topics"] }
        })
    }

    fn blank() -> Self {
        Self::default()
    }
}
