//! Rules about who may publish and subscribe where (LINK-SPEC A-5…A-7).
//!
//! First matching rule wins. `$SYS/#` and `$LINK/#` are closed unless a rule that names them allows
//! them: neither `{allow, all}` nor a placeholder nor `no_match = allow` opens them.
//!
//! As in the peer, a deny rule does not narrow a wider subscription: after
//! `{deny, all, subscribe, ["a/b"]}.` a client may still be allowed `a/#`. Prefer rules that allow.

mod compile;
mod error;
mod lexer;
mod pattern;
mod rule;
mod term;

use std::sync::Arc;

use spanmq_topic::{Subscription, matches};

use crate::client::{Action, ClientInfo};
pub use error::{AclError, Place};
use rule::Rule;

/// Longer files are refused.
const FILE_BYTES_MAX: usize = 4 << 20;

/// What only an explicit rule opens (A-7, SECURITY-REQUIREMENTS A4).
const RESERVED: [&str; 2] = ["$SYS/#", "$LINK/#"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Allow,
    Deny,
}

/// The answer to a request, and whence it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub permission: Permission,
    pub cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The rule that begins on this line.
    Rule {
        file: Arc<str>,
        line: u32,
    },
    Superuser,
    /// No rule that names `$SYS/…` or `$LINK/…` allowed it.
    Reserved,
    /// No rule matched; `no_match` decided.
    NoMatch,
    /// The text is no topic name or filter.
    Malformed,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        self.permission == Permission::Allow
    }

    /// The line of the rule that decided.
    pub fn rule(&self) -> Option<u32> {
        match self.cause {
            Cause::Rule { line, .. } => Some(line),
            _ => None,
        }
    }
}

/// An ordered list of rules with an answer for the rest.
#[derive(Debug, Clone)]
pub struct Acl {
    rules: Vec<Rule>,
    no_match: Permission,
}

impl Acl {
    /// Parses the text of a rule file; `file` appears in errors and decisions. No match: deny.
    ///
    /// # Errors
    /// [`AclError`] at the first fault, and for a file without rules (SECURITY-REQUIREMENTS A8).
    pub fn parse(file: &str, text: &str) -> Result<Self, AclError> {
        let file: Arc<str> = file.into();
        if text.len() > FILE_BYTES_MAX {
            return Err(AclError::TooLarge { file, bytes: text.len(), bytes_max: FILE_BYTES_MAX });
        }
        let terms = term::parse_terms(&file, text)?;
        let rules = terms.iter().map(compile::compile_rule).collect::<Result<Vec<_>, _>>()?;
        if rules.is_empty() {
            return Err(AclError::Empty { file });
        }
        Ok(Self { rules, no_match: Permission::Deny })
    }

    /// No rules at all: everything but the reserved topics is answered with `no_match`.
    pub fn without_rules(no_match: Permission) -> Self {
        Self { rules: Vec::new(), no_match }
    }

    /// The answer when no rule matches. It does not open reserved topics.
    #[must_use]
    pub fn with_no_match(mut self, no_match: Permission) -> Self {
        self.no_match = no_match;
        self
    }

    /// Adds the rules of a further file behind ours; our `no_match` stays.
    pub fn append(&mut self, next: Self) {
        self.rules.extend(next.rules);
    }

    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Decides one request. A shared subscription is decided by its inner filter
    /// (SECURITY-REQUIREMENTS A5), whether it comes as `$share/G/F` or as `F`.
    pub fn check(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision {
        match action {
            Action::Publish { .. } => match spanmq_topic::check_name(topic) {
                Ok(()) => self.decide(client, action, topic),
                Err(_) => Decision { permission: Permission::Deny, cause: Cause::Malformed },
            },
            Action::Subscribe { .. } => match Subscription::parse(topic) {
                Ok(subscription) => self.decide(client, action, subscription.filter()),
                Err(_) => Decision { permission: Permission::Deny, cause: Cause::Malformed },
            },
        }
    }

    fn decide(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision {
        if client.is_superuser {
            return Decision { permission: Permission::Allow, cause: Cause::Superuser };
        }
        let reserved = is_reserved(topic);
        let rule = self.rules.iter().find(|rule| rule.applies(client, action, topic, reserved));
        match rule {
            Some(rule) => {
                let cause = Cause::Rule { file: rule.file.clone(), line: rule.line };
                Decision { permission: rule.permission, cause }
            }
            None if reserved => Decision { permission: Permission::Deny, cause: Cause::Reserved },
            None => Decision { permission: self.no_match, cause: Cause::NoMatch },
        }
    }
}

/// Whether a name or filter lies in the broker's own part of the topic space.
pub fn is_reserved(topic: &str) -> bool {
    RESERVED.iter().any(|reserved| matches(topic, reserved))
}

#[cfg(test)]
mod tests;
