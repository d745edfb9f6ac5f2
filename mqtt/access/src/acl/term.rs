//! Tokens → terms, each ended by a full stop.

use std::sync::Arc;

use super::error::{AclError, Place};
use super::lexer::{Lexer, Spot, Token};

/// `{allow, {'and', [{'or', [{username, {re, "…"}}]}]}, …}` needs eight.
const DEPTH_MAX: u32 = 16;

#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Atom(String),
    Text(String),
    Int(u64),
    Tuple(Vec<Term>),
    List(Vec<Term>),
}

impl Term {
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Atom(name) => Token::Atom(name.clone()).describe(),
            Kind::Text(text) => Token::Text(text.clone()).describe(),
            Kind::Int(number) => Token::Int(*number).describe(),
            Kind::Tuple(items) => match items.first().map(|first| &first.kind) {
                Some(Kind::Atom(name)) => {
                    let name: String = name.chars().take(40).collect();
                    format!("a tuple of {} that begins with {name:?}", items.len())
                }
                _ => format!("a tuple of {}", items.len()),
            },
            Kind::List(items) => format!("a list of {}", items.len()),
        }
    }

    pub(super) fn unexpected(&self, expected: impl Into<String>) -> AclError {
        AclError::Unexpected {
            at: self.at.clone(),
            found: self.describe(),
            expected: expected.into(),
        }
    }

    pub(super) fn atom(&self) -> Option<&str> {
        match &self.kind {
            Kind::Atom(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn text(&self, expected: &str) -> Result<&str, AclError> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn list(&self, expected: &str) -> Result<&[Term], AclError> {
        match &self.kind {
            Kind::List(items) => Ok(items),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn tuple(&self) -> Option<&[Term]> {
        match &self.kind {
            Kind::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

/// All terms of a file.
pub(super) fn parse_terms(file: &Arc<str>, text: &str) -> Result<Vec<Term>, AclError> {
    let mut lexer = Lexer::new(file.clone(), text);
    let mut terms = Vec::new();
    loop {
        let (at, token) = lexer.next_token()?;
        if token == Token::End {
            return Ok(terms);
        }
        terms.push(parse_term(&mut lexer, at, token, 0)?);
        let (at, token) = lexer.next_token()?;
        if token != Token::Sign('.') {
            return Err(lexer.unexpected(at, token.describe(), "`.` at the end of the rule"));
        }
    }
}

fn parse_term(lexer: &mut Lexer<'_>, at: Spot, token: Token, depth: u32) -> Result<Term, AclError> {
    let kind = match token {
        Token::Atom(name) => Kind::Atom(name),
        Token::Text(text) => Kind::Text(text),
        Token::Int(number) => Kind::Int(number),
        Token::Sign('{') => Kind::Tuple(parse_items(lexer, at, '}', depth + 1)?),
        Token::Sign('[') => Kind::List(parse_items(lexer, at, ']', depth + 1)?),
        other => {
            let expected = if depth == 0 { "a rule such as {allow, all}." } else { "a term" };
            return Err(lexer.unexpected(at, other.describe(), expected));
        }
    };
    Ok(Term { at: lexer.place(at), kind })
}

/// The items up to `end`, which is taken too.
fn parse_items(
    lexer: &mut Lexer<'_>,
    start: Spot,
    end: char,
    depth: u32,
) -> Result<Vec<Term>, AclError> {
    if depth > DEPTH_MAX {
        return Err(lexer.unexpected(
            start,
            "too many brackets in each other",
            format!("at most {DEPTH_MAX}"),
        ));
    }
    let mut items = Vec::new();
    let (mut at, mut token) = lexer.next_token()?;
    if token == Token::Sign(end) {
        return Ok(items);
    }
    loop {
        items.push(parse_term(lexer, at, token, depth)?);
        match lexer.next_token()? {
            (_, Token::Sign(sign)) if sign == end => return Ok(items),
            (_, Token::Sign(',')) => (at, token) = lexer.next_token()?,
            (at, other) => {
                return Err(lexer.unexpected(at, other.describe(), format!("`,` or `{end}`")));
            }
        }
    }
}
