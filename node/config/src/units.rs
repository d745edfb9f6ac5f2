//! Durations and sizes as text. They are read as links read them (LINK-SPEC 1.1); here they are also
//! written in the shortest form.

use std::time::Duration;

use spanmq_link_protocol::config;

/// Reads `15s`, `1m30s`, `1.5s` or a whole number of milliseconds.
///
/// # Errors
/// The text that tells how a duration is written.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    config::Span::parse(text)
        .map(|span| span.as_duration())
        .ok_or_else(|| "a duration such as 15s, 1m30s or a number of milliseconds".into())
}

/// The shortest way to write a duration that [`parse_duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if left >= millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    text
}

/// Reads `512KB`, `1mb` or a number of bytes; units are 1024-based.
///
/// # Errors
/// The text that tells how a size is written.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    config::ByteSize::parse(text)
        .map(|size| size.as_bytes())
        .ok_or_else(|| "a size such as 512KB, 1MB or a number of bytes".into())
}

/// The shortest exact way to write a size.
pub(crate) fn show_size(bytes: u64) -> String {
    config::ByteSize::from_bytes(bytes).as_text().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_so_that_they_read_back() {
        for (text, millis) in [("0s", 0), ("15s", 15_000), ("1m30s", 90_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), millis, "{text}");
            assert_eq!(show_duration(Duration::from_millis(millis as u64)), text);
        }
        assert_eq!(show_duration(Duration::from_millis(1_500)), "1s500ms");
    }

    #[test]
    fn sizes_are_written_in_the_largest_exact_unit() {
        for (text, bytes) in [("1MB", 1 << 20), ("1536KB", 1_536 << 10), ("100B", 100)] {
            assert_eq!(parse_size(text).unwrap(), bytes);
            assert_eq!(show_size(bytes), text);
        }
    }
}
