//! JSON values as YAML. Strings and keys are quoted as in JSON, which is YAML too.

use serde_json::Value;

/// One YAML document.
pub(super) fn render(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                text.push_str(&format!("{:indent$}{}:", "", scalar(&key.as_str().into())));
                nested(value, indent, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{:indent$}-", ""));
                nested(item, indent, text);
            }
        }
        other => text.push_str(&format!("{:indent$}{}\n", "", scalar(other))),
    }
}

fn nested(value: &Value, indent: usize, text: &mut String) {
    let empty = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        text.push_str(&format!(" {}\n", scalar(value)));
    } else {
        text.push('\n');
        block(value, indent + 2, text);
    }
}

/// Words that no YAML reader takes for a number, a boolean or null stand bare.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(word)
            if word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
                && !matches!(
                    word.to_ascii_lowercase().as_str(),
                    "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
                ) =>
        {
            word.clone()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_indented_and_doubtful_words_quoted() {
        let value = json!({ "a": { "b": [1, { "c": "on" }], "d": [] }, "e f": "x:y", "g": "word" });
        let expected =
            "a:\n  b:\n    - 1\n    -\n      c: \"on\"\n  d: []\n\"e f\": \"x:y\"\ng: word\n";
        assert_eq!(render(&value), expected);
    }
}
