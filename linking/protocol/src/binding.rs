//! Who may speak for a remote's name (A-7, K4, LINK-SPEC 0.1 "Identity").

use serde::{Deserialize, Serialize};
use std::fmt;

/// An authenticated MQTT client, as the broker saw it at CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientIdentity {
    pub client_id: String,
    pub username: Option<String>,
    /// Common name of a verified client certificate.
    pub cert_cn: Option<String>,
}

/// What a name is bound to when no rule binds it: the certificate if there is one, else the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    Certificate(String),
    User(String),
    /// Anonymous clients are allowed here, and this is one; they cannot be told apart.
    Anonymous,
}

impl Principal {
    pub fn of(client: &ClientIdentity) -> Principal {
        match (&client.cert_cn, &client.username) {
            (Some(name), _) => Principal::Certificate(name.clone()),
            (None, Some(name)) => Principal::User(name.clone()),
            (None, None) => Principal::Anonymous,
        }
    }
}

impl Principal {
    /// As the replicated state keeps it: `cert:NAME`, `user:NAME` or `anonymous`.
    pub fn to_text(&self) -> String {
        match self {
            Principal::Certificate(name) => format!("cert:{name}"),
            Principal::User(name) => format!("user:{name}"),
            Principal::Anonymous => "anonymous".to_owned(),
        }
    }

    /// Reads [`Self::to_text`].
    pub fn from_text(text: &str) -> Option<Principal> {
        match text.split_once(':') {
            Some(("cert", name)) => Some(Principal::Certificate(name.to_owned())),
            Some(("user", name)) => Some(Principal::User(name.to_owned())),
            _ => (text == "anonymous").then_some(Principal::Anonymous),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Certificate(name) => {
                write!(f, "certificate {}", crate::reason::bounded(name))
            }
            Principal::User(name) => write!(f, "user {}", crate::reason::bounded(name)),
            Principal::Anonymous => f.write_str("an anonymous client"),
        }
    }
}

/// `inbound` of a link: everything that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboundRule {
    pub clientid_prefix: Option<String>,
    pub username: Option<String>,
    pub cert_cn: Option<String>,
}

impl InboundRule {
    /// A rule without conditions binds nothing.
    pub fn is_empty(&self) -> bool {
        *self == InboundRule::default()
    }

    pub fn admits(&self, client: &ClientIdentity) -> bool {
        let prefix = self.clientid_prefix.as_deref().unwrap_or_default();
        client.client_id.starts_with(prefix)
            && (self.username.is_none() || self.username == client.username)
            && (self.cert_cn.is_none() || self.cert_cn == client.cert_cn)
    }
}

/// Whether `client` may speak for the remote that `rule` and `holder` belong to. `holder` is the
/// principal whose actors of this remote live now.
pub fn may_speak(client: &ClientIdentity, rule: &InboundRule, holder: Option<&Principal>) -> bool {
    if !rule.is_empty() {
        return rule.admits(client);
    }
    holder.is_none_or(|holder| *holder == Principal::of(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, user: Option<&str>, cn: Option<&str>) -> ClientIdentity {
        ClientIdentity {
            client_id: id.into(),
            username: user.map(Into::into),
            cert_cn: cn.map(Into::into),
        }
    }

    #[test]
    fn without_a_rule_the_first_principal_holds_the_name() {
        let rule = InboundRule::default();
        let first = client("a", Some("clink"), None);
        assert!(may_speak(&first, &rule, None));
        let holder = Principal::of(&first);
        assert!(may_speak(&client("b", Some("clink"), None), &rule, Some(&holder)));
        assert!(!may_speak(&client("a", Some("other"), None), &rule, Some(&holder)));
        assert!(!may_speak(&client("a", None, None), &rule, Some(&holder)));
    }

    #[test]
    fn a_principal_is_read_from_its_text() {
        let user = |name: &str| Principal::User(name.into());
        let all = [user("a:b"), user(""), Principal::Certificate("user:x".into())];
        for principal in all.into_iter().chain([Principal::Anonymous]) {
            assert_eq!(Principal::from_text(&principal.to_text()), Some(principal));
        }
        assert_eq!(Principal::from_text("nobody:x"), None);
    }

    #[test]
    fn a_certificate_and_a_user_of_the_same_name_are_different_principals() {
        let holder = Principal::of(&client("a", Some("x"), Some("clink")));
        assert_eq!(holder, Principal::Certificate("clink".into()));
        assert!(!may_speak(
            &client("a", Some("clink"), None),
            &InboundRule::default(),
            Some(&holder)
        ));
    }

    #[test]
    fn a_rule_wins_over_the_holder_and_all_its_parts_must_hold() {
        let rule = InboundRule {
            clientid_prefix: Some("clink-us-".into()),
            username: Some("clink".into()),
            cert_cn: None,
        };
        let stranger = Principal::User("squatter".into());
        assert!(may_speak(&client("clink-us-1", Some("clink"), None), &rule, Some(&stranger)));
        assert!(!may_speak(&client("clink-eu-1", Some("clink"), None), &rule, None));
        assert!(!may_speak(&client("clink-us-1", Some("squatter"), None), &rule, Some(&stranger)));
    }
}
