//! Durations and sizes as they are written (LINK-SPEC 1.1).

use std::time::Duration;

/// Reads `15s`, `1m30s`, `1.5s` or a whole number of milliseconds.
///
/// # Errors
/// The text that tells how a duration is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "a duration such as 15s, 1m30s or a number of milliseconds";
    let fail = || EXPECTED.to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_millis).map_err(|_| fail());
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fail)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(fail)?;
        seconds += number
            * match unit.to_ascii_lowercase().as_str() {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                "f" => 1_209_600.0,
                _ => return Err(fail()),
            };
        rest = tail;
    }
    let millis = (seconds * 1_000.0).round();
    if text.is_empty() || !millis.is_finite() || millis > u64::MAX as f64 / 2.0 {
        return Err(fail());
    }
    Ok(Duration::from_millis(millis as u64))
}

/// The shortest way to write a duration that [`parse_duration`] reads back.
pub fn show_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, millis) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        if left >= millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    text
}

const SIZES: [(&str, &str, u64); 4] =
    [("GB", "gb", 1 << 30), ("MB", "mb", 1 << 20), ("KB", "kb", 1 << 10), ("B", "b", 1)];

/// Reads `512KB`, `1mb` or a number of bytes; units are 1024-based.
///
/// # Errors
/// The text that tells how a size is written.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "a size such as 512KB, 1MB or a number of bytes";
    let (number, factor) = SIZES
        .iter()
        .find_map(|(upper, lower, factor)| {
            let number = text.strip_suffix(upper).or_else(|| text.strip_suffix(lower))?;
            Some((number, *factor))
        })
        .unwrap_or((text, 1));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number
        .parse::<u64>()
        .ok()
        .filter(|_| digits)
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| EXPECTED.to_owned())
}

/// The shortest exact way to write a size.
pub fn show_size(bytes: u64) -> String {
    SIZES
        .iter()
        .find(|(_, _, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| "0B".into(), |(unit, _, factor)| format!("{}{unit}", bytes / factor))
}
