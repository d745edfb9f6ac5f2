//! Why a link does not work: one catalogue of machine words, sentences and advice.
//!
//! Decides the words; shells say which one applies. Texts that come from the remote are bounded
//! and escaped before they are kept (K7).

mod advice;
mod catalogue;

pub use advice::AdviceContext;
pub use catalogue::ReasonWord;

use std::fmt;

/// Longest text of a remote that we keep, in characters (K7).
pub const REMOTE_TEXT_CHARS_MAX: usize = 256;

/// A reason with what is special about this case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub word: ReasonWord,
    /// A cause in the words of the operating system, the TLS library or the remote; escaped.
    pub detail: Option<String>,
}

impl Reason {
    pub fn new(word: ReasonWord) -> Reason {
        Reason { word, detail: None }
    }

    /// With a detail from outside: bounded and escaped here.
    pub fn with_detail(word: ReasonWord, detail: &str) -> Reason {
        Reason { word, detail: Some(bounded(detail)) }
    }

    /// The refusal words of W-21, as an upstream spells them.
    pub fn from_refusal(text: &str) -> Reason {
        match text {
            "unknown_cluster" => Reason::new(ReasonWord::UnknownCluster),
            "bad_remote_cluster_link_name" => Reason::new(ReasonWord::BadRemoteClusterName),
            "cluster_link_disabled" => Reason::new(ReasonWord::LinkDisabledAtRemote),
            other => Reason::with_detail(ReasonWord::Refused, other),
        }
    }
}

impl From<ReasonWord> for Reason {
    fn from(word: ReasonWord) -> Self {
        Reason::new(word)
    }
}

/// The sentence, then the detail in brackets.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word.sentence())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// Bounds and escapes a text from outside for logs and answers (K7): control characters, and the
/// invisible characters that reorder or hide text, become `\u{…}`.
pub fn bounded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(REMOTE_TEXT_CHARS_MAX));
    let mut chars = text.chars();
    for character in chars.by_ref().take(REMOTE_TEXT_CHARS_MAX) {
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
