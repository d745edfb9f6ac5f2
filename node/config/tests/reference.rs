//! `docs/configuration.md` lists every key with its default and range. `UPDATE=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use spanmq_config::schema;

const HEAD: &str = "\
# Configuration reference

Every key of the configuration file, made from the program's own schema (`spanmq config schema`); do not edit. [`deploy/spanmq.conf`](../deploy/spanmq.conf) is an example with comments.

- **File**: HOCON, `spanmq start --config FILE`. Relative paths count from the folder of the file. An unknown key is an error with its line and a suggestion.
- **Environment**: `SPANMQ_` and the key in capitals, dots as `__`: `SPANMQ_MQTT__MAX_QOS_ALLOWED=1`. It overrides the file; a name that is no key is a warning.
- **Flags** of `spanmq start` override both.
- `spanmq config check FILE` looks at a file without starting anything, `spanmq config show` prints what holds and where each value comes from.

Sizes are `512KB`, `1MB` or a number of bytes, times are `5s`, `10m`, `24h`, `7d`. `NAME` stands for a name that you choose.
";

/// What an operator may write for a scalar.
fn kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    let range = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (min, max) => format!(" {min} to {max}"),
    };
    let kind = schema["type"].as_str().unwrap_or("text");
    let kind = match kind {
        "string" => "text",
        "boolean" => "`true`, `false`",
        "integer" | "number" => "number",
        "array" => return format!("list of {}", kind_of_items(&schema["items"])),
        other => other,
    };
    format!("{kind}{range}")
}

fn kind_of_items(items: &Value) -> String {
    if items["type"] == "object" { "objects".into() } else { kind(items) }
}

/// References to texts that are for developers.
const INTERNAL: [&str; 4] = [" (LINK-SPEC", " (ARCHITECTURE", " (SECURITY", " (CHAOS"];

fn cell(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    for reference in INTERNAL {
        while let Some(start) = text.find(reference) {
            let end = text[start..].find(')').map_or(text.len(), |len| start + len + 1);
            text.replace_range(start..end, "");
        }
    }
    text
}

fn default(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => "–".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn rows(at: &str, schema: &Value, out: &mut String) {
    if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields {
            let key = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            rows(&key, field, out);
        }
        return;
    }
    if schema["additionalProperties"].is_object() {
        return rows(&format!("{at}.NAME"), &schema["additionalProperties"], out);
    }
    let text = cell(schema["description"].as_str().unwrap_or_default());
    writeln!(out, "| `{at}` | {text} | {} | {} |", kind(schema), default(schema)).unwrap();
    if schema["items"]["properties"].is_object() {
        rows(&format!("{at}[]"), &schema["items"], out);
    }
}

fn reference() -> String {
    let schema = schema();
    let mut out = HEAD.to_owned();
    let mut alone = String::new();
    for (name, section) in schema["properties"].as_object().unwrap() {
        let is_section = section["properties"].is_object();
        let into = if is_section { &mut out } else { &mut alone };
        if is_section {
            let about = cell(section["description"].as_str().unwrap_or_default());
            write!(
                into,
                "\n## {name}\n{about}\n\n| key | meaning | values | default |\n|---|---|---|---|\n"
            )
            .unwrap();
        }
        rows(name, section, into);
    }
    write!(out, "\n## Others\n| key | meaning | values | default |\n|---|---|---|---|\n{alone}")
        .unwrap();
    out
}

#[test]
fn the_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let wanted = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/configuration.md is old: run `UPDATE=1 cargo test -p spanmq-config --test reference`"
    );
}
