//! What happens to a forwarded message that arrives (W-40…W-44, K4, K5).
//!
//! Decides delivered or dropped, and with which reason code. Leaves the delivery, and recording
//! the id once the delivery is durable, to the shell.

#[cfg(test)]
mod tests;

use crate::binding::{ClientIdentity, InboundRule, Principal, may_speak};
use crate::config::TopicList;
use crate::dedup::DedupWindow;
use crate::message::{MessageError, MessageRecord, Received};
use crate::upstream::code;

/// The link named in the topic of the carrier.
#[derive(Debug, Clone, Copy)]
pub struct InboundLink<'a> {
    pub enabled: bool,
    pub topics: &'a TopicList,
    pub rule: &'a InboundRule,
    pub holder: Option<&'a Principal>,
}

/// What to do with one forwarded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Deliver to local subscribers only, marked with its origin (W-42). Acknowledge with
    /// [`Inbound::delivered_code`] when the delivery is as durable as that of any publish.
    Deliver(Box<MessageRecord>),
    /// Acknowledge with this code and count.
    Drop { code: u8, why: DropCause },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropCause {
    /// No link has this name.
    UnknownLink,
    /// Another client speaks for this name.
    IdentityMismatch,
    LinkDisabled,
    BadPayload(MessageError),
    /// The topic is no topic name, or one that never crosses a link.
    BadTopic,
    /// The link's topics do not want it.
    Filtered,
    Duplicate,
}

impl Inbound {
    /// PUBACK code after a delivery (W-24).
    pub const fn delivered_code(found_subscriber: bool) -> u8 {
        if found_subscriber { code::SUCCESS } else { code::NO_MATCHING_SUBSCRIBERS }
    }
}

/// Checks who speaks before anything of the payload is decoded: `Err` is the final answer.
///
/// # Errors
/// The drop for an unknown or disabled link, or for a client that may not speak for the name.
pub fn admit<'a>(
    link: Option<InboundLink<'a>>,
    client: &ClientIdentity,
) -> Result<InboundLink<'a>, Inbound> {
    let refused = |code, why| Err(Inbound::Drop { code, why });
    let Some(link) = link else {
        return refused(code::NOT_AUTHORIZED, DropCause::UnknownLink);
    };
    if !may_speak(client, link.rule, link.holder) {
        return refused(code::NOT_AUTHORIZED, DropCause::IdentityMismatch);
    }
    if !link.enabled {
        return refused(code::NO_MATCHING_SUBSCRIBERS, DropCause::LinkDisabled);
    }
    Ok(link)
}

/// Decides about the decoded message of an admitted client.
pub fn decide(
    link: InboundLink<'_>,
    decoded: Result<Received<MessageRecord>, MessageError>,
    seen: &DedupWindow,
) -> Inbound {
    let ignored = |why| Inbound::Drop { code: code::NO_MATCHING_SUBSCRIBERS, why };
    let record = match decoded {
        Ok(received) => received.message,
        Err(error) => return ignored(DropCause::BadPayload(error)),
    };
    if spanmq_topic::check_name(&record.topic).is_err() || !may_cross(&record.topic) {
        return ignored(DropCause::BadTopic);
    }
    if !link.topics.matches(&record.topic) {
        return ignored(DropCause::Filtered);
    }
    if seen.contains(&record.id) {
        return Inbound::Drop { code: code::SUCCESS, why: DropCause::Duplicate };
    }
    Inbound::Deliver(Box::new(record))
}

/// Of the `$` topics only `$SYS/` crosses a link, and only under a filter that names it (C-8, K5,
/// W-30).
pub fn may_cross(topic: &str) -> bool {
    !topic.starts_with('$') || topic.starts_with("$SYS/")
}
