//! A rule and whether it speaks about a request.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use regex::Regex;
use spanmq_topic::{is_subset, matches};

use super::Permission;
use super::pattern::TopicPattern;
use crate::client::{Action, ClientInfo};

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) file: Arc<str>,
    pub(super) line: u32,
    pub(super) permission: Permission,
    pub(super) who: Who,
    pub(super) what: What,
    pub(super) topics: Topics,
}

#[derive(Debug, Clone)]
pub(super) enum Who {
    All,
    /// A rule for another security profile than ours.
    Nobody,
    Username(Text),
    ClientId(Text),
    Attribute(String, Text),
    Zone(Text),
    Listener(Text),
    Address(Vec<IpNet>),
    Every(Vec<Who>),
    Any(Vec<Who>),
}

/// `"text"` or `{re, "regex"}`.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Equal(String),
    /// Unanchored.
    Like(Regex),
}

impl Text {
    fn accepts(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| match self {
            Self::Equal(text) => text == value,
            Self::Like(regex) => regex.is_match(value),
        })
    }
}

impl Who {
    fn is(&self, client: &ClientInfo) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::Username(text) => text.accepts(client.username.as_deref()),
            Self::ClientId(text) => text.accepts(Some(&client.client_id)),
            Self::Attribute(name, text) => {
                text.accepts(client.client_attrs.get(name).map(String::as_str))
            }
            Self::Zone(text) => text.accepts(Some(&client.zone)),
            Self::Listener(text) => text.accepts(Some(&client.listener)),
            Self::Address(nets) => {
                // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d.
                let ip: IpAddr = client.peer_ip.to_canonical();
                nets.iter().any(|net| net.contains(&ip))
            }
            Self::Every(all) => all.iter().all(|who| who.is(client)),
            Self::Any(any) => any.iter().any(|who| who.is(client)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct What {
    pub(super) publish: bool,
    pub(super) subscribe: bool,
    /// By level.
    pub(super) qos: [bool; 3],
    /// None = either. A subscription has no retain flag, so it is asked of publishes only.
    pub(super) retain: Option<bool>,
}

impl What {
    fn is(&self, action: Action) -> bool {
        let with = |qos: u8| self.qos.get(usize::from(qos)).copied().unwrap_or(false);
        match action {
            Action::Publish { qos, retain } => {
                self.publish && with(qos) && self.retain.is_none_or(|wanted| wanted == retain)
            }
            Action::Subscribe { qos } => self.subscribe && with(qos),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Topics {
    All,
    List(Vec<TopicPattern>),
}

impl Rule {
    /// Whether the rule decides the request.
    pub(super) fn applies(
        &self,
        client: &ClientInfo,
        action: Action,
        topic: &str,
        reserved: bool,
    ) -> bool {
        if !self.what.is(action) || !self.who.is(client) {
            return false;
        }
        match (&self.topics, self.permission) {
            // a reserved topic is opened only by a rule that spells it out.
            (Topics::All, Permission::Allow) => !reserved,
            (Topics::All, Permission::Deny) => true,
            (Topics::List(patterns), Permission::Deny) => patterns
                .iter()
                .any(|pattern| pattern.accepts(client, topic, |filter| matches(topic, filter))),
            (Topics::List(patterns), Permission::Allow) => patterns.iter().any(|pattern| {
                (!reserved || pattern.spells_its_first_word())
                    && pattern.accepts(client, topic, |filter| match action {
                        Action::Publish { .. } => matches(topic, filter),
                        Action::Subscribe { .. } => grants(topic, filter),
                    })
            }),
        }
    }
}

/// Whether a rule for `filter` may grant the subscription `requested`.
///
/// A-5 compares the requested filter as if it were a name. Taken alone that lets `a/#` pass as a name
/// below `a/+`, and the client would receive more than the rule says; so we also ask that the rule
/// cover the request. `#` is asked as `+/#`, which is the same set of names.
fn grants(requested: &str, filter: &str) -> bool {
    let widest = if requested == "#" { "+/#" } else { requested };
    matches(requested, filter) && is_subset(widest, filter)
}
