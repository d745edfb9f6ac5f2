//! Terms → rules: the grammar of LINK-SPEC A-5.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::RegexBuilder;

use super::Permission;
use super::error::AclError;
use super::pattern::{BadPattern, TopicPattern};
use super::rule::{Rule, Text, Topics, What, Who};
use super::term::{Kind, Term};

/// Memory that one compiled pattern may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

const WHO: &str = "who: all, {username, X}, {clientid, X}, {ipaddr, \"CIDR\"}, {ipaddrs, [\"CIDR\"]}, \
    {client_attr, \"Name\", X}, {zone, X}, {listener, X}, {'and', [Who]} or {'or', [Who]}";
const ACTION: &str =
    "an action: publish, subscribe, all, or {Action, [{qos, 0..2}, {retain, true|false|all}]}";
const TOPICS: &str = "topics: all, or a list of \"filter\", {eq, \"filter\"}";
const RULE: &str = "a rule: {allow|deny, Who, Action, Topics}, {allow|deny, all} or \
    {allow|deny, {security_profile, legacy|hardened}}";

pub(super) fn compile_rule(term: &Term) -> Result<Rule, AclError> {
    let everything = What { publish: true, subscribe: true, qos: [true; 3], retain: None };
    let items = term.tuple().ok_or_else(|| term.unexpected(RULE))?;
    let (permission, who, what, topics) = match items {
        [permission, who] => (permission, short_who(who)?, everything, Topics::All),
        [permission, who, action, topics] => {
            (permission, compile_who(who)?, compile_what(action)?, compile_topics(topics)?)
        }
        _ => return Err(term.unexpected(RULE)),
    };
    let permission = match permission.atom() {
        Some("allow") => Permission::Allow,
        Some("deny") => Permission::Deny,
        _ => return Err(permission.unexpected("allow or deny")),
    };
    Ok(Rule { file: term.at.file.clone(), line: term.at.line, permission, who, what, topics })
}

/// The second half of a rule of two.
fn short_who(term: &Term) -> Result<Who, AclError> {
    match (term.atom(), term.tuple()) {
        (Some("all"), _) => Ok(Who::All),
        (_, Some([name, profile])) if name.atom() == Some("security_profile") => {
            match profile.atom() {
                // There is one way to run this broker, and it is the closed one.
                Some("hardened") => Ok(Who::All),
                Some("legacy") => Ok(Who::Nobody),
                _ => Err(profile.unexpected("legacy or hardened")),
            }
        }
        _ => Err(term
            .unexpected("all or {security_profile, legacy|hardened}; other rules have four parts")),
    }
}

fn compile_who(term: &Term) -> Result<Who, AclError> {
    if term.atom() == Some("all") {
        return Ok(Who::All);
    }
    let items = term.tuple().ok_or_else(|| term.unexpected(WHO))?;
    let (name, values) = items.split_first().ok_or_else(|| term.unexpected(WHO))?;
    match (name.atom(), values) {
        (Some("username" | "user"), [text]) => Ok(Who::Username(compile_text(text)?)),
        (Some("clientid" | "client"), [text]) => Ok(Who::ClientId(compile_text(text)?)),
        (Some("zone"), [text]) => Ok(Who::Zone(compile_text(text)?)),
        (Some("listener"), [text]) => Ok(Who::Listener(compile_text(text)?)),
        (Some("client_attr"), [name, text]) => {
            let name = name.text("the name of a client attribute in double quotes")?;
            Ok(Who::Attribute(name.to_owned(), compile_text(text)?))
        }
        (Some("ipaddr"), [net]) => Ok(Who::Address(vec![compile_net(net)?])),
        (Some("ipaddrs"), [nets]) => {
            let nets = nets.list("a list of addresses such as [\"10.0.0.0/8\"]")?;
            Ok(Who::Address(nets.iter().map(compile_net).collect::<Result<_, _>>()?))
        }
        (Some("and"), [members]) => Ok(Who::Every(members_of(members)?)),
        (Some("or"), [members]) => Ok(Who::Any(members_of(members)?)),
        _ => Err(term.unexpected(WHO)),
    }
}

/// An empty `and` would be everybody, an empty `or` nobody; neither is ever meant.
fn members_of(term: &Term) -> Result<Vec<Who>, AclError> {
    match term.list("a list of who")? {
        [] => Err(term.unexpected("a list with at least one who")),
        members => members.iter().map(compile_who).collect(),
    }
}

fn compile_net(term: &Term) -> Result<IpNet, AclError> {
    const EXPECTED: &str = "an address such as \"10.0.0.0/8\", \"192.0.2.7\" or \"2001:db8::/32\"";
    let text = term.text(EXPECTED)?;
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| term.unexpected(EXPECTED))
}

fn compile_text(term: &Term) -> Result<Text, AclError> {
    const EXPECTED: &str = "a text in double quotes or {re, \"regular expression\"}";
    if let Kind::Text(text) = &term.kind {
        return Ok(Text::Equal(text.clone()));
    }
    let Some([name, pattern]) = term.tuple() else { return Err(term.unexpected(EXPECTED)) };
    if name.atom() != Some("re") {
        return Err(term.unexpected(EXPECTED));
    }
    let text = pattern.text("a regular expression in double quotes")?;
    match RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build() {
        Ok(regex) => Ok(Text::Like(regex)),
        Err(source) => {
            let (at, pattern) = (pattern.at.clone(), text.chars().take(200).collect());
            Err(if is_unsupported(text, &source) {
                AclError::UnsupportedPattern { at, pattern, source }
            } else {
                AclError::BadPattern { at, pattern, source }
            })
        }
    }
}

/// Whether a pattern is fine for PCRE and refused here because it needs backtracking.
fn is_unsupported(pattern: &str, error: &regex::Error) -> bool {
    let said = error.to_string();
    said.contains("look-around")
        || said.contains("backreference")
        || ["(?>", "(?(", "(?R", "(?&", "(?|", "*+", "++", "?+"]
            .iter()
            .any(|form| pattern.contains(form))
}

fn compile_what(term: &Term) -> Result<What, AclError> {
    let (action, options): (&Term, &[Term]) = match (&term.kind, term.tuple()) {
        (Kind::Atom(_), _) => (term, &[]),
        (_, Some([action, options])) => {
            (action, options.list("a list of {qos, …} and {retain, …}")?)
        }
        _ => return Err(term.unexpected(ACTION)),
    };
    let (publish, subscribe) = match action.atom() {
        Some("publish") => (true, false),
        Some("subscribe") => (false, true),
        Some("all") => (true, true),
        _ => return Err(action.unexpected(ACTION)),
    };
    let mut what = What { publish, subscribe, qos: [true; 3], retain: None };
    for option in options {
        const EXPECTED: &str = "{qos, 0..2 or a list of them} or {retain, true|false|all}";
        let Some([name, value]) = option.tuple() else { return Err(option.unexpected(EXPECTED)) };
        match name.atom() {
            Some("qos") => what.qos = compile_qos(value)?,
            Some("retain") => {
                what.retain = match value.atom() {
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    Some("all") => None,
                    _ => return Err(value.unexpected("true, false or all")),
                }
            }
            _ => return Err(option.unexpected(EXPECTED)),
        }
    }
    Ok(what)
}

fn compile_qos(term: &Term) -> Result<[bool; 3], AclError> {
    let levels = match &term.kind {
        Kind::List(levels) if !levels.is_empty() => levels.as_slice(),
        _ => std::slice::from_ref(term),
    };
    let mut qos = [false; 3];
    for level in levels {
        let slot = match level.kind {
            Kind::Int(number) => usize::try_from(number).ok().and_then(|index| qos.get_mut(index)),
            _ => None,
        };
        *slot.ok_or_else(|| level.unexpected("a QoS: 0, 1 or 2"))? = true;
    }
    Ok(qos)
}

fn compile_topics(term: &Term) -> Result<Topics, AclError> {
    if term.atom() == Some("all") {
        return Ok(Topics::All);
    }
    match term.list(TOPICS)? {
        [] => Err(term.unexpected("a list with at least one topic, or all")),
        topics => Ok(Topics::List(topics.iter().map(compile_topic).collect::<Result<_, _>>()?)),
    }
}

fn compile_topic(term: &Term) -> Result<TopicPattern, AclError> {
    const EXPECTED: &str = "\"filter\" or {eq, \"filter\"}";
    let (text, literal) = match &term.kind {
        Kind::Text(text) => match text.strip_prefix("eq ") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        },
        Kind::Tuple(items) => match items.as_slice() {
            [name, text] if name.atom() == Some("eq") => {
                (text.text("a filter in double quotes")?, true)
            }
            _ => return Err(term.unexpected(EXPECTED)),
        },
        _ => return Err(term.unexpected(EXPECTED)),
    };
    TopicPattern::parse(text, literal).map_err(|bad| match bad {
        BadPattern::Filter(source) => AclError::BadFilter {
            at: term.at.clone(),
            filter: text.chars().take(200).collect(),
            source,
        },
        BadPattern::Placeholder(name) => AclError::Unexpected {
            at: term.at.clone(),
            found: format!("the placeholder {:?}", name.chars().take(40).collect::<String>()),
            expected:
                "${username}, ${clientid}, ${cert_common_name}, ${client_attrs.NAME} or ${zone}"
                    .to_owned(),
        },
    })
}
