//! The decoder: one pass, bounded depth and term count, binaries borrowed from the input.

use super::{Atom, AtomText, DecodeLimits, Term, TermError};
use std::borrow::Cow;

const VERSION: u8 = 131;

/// A term and what followed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    pub term: Term<'a>,
    /// Bytes after the term. Ignored as EMQX does, but worth a warning (W-52).
    pub trailing_bytes: usize,
}

/// Decodes one uncompressed payload (version byte, then one term). Compressed payloads pass
/// [`super::unwrap_payload`] first.
///
/// Cost: one pass; allocations are one vector per tuple, list and map.
///
/// # Errors
/// [`TermError`] when the bytes are no acceptable term within `limits`.
pub fn decode(payload: &[u8], limits: DecodeLimits) -> Result<Decoded<'_>, TermError> {
    let mut input = Input { rest: payload, terms_left: limits.terms };
    match payload.first() {
        None => return Err(TermError::Empty),
        Some(&VERSION) => input.byte()?,
        Some(_) => return Err(TermError::BadVersion),
    };
    let term = input.term(limits.depth)?;
    Ok(Decoded { term, trailing_bytes: input.rest.len() })
}

struct Input<'a> {
    rest: &'a [u8],
    terms_left: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TermError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(TermError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TermError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(TermError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, TermError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length16(&mut self) -> Result<usize, TermError> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn length32(&mut self) -> Result<usize, TermError> {
        let count = u32::from_be_bytes(self.array()?);
        usize::try_from(count).map_err(|_| TermError::CountBeyondInput)
    }

    /// Reads one term; `depth` is how many levels of collections may still open.
    fn term(&mut self, depth: usize) -> Result<Term<'a>, TermError> {
        self.terms_left = self.terms_left.checked_sub(1).ok_or(TermError::TooManyTerms)?;
        match self.byte()? {
            97 => Ok(Term::Int(i64::from(self.byte()?))),
            98 => Ok(Term::Int(i64::from(i32::from_be_bytes(self.array()?)))),
            110 => {
                let count = usize::from(self.byte()?);
                self.big(count)
            }
            111 => {
                let count = self.length32()?;
                self.big(count)
            }
            70 => finite(f64::from_be_bytes(self.array()?)),
            99 => self.text_float(),
            100 => {
                let count = self.length16()?;
                self.latin1_atom(count)
            }
            115 => {
                let count = usize::from(self.byte()?);
                self.latin1_atom(count)
            }
            118 => {
                let count = self.length16()?;
                self.utf8_atom(count)
            }
            119 => {
                let count = usize::from(self.byte()?);
                self.utf8_atom(count)
            }
            109 => {
                let count = self.length32()?;
                self.take(count).map(Term::Binary)
            }
            107 => {
                let count = self.length16()?;
                self.take(count).map(Term::ByteList)
            }
            104 => {
                let count = usize::from(self.byte()?);
                self.sequence(count, depth).map(Term::Tuple)
            }
            105 => {
                let count = self.length32()?;
                self.sequence(count, depth).map(Term::Tuple)
            }
            106 => Ok(Term::List(Vec::new())),
            108 => self.list(depth),
            116 => self.map(depth),
            tag => Err(TermError::UnsupportedTag(tag)),
        }
    }

    /// A big integer of `count` little-endian bytes after a sign byte (tags 110, 111).
    fn big(&mut self, count: usize) -> Result<Term<'a>, TermError> {
        let negative = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err(TermError::IntegerTooLarge),
        };
        let digits = self.take(count)?;
        let mut magnitude: u64 = 0;
        for (place, digit) in digits.iter().enumerate() {
            let shifted = match u32::try_from(place).ok().and_then(|p| p.checked_mul(8)) {
                Some(bits) if bits < u64::BITS => u64::from(*digit) << bits,
                _ if *digit == 0 => 0,
                _ => return Err(TermError::IntegerTooLarge),
            };
            magnitude |= shifted;
        }
        let value = if negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        };
        value.map(Term::Int).ok_or(TermError::IntegerTooLarge)
    }

    /// The old decimal float: 31 bytes of text padded with zeros (tag 99).
    fn text_float(&mut self) -> Result<Term<'a>, TermError> {
        let field = self.take(31)?;
        let text = std::str::from_utf8(field).map_err(|_| TermError::BadFloat)?;
        let number = text.trim_end_matches('\0').trim();
        number.parse().map_err(|_| TermError::BadFloat).and_then(finite)
    }

    fn utf8_atom(&mut self, count: usize) -> Result<Term<'a>, TermError> {
        let text = std::str::from_utf8(self.take(count)?).map_err(|_| TermError::BadAtom)?;
        Ok(Term::Atom(AtomText(Cow::Borrowed(text))))
    }

    fn latin1_atom(&mut self, count: usize) -> Result<Term<'a>, TermError> {
        let bytes = self.take(count)?;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => Cow::Borrowed(text),
            _ => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
        };
        Ok(Term::Atom(AtomText(text)))
    }

    /// Refuses a count before anything is allocated for it: each element takes at least one byte.
    fn admit(&self, elements: usize) -> Result<(), TermError> {
        if elements > self.rest.len() {
            return Err(TermError::CountBeyondInput);
        }
        if elements > self.terms_left {
            return Err(TermError::TooManyTerms);
        }
        Ok(())
    }

    fn sequence(&mut self, count: usize, depth: usize) -> Result<Vec<Term<'a>>, TermError> {
        let depth = depth.checked_sub(1).ok_or(TermError::TooDeep)?;
        self.admit(count)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(self.term(depth)?);
        }
        Ok(elements)
    }

    fn list(&mut self, depth: usize) -> Result<Term<'a>, TermError> {
        let count = self.length32()?;
        let elements = self.sequence(count, depth)?;
        match self.byte()? {
            106 => Ok(Term::List(elements)),
            _ => Err(TermError::ImproperList),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term<'a>, TermError> {
        let depth = depth.checked_sub(1).ok_or(TermError::TooDeep)?;
        let count = self.length32()?;
        self.admit(count.checked_mul(2).ok_or(TermError::CountBeyondInput)?)?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let key = self.term(depth)?;
            pairs.push((key, self.term(depth)?));
        }
        Ok(Term::Map(pairs))
    }
}

fn finite<'a>(value: f64) -> Result<Term<'a>, TermError> {
    if value.is_finite() { Ok(Term::Float(value)) } else { Err(TermError::BadFloat) }
}

impl<'a> Term<'a> {
    /// The value under an integer key of a map; the last of equal keys.
    pub fn get_int(&self, key: i64) -> Option<&Term<'a>> {
        self.get(|k| matches!(k, Term::Int(n) if *n == key))
    }

    /// The value under an atom key of a map; the last of equal keys.
    pub fn get_atom(&self, key: Atom) -> Option<&Term<'a>> {
        self.get(|k| k.is_atom(key))
    }

    fn get(&self, mut wanted: impl FnMut(&Term<'a>) -> bool) -> Option<&Term<'a>> {
        let Term::Map(pairs) = self else { return None };
        pairs.iter().rev().find(|(key, _)| wanted(key)).map(|(_, value)| value)
    }

    pub fn is_atom(&self, atom: Atom) -> bool {
        matches!(self, Term::Atom(text) if text.is(atom))
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Term::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_binary(&self) -> Option<&'a [u8]> {
        match self {
            Term::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A binary that is UTF-8 text.
    pub fn as_text(&self) -> Option<&'a str> {
        self.as_binary().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Term::Atom(text) if text.is(Atom::True) => Some(true),
            Term::Atom(text) if text.is(Atom::False) => Some(false),
            _ => None,
        }
    }

    pub fn as_tuple(&self) -> Option<&[Term<'a>]> {
        match self {
            Term::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements of a list; `None` for anything else, also for a byte list.
    pub fn as_list(&self) -> Option<&[Term<'a>]> {
        match self {
            Term::List(elements) => Some(elements),
            _ => None,
        }
    }
}
