//! Topic names: what stands in a PUBLISH. A name never holds a wildcard.

use crate::limits::TEXT_BYTES_MAX;
use crate::text::shared_text;

/// Why a text is no topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    #[error("a topic name must not be empty; give at least one character")]
    Empty,
    #[error("a topic name is limited to 65535 bytes; shorten it")]
    TooLong,
    #[error("a topic name must not contain `+`, `#` or U+0000; remove them, or use a topic filter")]
    InvalidChar,
}

impl BadTopic {
    /// The machine word of LINK-SPEC C-6.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Empty => "empty_topic",
            Self::TooLong => "topic_too_long",
            Self::InvalidChar => "topic_invalid_char",
        }
    }
}

/// Checks a topic name without keeping it.
///
/// # Errors
/// [`BadTopic`] when the text is empty, above 65,535 bytes, or holds `+`, `#` or U+0000.
pub fn check_name(text: &str) -> Result<(), BadTopic> {
    if text.is_empty() {
        return Err(BadTopic::Empty);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(BadTopic::TooLong);
    }
    if text.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0)) {
        return Err(BadTopic::InvalidChar);
    }
    Ok(())
}

shared_text! {
    /// A checked topic name; a clone is a reference count.
    TopicName, BadTopic, check_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_wildcard_and_no_nul() {
        assert_eq!(TopicName::new("").unwrap_err().cause(), "empty_topic");
        assert_eq!(TopicName::new("a/+").unwrap_err(), BadTopic::InvalidChar);
        assert_eq!(TopicName::new("a#").unwrap_err(), BadTopic::InvalidChar);
        assert_eq!(TopicName::new("a\0").unwrap_err(), BadTopic::InvalidChar);
        assert_eq!(&*TopicName::new("/").unwrap(), "/");
    }

    #[test]
    fn a_name_ends_at_65535_bytes() {
        assert!(TopicName::new("x".repeat(65_535)).is_ok());
        assert_eq!(TopicName::new("x".repeat(65_536)).unwrap_err().cause(), "topic_too_long");
    }

    #[test]
    fn a_name_travels_as_a_checked_string() {
        let name: TopicName = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"a/b\"");
        assert!(serde_json::from_str::<TopicName>("\"a/#\"").is_err());
    }
}
