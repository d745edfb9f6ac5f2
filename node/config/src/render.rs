//! Values as lines of HOCON.

use serde_json::Value;

use crate::setting::Effective;

/// One `key = value` line per value, with a comment that tells the origin if asked for. Reads back
/// as a configuration file, apart from the secrets, which are `***`.
pub fn render(values: &[Effective], with_origin: bool) -> String {
    let lines: Vec<String> =
        values.iter().map(|value| format!("{} = {}", value.key, hocon(&value.value))).collect();
    let width = lines.iter().map(String::len).filter(|length| *length <= 60).max().unwrap_or(0);
    let mut text = String::new();
    for (line, value) in lines.iter().zip(values) {
        text.push_str(line);
        if with_origin {
            let gap = width.saturating_sub(line.len()) + 2;
            text.push_str(&format!("{:gap$}# {}", "", value.origin));
        }
        text.push('\n');
    }
    text
}

/// Words stand bare, all else as in JSON.
fn hocon(value: &Value) -> String {
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
        && !text.contains("//")
        && !matches!(text, "true" | "false" | "null" | "include")
}
