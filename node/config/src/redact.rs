//! Hides secrets in values that have no types.

use serde_json::Value;

/// A copy in which every field that holds a secret reads `***`.
pub(crate) fn redacted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(redacted).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| {
                    let hidden = is_secret(key) && !value.is_null();
                    (key.clone(), if hidden { "***".into() } else { redacted(value) })
                })
                .collect(),
        ),
        scalar => scalar.clone(),
    }
}

/// Whether a key of this name holds a secret. PEM text may stand in `keyfile`.
pub(crate) fn is_secret(key: &str) -> bool {
    ["password", "token", "secret", "keyfile"].iter().any(|word| key.ends_with(word))
        || key == "default_password"
}
