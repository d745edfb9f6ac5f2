//! Topic patterns of rules: filters, literal comparisons, placeholders.

use std::borrow::Cow;

use spanmq_topic::{BadFilter, TopicFilter};

use crate::client::ClientInfo;

/// A topic filter of a rule, with placeholders.
#[derive(Debug, Clone)]
pub(super) struct TopicPattern {
    pieces: Vec<Piece>,
    /// `{eq, …}`: compare the texts.
    literal: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Placeholder {
    Username,
    ClientId,
    CertCommonName,
    Attribute(String),
    Zone,
}

impl Placeholder {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "username" => Self::Username,
            "clientid" => Self::ClientId,
            "cert_common_name" => Self::CertCommonName,
            "zone" => Self::Zone,
            _ => Self::Attribute(
                name.strip_prefix("client_attrs.").filter(|rest| !rest.is_empty())?.to_owned(),
            ),
        })
    }

    fn value<'a>(&self, client: &'a ClientInfo) -> Option<&'a str> {
        match self {
            Self::Username => client.username.as_deref(),
            Self::ClientId => Some(&client.client_id),
            Self::CertCommonName => client.cert_common_name.as_deref(),
            Self::Attribute(name) => client.client_attrs.get(name).map(String::as_str),
            Self::Zone => Some(&client.zone),
        }
    }
}

/// Why a text is no topic pattern.
#[derive(Debug)]
pub(super) enum BadPattern {
    Filter(BadFilter),
    Placeholder(String),
}

impl TopicPattern {
    pub(super) fn parse(text: &str, literal: bool) -> Result<Self, BadPattern> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            let value =
                Placeholder::parse(name).ok_or_else(|| BadPattern::Placeholder(name.to_owned()))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Value(value));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let pattern = Self { pieces, literal };
        // With any value in place of the placeholders the text must be a filter.
        let sample: String = pattern
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Value(_) => "x",
            })
            .collect();
        TopicFilter::new(sample).map_err(BadPattern::Filter)?;
        Ok(pattern)
    }

    /// Whether the first word of the pattern is text without placeholders. Only such a pattern can
    /// open `$SYS/#` or `$LINK/#`: a user called `$LINK` must not.
    pub(super) fn spells_its_first_word(&self) -> bool {
        match self.pieces.as_slice() {
            [Piece::Text(_)] => true,
            [Piece::Text(text), ..] => text.contains('/'),
            _ => false,
        }
    }

    /// Whether the pattern, filled with the client's values, speaks about `topic`.
    pub(super) fn accepts(
        &self,
        client: &ClientInfo,
        topic: &str,
        matched: impl Fn(&str) -> bool,
    ) -> bool {
        match self.fill(client) {
            Some(filter) if self.literal => filter == topic,
            Some(filter) => matched(&filter),
            None => false,
        }
    }

    /// The filter for this client; None when a value is missing or could widen the rule
    /// (SECURITY-REQUIREMENTS A6).
    fn fill(&self, client: &ClientInfo) -> Option<Cow<'_, str>> {
        if let [Piece::Text(text)] = self.pieces.as_slice() {
            return Some(Cow::Borrowed(text));
        }
        let mut filter = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filter.push_str(text),
                Piece::Value(placeholder) => {
                    let value = placeholder.value(client)?;
                    if value.is_empty() || value.contains(['/', '+', '#']) {
                        return None;
                    }
                    filter.push_str(value);
                }
            }
        }
        Some(Cow::Owned(filter))
    }
}
