//! Where a value came from, and the tree of values before they have types.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

/// Where a value was set. Later variants win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Built in.
    #[default]
    Default,
    /// A configuration file; line and column count from 1.
    File { file: Arc<Path>, line: u32, column: u32 },
    /// An environment variable, by its full name.
    Env(Arc<str>),
    /// A command line flag, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A key with its parents, written `listeners.tcp.default.bind`. List elements count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path of the whole configuration.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path written with dots. Segments that hold dots themselves need [`KeyPath::child`].
    pub fn of(dotted: &str) -> Self {
        Self(dotted.split('.').filter(|segment| !segment.is_empty()).map(str::to_owned).collect())
    }

    /// This path, one segment longer.
    pub fn child(&self, segment: impl Into<String>) -> Self {
        let mut path = self.clone();
        path.0.push(segment.into());
        path
    }

    pub(crate) fn from_segments(segments: Vec<String>) -> Self {
        Self(segments)
    }

    /// The path one segment shorter; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// This path, then `below`.
    pub(crate) fn joined(&self, below: &KeyPath) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// The segments, outermost first.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &KeyPath) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if segment.is_empty() || segment.contains(['.', ' ', '"']) {
                write!(f, "{segment:?}")?;
            } else {
                f.write_str(segment)?;
            }
        }
        Ok(())
    }
}

/// One value of the merged but not yet typed configuration.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: NodeValue,
}

#[derive(Clone, PartialEq)]
pub(crate) enum NodeValue {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    List(Vec<Node>),
    Map(IndexMap<String, Node>),
}

impl Node {
    pub(crate) fn scalar(value: impl Into<Value>, origin: Origin) -> Self {
        Self { origin, value: NodeValue::Scalar(value.into()) }
    }

    pub(crate) fn empty_map(origin: Origin) -> Self {
        Self { origin, value: NodeValue::Map(IndexMap::new()) }
    }

    /// Gives every value of `value` the origin that `origin_of` finds for its path.
    pub(crate) fn from_json(
        value: Value,
        path: &KeyPath,
        origin_of: &impl Fn(&KeyPath) -> Origin,
    ) -> Self {
        let origin = origin_of(path);
        let value = match value {
            Value::Array(items) => NodeValue::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| {
                        Self::from_json(item, &path.child((index + 1).to_string()), origin_of)
                    })
                    .collect(),
            ),
            Value::Object(fields) => NodeValue::Map(
                fields
                    .into_iter()
                    .map(|(key, item)| {
                        let node = Self::from_json(item, &path.child(key.as_str()), origin_of);
                        (key, node)
                    })
                    .collect(),
            ),
            scalar => NodeValue::Scalar(scalar),
        };
        Self { origin, value }
    }

    /// The value without its origins.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Scalar(value) => value.clone(),
            NodeValue::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            NodeValue::Map(fields) => Value::Object(
                fields.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
            ),
        }
    }

    pub(crate) fn get(&self, path: &[String]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match &self.value {
            NodeValue::Scalar(_) => None,
            NodeValue::List(items) => {
                items.get(first.parse::<usize>().ok()?.checked_sub(1)?)?.get(rest)
            }
            NodeValue::Map(fields) => fields.get(first)?.get(rest),
        }
    }
}
