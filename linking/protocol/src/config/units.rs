//! Durations and sizes as 1.1 spells them. The text given is kept, so that it reads back the same.

use std::time::Duration;

const UNITS_MS: [(&str, f64); 7] = [
    ("ms", 1.0),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
    ("w", 604_800_000.0),
    ("f", 1_209_600_000.0),
];

/// Longest duration we accept, in ms: about 285 years, exact as a float.
const SPAN_MS_MAX: f64 = 9_000_000_000_000.0;

/// A duration of the configuration.
#[derive(Debug, Clone)]
pub struct Span {
    ms: u64,
    text: String,
}

impl Span {
    pub fn from_ms(ms: u64) -> Span {
        let text = if ms > 0 && ms.is_multiple_of(1000) {
            format!("{}s", ms / 1000)
        } else {
            format!("{ms}ms")
        };
        Span { ms, text }
    }

    /// `1m30s`, `1.5s`, or digits alone as milliseconds.
    pub fn parse(text: &str) -> Option<Span> {
        let trimmed = text.trim();
        if let Ok(ms) = trimmed.parse::<u64>() {
            return (ms as f64 <= SPAN_MS_MAX).then(|| Span::from_ms(ms));
        }
        let mut rest = trimmed;
        let mut total = 0.0_f64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let (_, factor) = UNITS_MS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
                return None;
            }
            total += number.parse::<f64>().ok()? * factor;
            rest = tail;
        }
        (!trimmed.is_empty() && total <= SPAN_MS_MAX)
            .then(|| Span { ms: total.round() as u64, text: trimmed.to_owned() })
    }

    pub fn as_ms(&self) -> u64 {
        self.ms
    }

    pub fn as_duration(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    pub fn as_text(&self) -> &str {
        &self.text
    }
}

/// Two spans are equal when they last as long, however they are written.
impl PartialEq for Span {
    fn eq(&self, other: &Span) -> bool {
        self.ms == other.ms
    }
}

impl Eq for Span {}

/// A duration, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationOrInfinity {
    Infinity,
    Finite(Span),
}

impl DurationOrInfinity {
    pub fn parse(text: &str) -> Option<DurationOrInfinity> {
        match text.trim() {
            "infinity" => Some(DurationOrInfinity::Infinity),
            other => Span::parse(other).map(DurationOrInfinity::Finite),
        }
    }

    pub fn as_text(&self) -> &str {
        match self {
            DurationOrInfinity::Infinity => "infinity",
            DurationOrInfinity::Finite(span) => span.as_text(),
        }
    }

    pub fn as_duration(&self) -> Option<Duration> {
        match self {
            DurationOrInfinity::Infinity => None,
            DurationOrInfinity::Finite(span) => Some(span.as_duration()),
        }
    }
}

/// A number of bytes.
#[derive(Debug, Clone)]
pub struct ByteSize {
    bytes: u64,
    text: String,
}

impl ByteSize {
    pub fn from_bytes(bytes: u64) -> ByteSize {
        let unit = [("GB", 30), ("MB", 20), ("KB", 10)]
            .into_iter()
            .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift));
        let text = match unit {
            Some((name, shift)) => format!("{}{name}", bytes >> shift),
            None => format!("{bytes}B"),
        };
        ByteSize { bytes, text }
    }

    /// `<int>` or `<int>` + `B|KB|MB|GB`, all upper or all lower case, without space or fraction.
    pub fn parse(text: &str) -> Option<ByteSize> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" | "b" => 0,
            "KB" | "kb" => 10,
            "MB" | "mb" => 20,
            "GB" | "gb" => 30,
            _ => return None,
        };
        let bytes = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
        if unit.is_empty() {
            return Some(ByteSize::from_bytes(bytes));
        }
        Some(ByteSize { bytes, text: text.to_owned() })
    }

    pub fn as_bytes(&self) -> u64 {
        self.bytes
    }

    pub fn as_text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for ByteSize {
    fn eq(&self, other: &ByteSize) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ByteSize {}
