//! Topic filters: the pattern of a plain subscription or a route (LINK-SPEC T-1).

use crate::algebra::matches;
use crate::limits::TEXT_BYTES_MAX;
use crate::text::shared_text;

/// Why a text is no topic filter, or no shared subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error("a topic filter must not be empty; give at least one character")]
    Empty,
    #[error("a topic filter is limited to 65535 bytes; shorten it")]
    TooLong,
    #[error("`#` must be the last level of a topic filter; move it to the end or use `+`")]
    HashNotLast,
    #[error(
        "`+` and `#` must stand alone in their level, and U+0000 is not allowed; change the level"
    )]
    InvalidChar,
    #[error("`$share/` names no group; write `$share/<group>/<filter>`")]
    ShareGroupEmpty,
    #[error(
        "the group of a shared subscription must not contain `+` or `#`; choose another group name"
    )]
    ShareGroupWildcard,
    #[error("the shared subscription has no topic filter; write `$share/<group>/<filter>`")]
    ShareTopicEmpty,
    #[error(
        "a shared subscription must not contain another one; remove the inner `$share/…` or `$queue/…`"
    )]
    ShareNested,
    #[error("shared subscriptions are not allowed here; give the topic filter alone")]
    ShareNotAllowed,
}

impl BadFilter {
    /// The machine word of LINK-SPEC C-6, C-8 and T-1.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Empty => "empty_topic",
            Self::TooLong => "topic_too_long",
            Self::HashNotLast => "topic_invalid_#",
            Self::InvalidChar => "topic_invalid_char",
            Self::ShareGroupEmpty => "share_subscription_group_name_cannot_be_empty",
            Self::ShareGroupWildcard => "share_subscription_group_name_cannot_include_wildcard",
            Self::ShareTopicEmpty => "share_subscription_topic_cannot_be_empty",
            Self::ShareNested => "$share_cannot_be_used_as_real_topic_filter",
            Self::ShareNotAllowed => "share_not_allowed",
        }
    }
}

/// Checks a plain filter without keeping it: the rules of T-1, left to right, first fault wins.
///
/// # Errors
/// [`BadFilter`]; `$share/…` and `$queue/…` are refused with [`BadFilter::ShareNotAllowed`], because
/// as plain filters they could never match and would only look right. Use
/// [`Subscription::parse`](crate::Subscription::parse) where they are allowed.
pub fn check_filter(text: &str) -> Result<(), BadFilter> {
    if text.is_empty() {
        return Err(BadFilter::Empty);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(BadFilter::TooLong);
    }
    if text.starts_with("$share/") || text.starts_with("$queue/") {
        return Err(BadFilter::ShareNotAllowed);
    }
    let mut words = text.split('/').peekable();
    while let Some(word) = words.next() {
        match word {
            "#" if words.peek().is_some() => return Err(BadFilter::HashNotLast),
            "#" | "+" => {}
            _ if word.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0)) => {
                return Err(BadFilter::InvalidChar);
            }
            _ => {}
        }
    }
    Ok(())
}

shared_text! {
    /// A checked plain topic filter; a clone is a reference count.
    TopicFilter, BadFilter, check_filter
}

impl TopicFilter {
    /// Whether the filter can match more than one name.
    pub fn has_wildcard(&self) -> bool {
        has_wildcard(self)
    }

    /// T-2.
    pub fn matches(&self, name: &str) -> bool {
        matches(name, self)
    }
}

/// Whether a valid filter holds a wildcard. In a valid filter `+` and `#` occur as whole words only,
/// so looking for the byte is enough.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_t1_has_its_machine_word() {
        let table = [
            ("", "empty_topic"),
            ("#/a", "topic_invalid_#"),
            ("a/#/", "topic_invalid_#"),
            ("a#", "topic_invalid_char"),
            ("a/b+/c", "topic_invalid_char"),
            ("a/++", "topic_invalid_char"),
            ("a/\0", "topic_invalid_char"),
            ("$share/g/t", "share_not_allowed"),
            ("$queue/t", "share_not_allowed"),
        ];
        for (text, cause) in table {
            assert_eq!(TopicFilter::new(text).unwrap_err().cause(), cause, "{text:?}");
        }
        assert_eq!(TopicFilter::new("x".repeat(65_536)).unwrap_err().cause(), "topic_too_long");
    }

    #[test]
    fn empty_levels_and_lone_dollars_are_ordinary_t1() {
        for text in ["/", "//", "+/+", "#", "a//b", "$share", "$queue", "$SYS/#", "a/$share/b"] {
            assert!(TopicFilter::new(text).is_ok(), "{text:?}");
        }
    }
}
