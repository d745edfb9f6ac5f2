//! What a client may write in SUBSCRIBE: a plain filter, or one shared by a group.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::filter::{BadFilter, TopicFilter};
use crate::limits::TEXT_BYTES_MAX;

/// The group that `$queue/F` stands for (LINK-SPEC 2.5). No `$share/G/F` can be told apart from it
/// when G is literally `$queue`; both are the same group, as in the peer.
pub const QUEUE_GROUP: &str = "$queue";

/// A filter whose messages go to one member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SharedFilter {
    pub group: Arc<str>,
    pub filter: TopicFilter,
}

impl fmt::Display for SharedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.group == QUEUE_GROUP {
            write!(f, "$queue/{}", self.filter)
        } else {
            write!(f, "$share/{}/{}", self.group, self.filter)
        }
    }
}

/// A parsed SUBSCRIBE filter. Its text form (Display, serde) parses back to the same value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subscription {
    Plain(TopicFilter),
    Shared(SharedFilter),
}

impl Subscription {
    /// Parses `F`, `$share/G/F`, `$queue/F` and `$exclusive/F` (a plain subscription to F).
    ///
    /// # Errors
    /// [`BadFilter`] with the causes of T-1.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadFilter::TooLong);
        }
        if let Some(rest) = text.strip_prefix("$share/") {
            let (group, filter) = rest.split_once('/').unwrap_or((rest, ""));
            return Self::shared(group, filter);
        }
        if let Some(filter) = text.strip_prefix("$queue/") {
            return Self::shared(QUEUE_GROUP, filter);
        }
        let plain = text.strip_prefix("$exclusive/").unwrap_or(text);
        TopicFilter::new(plain).map(Self::Plain)
    }

    fn shared(group: &str, filter: &str) -> Result<Self, BadFilter> {
        if group.is_empty() {
            return Err(BadFilter::ShareGroupEmpty);
        }
        if group.contains(['+', '#']) {
            return Err(BadFilter::ShareGroupWildcard);
        }
        if group.contains('\0') {
            return Err(BadFilter::InvalidChar);
        }
        if filter.is_empty() {
            return Err(BadFilter::ShareTopicEmpty);
        }
        let filter = TopicFilter::new(filter).map_err(|bad| match bad {
            BadFilter::ShareNotAllowed => BadFilter::ShareNested,
            other => other,
        })?;
        Ok(Self::Shared(SharedFilter { group: group.into(), filter }))
    }

    /// The filter that messages are matched against, and that access rules are asked about.
    pub fn filter(&self) -> &TopicFilter {
        match self {
            Self::Plain(filter) => filter,
            Self::Shared(shared) => &shared.filter,
        }
    }

    /// The group of a shared subscription.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Shared(shared) => Some(&shared.group),
        }
    }
}

impl FromStr for Subscription {
    type Err = BadFilter;
    fn from_str(text: &str) -> Result<Self, BadFilter> {
        Self::parse(text)
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(filter) => fmt::Display::fmt(filter, f),
            Self::Shared(shared) => fmt::Display::fmt(shared, f),
        }
    }
}

impl Serialize for Subscription {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subscription {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for SharedFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SharedFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Subscription::deserialize(deserializer)? {
            Subscription::Shared(shared) => Ok(shared),
            Subscription::Plain(filter) => Err(serde::de::Error::custom(format_args!(
                "{filter:?} is not a shared subscription"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(group: &str, filter: &str) -> Subscription {
        let filter = TopicFilter::new(filter).unwrap();
        Subscription::Shared(SharedFilter { group: group.into(), filter })
    }

    #[test]
    fn the_three_prefixes_are_understood() {
        assert_eq!(Subscription::parse("$share/g/a/+").unwrap(), shared("g", "a/+"));
        assert_eq!(Subscription::parse("$share/g//").unwrap(), shared("g", "/"));
        assert_eq!(Subscription::parse("$queue/a").unwrap(), shared("$queue", "a"));
        let plain = Subscription::Plain(TopicFilter::new("a/b").unwrap());
        assert_eq!(Subscription::parse("a/b").unwrap(), plain);
        assert_eq!(Subscription::parse("$exclusive/a/b").unwrap(), plain);
    }

    #[test]
    fn each_share_fault_of_t1_has_its_machine_word() {
        let table = [
            ("$share/", "share_subscription_group_name_cannot_be_empty"),
            ("$share//t", "share_subscription_group_name_cannot_be_empty"),
            ("$share/g+/t", "share_subscription_group_name_cannot_include_wildcard"),
            ("$share/#/t", "share_subscription_group_name_cannot_include_wildcard"),
            ("$share/g", "share_subscription_topic_cannot_be_empty"),
            ("$share/g/", "share_subscription_topic_cannot_be_empty"),
            ("$queue/", "share_subscription_topic_cannot_be_empty"),
            ("$share/g/$share/h/t", "$share_cannot_be_used_as_real_topic_filter"),
            ("$queue/$share/h/t", "$share_cannot_be_used_as_real_topic_filter"),
            ("$share/g/a#", "topic_invalid_char"),
            ("$share/g/#/a", "topic_invalid_#"),
            ("$exclusive/", "empty_topic"),
            ("$exclusive/$share/g/t", "share_not_allowed"),
        ];
        for (text, cause) in table {
            assert_eq!(Subscription::parse(text).unwrap_err().cause(), cause, "{text:?}");
        }
    }

    #[test]
    fn the_text_form_parses_back() {
        for text in ["a/#", "$share/g/a/#", "$queue/a"] {
            let subscription = Subscription::parse(text).unwrap();
            assert_eq!(subscription.to_string(), text);
            let json = serde_json::to_string(&subscription).unwrap();
            assert_eq!(serde_json::from_str::<Subscription>(&json).unwrap(), subscription);
        }
    }
}
