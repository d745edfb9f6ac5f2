//! Violations of the configuration schema, and their JSON texts.

use serde_json::{Map, Value};

/// One violation: where, and what, in the words of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    /// Field names from the link object down. Empty = the object itself; `None` = no path shown.
    pub path: Option<Vec<String>>,
    /// The inner object without `kind` and `path`.
    pub body: Map<String, Value>,
}

/// What the path of an error is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathBase {
    /// `root.<field>`.
    Create,
    /// `<field>`; unknown fields are found when saving, as link number `position` of the list.
    Update { position: usize },
    /// `cluster.links.<i>.<field>`, i counted from 1. `position` counts from 0.
    Saving { position: usize },
    /// `cluster.links`, for rules about the whole list.
    List,
}

impl ValidationError {
    /// Without a path yet. `body` is an object.
    pub(crate) fn new(body: Value) -> ValidationError {
        let body = match body {
            Value::Object(map) => map,
            other => Map::from_iter([("reason".to_owned(), other)]),
        };
        ValidationError { path: None, body }
    }

    pub(crate) fn reason(reason: impl Into<Value>) -> ValidationError {
        ValidationError { path: None, body: Map::from_iter([("reason".to_owned(), reason.into())]) }
    }

    pub(crate) fn at(mut self, path: &[&str]) -> ValidationError {
        self.path = Some(path.iter().map(|part| (*part).to_owned()).collect());
        self
    }

    fn is_unknown_fields(&self) -> bool {
        self.body.get("reason").is_some_and(|reason| reason == "unknown_fields")
    }

    /// The inner object of R-1.
    pub fn to_json(&self, base: PathBase) -> Value {
        let mut object = Map::new();
        object.insert("kind".into(), "validation_error".into());
        if let Some(parts) = &self.path {
            let base = match base {
                PathBase::Update { position } if self.is_unknown_fields() => {
                    PathBase::Saving { position }
                }
                other => other,
            };
            object.insert("path".into(), join(base, parts).into());
        }
        object.extend(self.body.clone());
        Value::Object(object)
    }
}

fn join(base: PathBase, parts: &[String]) -> String {
    let prefix = match base {
        PathBase::Create => "root".to_owned(),
        PathBase::Update { .. } => String::new(),
        PathBase::Saving { position } => format!("cluster.links.{}", position.saturating_add(1)),
        PathBase::List => "cluster.links".to_owned(),
    };
    let mut path = prefix;
    for part in parts {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(part);
    }
    path
}

/// The `message` of POST: one object, or an array of them.
pub fn all_errors_text(errors: &[ValidationError], base: PathBase) -> String {
    match errors {
        [one] => one.to_json(base).to_string(),
        all => Value::Array(all.iter().map(|error| error.to_json(base)).collect()).to_string(),
    }
}

/// The `message` of PUT: the first violation. Unknown fields come last, because they are found
/// only when saving.
pub fn first_error_text(errors: &[ValidationError], base: PathBase) -> String {
    let first = errors.iter().find(|error| !error.is_unknown_fields()).or(errors.first());
    first.map(|error| error.to_json(base).to_string()).unwrap_or_default()
}
