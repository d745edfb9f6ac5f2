//! How a declared setting is read, shown and described.
//!
//! [`crate::declare`] makes sections of such settings.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::error::{ConfigError, Problem, Warning, closest};
use crate::origin::{KeyPath, Node, NodeValue, Origin};

/// Something that can be read from the configuration: a scalar, a list, a map or a section.
pub(crate) trait Setting: Sized {
    /// Reads `node`; what is absent or wrong keeps its `default`.
    fn read(node: Option<&Node>, default: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self;
    /// The value as it may be printed: secrets are `***`.
    fn show(&self) -> Value;
    /// JSON Schema of the setting.
    fn schema() -> Value;
    /// What a list element or a named section starts from.
    fn blank() -> Self;
    /// Whether it has no parts, so that a list of it may be written `a, b`.
    const IS_SCALAR: bool = false;
}

/// A setting without parts.
pub(crate) trait Scalar: Sized {
    /// # Errors
    /// What was expected instead, continuing the sentence "… is not".
    fn parse(value: &Value, hint: &Hint<'_, Self>) -> Result<Self, String>;
    fn show(&self) -> Value;
    fn schema() -> Value;
    /// Stands in for a value that was refused.
    fn blank() -> Self;
    /// The same value with its relative path counted from `base`; `None` for all but paths.
    fn rebase(&self, _base: &Path) -> Option<Self> {
        None
    }
    /// Whether the text must not appear in messages.
    const SECRET: bool = false;
}

/// What a scalar may need to know besides its text.
pub(crate) struct Hint<'a, T> {
    pub(crate) default: &'a T,
    /// The folder from which a relative path counts; empty = the working directory.
    pub(crate) base: &'a Path,
}

/// One line of `config show --effective`.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    pub key: KeyPath,
    /// The value as it may be printed: secrets are `***`.
    pub value: Value,
    pub origin: Origin,
}

/// Collects what reading finds: errors, warnings and the effective values.
pub(crate) struct Reader<'a> {
    /// Folder of the configuration file.
    pub(crate) base: &'a Path,
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) effective: Vec<Effective>,
    /// Paths that the file's own substitutions refer to; keys below them are variables.
    pub(crate) variables: &'a [KeyPath],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(base: &'a Path, variables: &'a [KeyPath]) -> Self {
        Self { base, errors: vec![], warnings: vec![], effective: vec![], variables }
    }

    pub(crate) fn error(&mut self, origin: &Origin, problem: Problem) {
        self.errors.push(ConfigError { origin: origin.clone(), problem });
    }

    fn wrong_type(&mut self, node: &Node, at: &KeyPath, expected: &str) {
        let problem = Problem::BadValue {
            key: at.clone(),
            found: shape(node),
            expected: expected.to_owned(),
        };
        self.error(&node.origin, problem);
    }

    /// The fields of a section; reports keys that it does not have.
    pub(crate) fn section<'n>(
        &mut self,
        node: Option<&'n Node>,
        at: &KeyPath,
        known: &[&'static str],
    ) -> Option<&'n IndexMap<String, Node>> {
        let fields = self.map(node, at)?;
        for (key, child) in fields {
            let path = at.child(key.as_str());
            if known.contains(&key.as_str()) || is_null(child) {
                continue;
            }
            if self.variables.iter().any(|used| used.starts_with(&path) || path.starts_with(used)) {
                continue;
            }
            if let Some(reason) = crate::legacy::ignored(&path) {
                self.warnings.push(Warning::Ignored {
                    key: path,
                    reason,
                    origin: child.origin.clone(),
                });
                continue;
            }
            let problem = Problem::UnknownKey {
                nearest: closest(key, known.iter().copied())
                    .map(|near| at.child(near))
                    .or_else(|| crate::legacy::moved(&path).map(KeyPath::of)),
                key: path,
            };
            self.error(&child.origin, problem);
        }
        Some(fields)
    }

    pub(crate) fn map<'n>(
        &mut self,
        node: Option<&'n Node>,
        at: &KeyPath,
    ) -> Option<&'n IndexMap<String, Node>> {
        let node = node?;
        match &node.value {
            NodeValue::Map(fields) => Some(fields),
            _ if is_null(node) => None,
            _ => {
                self.wrong_type(node, at, "a section in braces");
                None
            }
        }
    }

    /// The elements of a list; reports what is none.
    pub(crate) fn list<'n>(&mut self, node: Option<&'n Node>, at: &KeyPath) -> Vec<&'n Node> {
        let Some(node) = node.filter(|node| !is_null(node)) else { return vec![] };
        let items = match &node.value {
            NodeValue::List(items) => Some(items.iter().collect()),
            NodeValue::Map(fields) => numbered(fields),
            NodeValue::Scalar(_) => None,
        };
        items.unwrap_or_else(|| {
            self.wrong_type(node, at, "a list in brackets");
            vec![]
        })
    }

    /// Keeps `default` and reports when `value` lies outside `range`.
    pub(crate) fn in_range<T: Scalar + PartialOrd + Clone>(
        &mut self,
        node: Option<&Node>,
        at: &KeyPath,
        value: T,
        default: T,
        range: &std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(node) = node.filter(|_| !range.contains(&value)) else { return value };
        let expected =
            format!("between {} and {}", text(&range.start().show()), text(&range.end().show()));
        let problem = Problem::BadValue { key: at.clone(), found: text(&value.show()), expected };
        self.error(&node.origin, problem);
        default
    }
}

pub(crate) fn is_null(node: &Node) -> bool {
    matches!(node.value, NodeValue::Scalar(Value::Null))
}

fn shape(node: &Node) -> String {
    match &node.value {
        NodeValue::Scalar(value) => text(value),
        NodeValue::List(_) => "a list".into(),
        NodeValue::Map(_) => "a section".into(),
    }
}

/// A scalar as an operator would write it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl<T: Scalar> Setting for T {
    const IS_SCALAR: bool = true;

    fn read(node: Option<&Node>, default: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self {
        let mut origin = Origin::Default;
        let parsed = match node.filter(|node| !is_null(node)) {
            None => match T::rebase(&default, reader.base) {
                Some(rebased) => rebased,
                None => default,
            },
            Some(node) => {
                origin = node.origin.clone();
                // A flag is typed in a shell, so its paths count from there.
                let from_shell = matches!(node.origin, Origin::Flag(_));
                let base = if from_shell { Path::new("") } else { reader.base };
                let result = match &node.value {
                    NodeValue::Scalar(value) => T::parse(value, &Hint { default: &default, base }),
                    _ => T::parse(&node.to_json(), &Hint { default: &default, base }),
                };
                match result {
                    Ok(value) => value,
                    Err(expected) => {
                        let found = if T::SECRET { "the value".into() } else { shape(node) };
                        let problem = Problem::BadValue { key: at.clone(), found, expected };
                        reader.error(&node.origin, problem);
                        default
                    }
                }
            }
        };
        reader.effective.push(Effective { key: at.clone(), value: Scalar::show(&parsed), origin });
        parsed
    }

    fn show(&self) -> Value {
        Scalar::show(self)
    }

    fn schema() -> Value {
        <T as Scalar>::schema()
    }

    fn blank() -> Self {
        <T as Scalar>::blank()
    }
}

impl<T: Setting> Setting for Option<T> {
    const IS_SCALAR: bool = T::IS_SCALAR;

    fn read(node: Option<&Node>, default: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self {
        match (node.filter(|node| !is_null(node)), default) {
            (None, None) => None,
            (node, Some(default)) => Some(T::read(node, default, at, reader)),
            (node, None) => {
                let errors = reader.errors.len();
                let value = T::read(node, T::blank(), at, reader);
                // What stands for a refused value must not look like one.
                (reader.errors.len() == errors || !T::IS_SCALAR).then_some(value)
            }
        }
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::show)
    }

    fn schema() -> Value {
        T::schema()
    }

    fn blank() -> Self {
        None
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(node: Option<&Node>, default: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self {
        let start = reader.effective.len();
        let origin = node.map_or(Origin::Default, |node| node.origin.clone());
        let split: Vec<Node>;
        let items: Option<Vec<&Node>> = match node.map(|node| &node.value) {
            None | Some(NodeValue::Scalar(Value::Null)) => None,
            Some(NodeValue::List(items)) => Some(items.iter().collect()),
            Some(NodeValue::Map(fields)) => numbered(fields),
            Some(NodeValue::Scalar(Value::String(text))) if T::IS_SCALAR => {
                split = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Node::scalar(item, origin.clone()))
                    .collect();
                Some(split.iter().collect())
            }
            Some(NodeValue::Scalar(_)) => None,
        };
        if let Some(node) = node.filter(|node| items.is_none() && !is_null(node)) {
            reader.wrong_type(node, at, "a list in brackets");
        }
        let values = match items {
            None => default,
            Some(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    T::read(Some(item), T::blank(), &at.child((index + 1).to_string()), reader)
                })
                .collect(),
        };
        if T::IS_SCALAR || values.is_empty() {
            reader.effective.truncate(start);
            reader.effective.push(Effective { key: at.clone(), value: values.show(), origin });
        }
        values
    }

    fn show(&self) -> Value {
        Value::Array(self.iter().map(Setting::show).collect())
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }

    fn blank() -> Self {
        vec![]
    }
}

/// The elements of `{ 1 = …, 2 = … }`, which HOCON allows for a list.
fn numbered(fields: &IndexMap<String, Node>) -> Option<Vec<&Node>> {
    (1..=fields.len()).map(|index| fields.get(&index.to_string())).collect()
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(node: Option<&Node>, mut default: Self, at: &KeyPath, reader: &mut Reader<'_>) -> Self {
        let fields = reader.map(node, at);
        let mut values = BTreeMap::new();
        for (name, node) in fields.into_iter().flatten().filter(|(_, node)| !is_null(node)) {
            let base = default.remove(name).unwrap_or_else(T::blank);
            let value = T::read(Some(node), base, &at.child(name.as_str()), reader);
            values.insert(name.clone(), value);
        }
        for (name, base) in default {
            let value = T::read(None, base, &at.child(name.as_str()), reader);
            values.insert(name, value);
        }
        values
    }

    fn show(&self) -> Value {
        Value::Object(self.iter().map(|(name, value)| (name.clone(), value.show())).collect())
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }

    fn blank() -> Self {
        BTreeMap::new()
    }
}

/// Puts the doc comment, the default and the range of a field into its schema.
pub(crate) fn described(
    mut schema: Value,
    doc: &str,
    default: Value,
    range: Option<(Value, Value)>,
) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".into(), doc.trim().replace("\n ", "\n").into());
        if !default.is_null() && !default.is_object() {
            fields.insert("default".into(), default);
        }
        if let Some((min, max)) = range.filter(|(min, max)| min.is_number() && max.is_number()) {
            fields.insert("minimum".into(), min);
            fields.insert("maximum".into(), max);
        }
    }
    schema
}

/// Schema of a section from those of its fields.
pub(crate) fn object_schema(doc: &str, fields: Map<String, Value>) -> Value {
    json!({
        "type": "object",
        "description": doc.trim().replace("\n ", "\n"),
        "additionalProperties": false,
        "properties": fields,
    })
}
