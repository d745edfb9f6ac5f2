//! Text of a rule file → tokens of Erlang terms.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use super::error::{AclError, Place};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Atom(String),
    Text(String),
    Int(u64),
    /// One of `{ } [ ] , .`
    Sign(char),
    End,
}

impl Token {
    /// The token in an error, bounded and without control characters.
    pub(super) fn describe(&self) -> String {
        let short = |text: &str| text.chars().take(40).collect::<String>();
        match self {
            Self::Atom(name) => format!("the atom {:?}", short(name)),
            Self::Text(text) => format!("the text {:?}", short(text)),
            Self::Int(number) => format!("the number {number}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end of the file".to_owned(),
        }
    }
}

/// Line and column, from 1.
pub(super) type Spot = (u32, u32);

pub(super) struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    file: Arc<str>,
    at: Spot,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(file: Arc<str>, text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { chars: text.chars().peekable(), file, at: (1, 1) }
    }

    pub(super) fn place(&self, (line, column): Spot) -> Place {
        Place { file: self.file.clone(), line, column }
    }

    pub(super) fn unexpected(
        &self,
        at: Spot,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> AclError {
        AclError::Unexpected { at: self.place(at), found: found.into(), expected: expected.into() }
    }

    fn next_char(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        let (line, column) = self.at;
        self.at = if next == '\n' {
            (line.saturating_add(1), 1)
        } else {
            (line, column.saturating_add(1))
        };
        Some(next)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(next) = self.chars.peek().copied().filter(|next| keep(*next)) {
            text.push(next);
            self.next_char();
        }
        text
    }

    pub(super) fn next_token(&mut self) -> Result<(Spot, Token), AclError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.chars.peek() != Some(&'%') {
                break;
            }
            self.take_while(|next| next != '\n');
        }
        let at = self.at;
        let Some(first) = self.chars.peek().copied() else { return Ok((at, Token::End)) };
        let token = match first {
            '{' | '}' | '[' | ']' | ',' | '.' => {
                self.next_char();
                Token::Sign(first)
            }
            '"' => Token::Text(self.quoted('"')?),
            '\'' => Token::Atom(self.quoted('\'')?),
            '<' => self.binary(at)?,
            '0'..='9' => {
                let digits = self.take_while(|next| next.is_ascii_digit());
                let number = digits
                    .parse()
                    .map_err(|_| self.unexpected(at, "a huge number", "0, 1 or 2"))?;
                Token::Int(number)
            }
            'a'..='z' => Token::Atom(
                self.take_while(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '@')),
            ),
            other => {
                let expected =
                    "`{`, `[`, a text in double quotes, an atom, a number, a `%` comment or `.`";
                return Err(self.unexpected(at, format!("the character {other:?}"), expected));
            }
        };
        Ok((at, token))
    }

    /// `<<"text">>` and `<<"text"/utf8>>` mean the text.
    fn binary(&mut self, at: Spot) -> Result<Token, AclError> {
        let wrong =
            |lexer: &Self| lexer.unexpected(at, "`<`", "a text in double quotes or <<\"…\">>");
        if self.take_while(|next| next == '<') != "<<" || self.chars.peek() != Some(&'"') {
            return Err(wrong(self));
        }
        let text = self.quoted('"')?;
        let end = self.take_while(|next| matches!(next, '/' | 'a'..='z' | '0'..='9' | '>'));
        if end == ">>" || end == "/utf8>>" { Ok(Token::Text(text)) } else { Err(wrong(self)) }
    }

    /// A text up to the same quote, with Erlang's escapes.
    fn quoted(&mut self, quote: char) -> Result<String, AclError> {
        let start = self.at;
        self.next_char();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next_char() {
                None => {
                    return Err(self.unexpected(
                        start,
                        "a quote without its end",
                        format!("a closing {quote}"),
                    ));
                }
                Some(next) if next == quote => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some(next) => text.push(next),
            }
        }
    }

    fn escape(&mut self, at: Spot) -> Result<char, AclError> {
        let wrong = |lexer: &Self| {
            lexer.unexpected(at, "a broken escape", "an escape of Erlang such as \\\\ \\\" \\x{e9}")
        };
        let Some(next) = self.next_char() else { return Err(wrong(self)) };
        Ok(match next {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            's' => ' ',
            // In Erlang these are DELETE, BACKSPACE and so on; in a rule somebody meant the regular
            // expression, and a rule that silently matches something else is a hole.
            'd' | 'b' | 'v' | 'f' | 'e' | 'w' | 'D' | 'W' | 'S' | 'B' => {
                return Err(self.unexpected(
                    at,
                    format!("\\{next}"),
                    format!("\\\\{next} (Erlang texts need two backslashes)"),
                ));
            }
            'x' => self.hex_escape().ok_or_else(|| wrong(self))?,
            '0'..='7' => {
                let mut code = next.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.chars.peek().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    self.next_char();
                    code = code * 8 + digit;
                }
                char::from_u32(code).ok_or_else(|| wrong(self))?
            }
            other => other,
        })
    }

    /// `\xHH` or `\x{H…}`, behind the `x`.
    fn hex_escape(&mut self) -> Option<char> {
        let digits = if self.chars.peek() == Some(&'{') {
            self.next_char();
            let digits = self.take_while(|next| next.is_ascii_hexdigit());
            self.next_char().filter(|end| *end == '}')?;
            digits
        } else {
            [self.next_char()?, self.next_char()?].into_iter().collect()
        };
        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
    }
}
