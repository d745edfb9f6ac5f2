//! Environment variables to values (LINK-SPEC 1.4, D-1).
//!
//! `SPANMQ_A__B` sets the key `a.b`; list elements count from 1. Text that begins with `{`, `[` or
//! `"` is HOCON, any other text is the value itself: a password with `#` or `$` needs no quotes.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{ConfigError, Problem, Warning, closest};
use crate::hocon::load_document;
use crate::origin::{KeyPath, Node, Origin};
use crate::overlay::{PutError, put};

const OURS: &str = "SPANMQ_";
const ALIAS: &str = "EMQX_";

/// Variables with our prefix that are no settings: those the command line reads itself.
pub const RESERVED_ENVIRONMENT: &[&str] = &[
    "SPANMQ_CONFIG",
    "SPANMQ_CONTEXT",
    "SPANMQ_API",
    "SPANMQ_API_KEY",
    "SPANMQ_API_SECRET",
    "SPANMQ_TOKEN",
    "SPANMQ_USER",
    "SPANMQ_PASSWORD",
];

struct Variable<'a> {
    name: &'a str,
    text: &'a str,
    path: KeyPath,
    alias: bool,
}

/// Lays the environment over `tree`. `schema` tells which keys exist.
pub(crate) fn overlay(
    tree: &mut Node,
    env: &[(String, String)],
    schema: &Value,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<Warning>,
) {
    let mut variables: Vec<Variable<'_>> =
        env.iter().filter_map(|(name, text)| variable(name, text)).collect();
    // Aliases first, so that ours win; parents before children, elements by number.
    variables.sort_by_cached_key(|variable| {
        let segments = variable.path.segments().iter();
        let order: Vec<_> =
            segments.map(|segment| (segment.parse::<u64>().ok(), segment.clone())).collect();
        (!variable.alias, order)
    });
    for variable in variables {
        if let Err(nearest) = find(schema, variable.path.segments()) {
            warnings.extend(unknown(&variable, nearest));
            continue;
        }
        // Compose files hand on unset variables as empty ones.
        if variable.text.is_empty() {
            continue;
        }
        if variable.alias {
            let ours = spelled(variable.path.segments());
            warnings.push(Warning::EnvironmentAlias { name: variable.name.into(), ours });
        }
        if let Err(problem) = apply(tree, &variable) {
            errors.push(ConfigError { origin: Origin::Env(variable.name.into()), problem });
        }
    }
}

fn variable<'a>(name: &'a str, text: &'a str) -> Option<Variable<'a>> {
    let (rest, alias) = match name.strip_prefix(OURS) {
        Some(rest) => (rest, false),
        None => (name.strip_prefix(ALIAS)?, true),
    };
    // EMQX keeps its own switches under names without `__`, such as EMQX_HOME.
    if RESERVED_ENVIRONMENT.contains(&name) || alias && !rest.contains("__") {
        return None;
    }
    let path = rest.split("__").map(str::to_ascii_lowercase).collect();
    Some(Variable { name, text, path: KeyPath::from_segments(path), alias })
}

fn spelled(segments: &[String]) -> String {
    format!("{OURS}{}", segments.join("__").to_ascii_uppercase())
}

fn unknown(variable: &Variable<'_>, nearest: Option<KeyPath>) -> Option<Warning> {
    // A key of EMQX without meaning here needs no second word: its file says so too.
    if variable.alias && crate::legacy::ignored(&variable.path).is_some() {
        return None;
    }
    let nearest = nearest.map(|path| spelled(path.segments()));
    Some(Warning::UnknownEnvironment { name: variable.name.into(), nearest })
}

fn apply(tree: &mut Node, variable: &Variable<'_>) -> Result<(), Problem> {
    let origin = Origin::Env(Arc::from(variable.name));
    let value = value(variable)?;
    let node = Node::from_json(value, &variable.path, &|_| origin.clone());
    put(tree, variable.path.segments(), node, &origin).map_err(|error| {
        let message = match error {
            PutError::NotAnIndex => "elements of a list are counted 1, 2, …".to_owned(),
            PutError::Hole { len } => {
                format!("the list has {len} elements, so the next one is number {}", len + 1)
            }
        };
        Problem::Conflict { message: format!("`{}`: {message}", variable.path) }
    })
}

fn value(variable: &Variable<'_>) -> Result<Value, Problem> {
    let text = variable.text.trim();
    if !text.starts_with(['{', '[', '"']) {
        return Ok(variable.text.into());
    }
    let none = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    // Its own line, so that the columns are those of the variable.
    let document = load_document(Path::new(variable.name), &format!("value =\n{text}"), &[], &none)
        .map_err(|error| Problem::Syntax {
            message: format!(
                "{}; text that begins with {} is read as HOCON and may need quotes around it",
                error.message,
                text.chars().take(1).collect::<String>()
            ),
        })?;
    match document.value {
        Value::Object(mut fields) => Ok(fields.shift_remove("value").unwrap_or_default()),
        _ => Ok(Value::Null),
    }
}

/// Whether `schema` has the key; else the nearest one that it has.
fn find(schema: &Value, path: &[String]) -> Result<(), Option<KeyPath>> {
    let mut at = schema;
    for (index, segment) in path.iter().enumerate() {
        let next = if let Some(fields) = at.get("properties").and_then(Value::as_object) {
            fields.get(segment).ok_or_else(|| {
                let near = closest(segment, fields.keys().map(String::as_str))?;
                let mut path = path.to_vec();
                *path.get_mut(index)? = near.to_owned();
                find(schema, &path).is_ok().then(|| KeyPath::from_segments(path))
            })?
        } else if let Some(items) = at.get("items") {
            if segment.parse::<u32>().is_err() {
                return Err(None);
            }
            items
        } else if let Some(item) = at.get("additionalProperties").filter(|item| item.is_object()) {
            item
        } else {
            // An object that others check, such as a link, takes any key; a scalar takes none.
            return if at.get("type") == Some(&"object".into()) { Ok(()) } else { Err(None) };
        };
        at = next;
    }
    Ok(())
}
