//! Hiding secrets in JSON, and taking them back.

use super::ssl::is_pem;
use serde_json::Value;

/// What stands where a secret was.
pub const REDACTED: &str = "******";

/// Fields that hold secrets, at any depth.
const SECRET_FIELDS: [&str; 2] = ["password", "keyfile"];

/// The JSON with every secret replaced, for audit records and for error texts that quote a body.
/// References to files stay, a key stays only when it is a path.
pub fn redact(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| {
                let shown = if is_secret(name, field) { REDACTED.into() } else { redact(field) };
                (name.clone(), shown)
            })
            .collect(),
        Value::Array(elements) => elements.iter().map(redact).collect(),
        other => other.clone(),
    }
}

fn is_secret(name: &str, value: &Value) -> bool {
    match (name, value) {
        (_, Value::Null) => false,
        ("password", Value::String(text)) => !text.starts_with("file://"),
        ("password", _) => true,
        ("keyfile", Value::String(text)) => is_pem(text),
        _ => false,
    }
}

fn is_redacted(name: &str, value: &Value) -> bool {
    SECRET_FIELDS.contains(&name) && value.as_str() == Some(REDACTED)
}

/// Puts the stored value where `body` carries the mark, at any depth; without a stored value the
/// field is dropped.
pub fn keep_stored_secrets(body: &mut Value, stored: &Value) {
    match body {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                if is_redacted(name, field) {
                    let Some(old) = stored.get(name) else { return false };
                    *field = old.clone();
                } else {
                    keep_stored_secrets(field, stored.get(name).unwrap_or(&Value::Null));
                }
                true
            });
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                keep_stored_secrets(element, stored.get(index).unwrap_or(&Value::Null));
            }
        }
        _ => {}
    }
}

/// Drops fields that carry the mark: a create has nothing to keep.
pub(super) fn drop_redacted(body: &mut Value) {
    keep_stored_secrets(body, &Value::Null);
}
