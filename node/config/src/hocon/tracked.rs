//! Gives `hocon-rs` a text and remembers how far it came, since its errors name no place.

use std::cell::Cell;
use std::rc::Rc;

use hocon_rs::parser::read::{Position, Read, Reference};
use hocon_rs::{Error, Result};

/// A text that is read byte by byte; the offset is shared with whoever made it.
pub(super) struct Tracked<'de> {
    bytes: &'de [u8],
    offset: Rc<Cell<usize>>,
}

impl<'de> Tracked<'de> {
    pub(super) fn new(text: &'de str, offset: Rc<Cell<usize>>) -> Self {
        Self { bytes: text.as_bytes(), offset }
    }

    fn rest(&self) -> &'de [u8] {
        self.bytes.get(self.offset.get()..).unwrap_or_default()
    }

    fn hex(&mut self) -> Result<u32> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(Error::InvalidEscape)?;
            number = number * 16 + digit;
        }
        Ok(number)
    }

    /// What follows a backslash (JSON).
    fn escape(&mut self) -> Result<char> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = self.hex()?;
                if (0xD800..0xDC00).contains(&code) {
                    if (self.next()?, self.next()?) != (b'\\', b'u') {
                        return Err(Error::InvalidEscape);
                    }
                    let low = self.hex()?.checked_sub(0xDC00).filter(|low| *low < 0x400);
                    code = 0x1_0000 + (code - 0xD800) * 0x400 + low.ok_or(Error::InvalidEscape)?;
                }
                char::from_u32(code).ok_or(Error::InvalidEscape)?
            }
            _ => return Err(Error::InvalidEscape),
        })
    }
}

impl<'de> Read<'de> for Tracked<'de> {
    fn position(&self) -> Position {
        Position { line: 0, column: self.offset.get() }
    }

    fn peek_n(&mut self, n: usize) -> Result<&[u8]> {
        self.rest().get(..n).ok_or(Error::Eof)
    }

    fn next(&mut self) -> Result<u8> {
        let byte = *self.rest().first().ok_or(Error::Eof)?;
        self.offset.set(self.offset.get() + 1);
        Ok(byte)
    }

    fn parse_str<'s, F>(
        &'s mut self,
        escape: bool,
        scratch: &'s mut Vec<u8>,
        delimiter: F,
    ) -> Result<Reference<'de, 's, str>>
    where
        F: Fn(&mut Self) -> Result<bool>,
    {
        while !delimiter(self)? {
            match self.next()? {
                b'\\' if escape => {
                    let mut buffer = [0; 4];
                    let c = self.escape()?;
                    scratch.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                }
                byte => scratch.push(byte),
            }
        }
        str::from_utf8(scratch).map(Reference::Copied).map_err(|_| Error::InvalidUtf8)
    }
}
