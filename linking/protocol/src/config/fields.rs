//! Reading typed fields out of a JSON object, every violation collected (1.1, R-1).

use super::{ByteSize, DurationOrInfinity, Span, ValidationError};
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;

/// A cursor over one object of the configuration. Each read registers the field as known; what is
/// left over in [`Fields::finish`] is unknown.
pub(super) struct Fields<'v, 'e> {
    object: &'v Map<String, Value>,
    path: Vec<&'static str>,
    known: Vec<&'static str>,
    errors: &'e mut Vec<ValidationError>,
}

impl<'v, 'e> Fields<'v, 'e> {
    pub(super) fn root(
        object: &'v Map<String, Value>,
        errors: &'e mut Vec<ValidationError>,
    ) -> Self {
        Fields { object, path: Vec::new(), known: Vec::new(), errors }
    }

    /// The raw value; `null` counts as absent.
    pub(super) fn value(&mut self, name: &'static str) -> Option<&'v Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Records a violation at a field.
    pub(super) fn fail(&mut self, name: &'static str, error: ValidationError) {
        let mut path = self.path.clone();
        path.push(name);
        self.errors.push(error.at(&path));
    }

    /// Records a violation that is shown without a path (C-2).
    pub(super) fn fail_without_path(&mut self, error: ValidationError) {
        self.errors.push(error);
    }

    fn reason<T>(&mut self, name: &'static str, reason: impl Into<Value>) -> Option<T> {
        self.fail(name, ValidationError::reason(reason));
        None
    }

    pub(super) fn required(&mut self, name: &'static str) {
        self.fail(name, ValidationError::reason("required_field"));
    }

    /// Text; a number is taken as its decimal text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        match scalar_text(value) {
            Some(text) => Some(text),
            None => self.reason(name, json!({ "expected": "string()" })),
        }
    }

    /// As [`Fields::text`], an empty text counts as absent.
    pub(super) fn text_not_empty(&mut self, name: &'static str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => self.reason(name, "Unable to parse boolean value"),
        }
    }

    pub(super) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        expected: &str,
    ) -> Option<u64> {
        let number = match self.value(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.reason(name, json!({ "expected": expected })),
        }
    }

    pub(super) fn int32(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        expected: &str,
    ) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.integer(name, wide, expected).and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn span(&mut self, name: &'static str) -> Option<Span> {
        self.parsed(name, Span::parse, "Not a valid duration")
    }

    pub(super) fn span_or_infinity(&mut self, name: &'static str) -> Option<DurationOrInfinity> {
        self.parsed(name, DurationOrInfinity::parse, "Not a valid duration")
    }

    pub(super) fn size(&mut self, name: &'static str) -> Option<ByteSize> {
        self.parsed(name, ByteSize::parse, "Not a valid size")
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        reason: &str,
    ) -> Option<T> {
        let value = self.value(name)?;
        match scalar_text(value).as_deref().and_then(parse) {
            Some(parsed) => Some(parsed),
            None => self.reason(name, reason),
        }
    }

    /// One of a closed list of words.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.value(name)?;
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        match found {
            Some((_, meaning)) => Some(*meaning),
            None => self.reason(name, "not_a_enum_symbol"),
        }
    }

    /// An array of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.value(name)?;
        let Value::Array(elements) = value else {
            let error = json!({ "expected_data_type": "array", "got": kind(value) });
            self.fail(name, ValidationError::new(error));
            return None;
        };
        let texts: Option<Vec<String>> = elements.iter().map(scalar_text).collect();
        if texts.is_none() {
            return self.reason(name, json!({ "expected": "string()" }));
        }
        texts
    }

    /// A nested object, read by `read`; its unknown fields are reported there.
    pub(super) fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Fields<'v, '_>) -> T,
    ) -> Option<T> {
        let value = self.value(name)?;
        let Value::Object(object) = value else {
            return self.reason(name, "bad_value_for_struct");
        };
        let mut path = self.path.clone();
        path.push(name);
        let mut inner = Fields { object, path, known: Vec::new(), errors: self.errors };
        let result = read(&mut inner);
        inner.report_unknown(&[]);
        Some(result)
    }

    /// Reports what nobody asked for, except `ignored`.
    pub(super) fn report_unknown(&mut self, ignored: &[&str]) {
        let mut unknown: Vec<&str> = self
            .object
            .keys()
            .map(String::as_str)
            .filter(|key| !self.known.contains(key) && !ignored.contains(key))
            .collect();
        if unknown.is_empty() {
            return;
        }
        unknown.sort_unstable();
        let mut unmatched: Vec<&str> =
            self.known.iter().copied().filter(|name| !self.object.contains_key(*name)).collect();
        unmatched.sort_unstable();
        let error = ValidationError::new(json!({
            "reason": "unknown_fields",
            "unknown": crate::reason::bounded(&unknown.join(",")),
            "unmatched": unmatched.join(","),
        }));
        self.errors.push(error.at(&self.path));
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
