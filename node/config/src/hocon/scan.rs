//! A first look at a HOCON text: are all brackets and quotes closed, and where does each key stand?
//!
//! `hocon-rs` accepts texts that were cut off and keeps no positions. So this scan goes first. It
//! knows comments, strings, brackets and keys, not what values mean; `hocon-rs` stays the judge of
//! the grammar. No recursion: the nesting of a text is the choice of whoever wrote it.

use hocon_rs::parser::read::leading_whitespace_bytes;

use super::cursor::{Cursor, Place, SyntaxError};
use crate::origin::KeyPath;

/// Brackets and key segments that may enclose a value.
pub(super) const DEPTH_MAX: usize = 48;
/// `${…}` in one file; `hocon-rs` resolves them recursively.
pub(super) const SUBSTITUTIONS_MAX: usize = 1_000;

/// What a scan finds, in the order of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Key(KeyPath, Place),
    Include { below: KeyPath, name: String, required: bool, place: Place },
    Substitution { within: KeyPath, target: KeyPath, place: Place },
}

/// The result of a scan without objections.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    /// Whether the text's outermost braces are written.
    pub(super) braced: bool,
}

struct Frame {
    kind: Kind,
    opened: Place,
    /// Inside a value (of a key or of a list).
    in_value: bool,
    /// Key segments to drop when that value ends.
    segments: usize,
    /// Elements of a list so far.
    elements: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Root,
    Object,
    List,
}

struct Scanner<'a> {
    cursor: Cursor<'a>,
    frames: Vec<Frame>,
    path: Vec<String>,
    scan: Scan,
    substitutions: usize,
}

/// Scans `text`.
///
/// # Errors
/// The first place where brackets, quotes or keys are wrong, or too deep.
pub(super) fn scan(text: &str) -> Result<Scan, SyntaxError> {
    let mut scanner = Scanner {
        cursor: Cursor::new(text),
        frames: vec![],
        path: vec![],
        scan: Scan::default(),
        substitutions: 0,
    };
    scanner.open(Kind::Root)?;
    scanner.run()?;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        while let Some(byte) = self.cursor.peek() {
            if self.skip_blank_or_comment(byte) {
                continue;
            }
            let Some(top) = self.frames.last() else {
                return Err(self.cursor.error("text after the brace that closes the file"));
            };
            if top.kind == Kind::List || top.in_value {
                self.value(byte)?;
            } else {
                self.key(byte)?;
            }
        }
        match self.frames.pop() {
            Some(Frame { kind: Kind::Object, opened, .. }) => {
                Err(opened.error("this `{` is never closed"))
            }
            Some(Frame { kind: Kind::List, opened, .. }) => {
                Err(opened.error("this `[` is never closed"))
            }
            _ => Ok(()),
        }
    }

    /// Blanks, line ends, commas and comments; line ends and commas end a value.
    fn skip_blank_or_comment(&mut self, byte: u8) -> bool {
        let rest = self.cursor.rest().as_bytes();
        if byte == b'\n' || byte == b',' {
            self.end_value();
            self.cursor.advance(1);
        } else if byte == b'#' || rest.starts_with(b"//") {
            self.cursor.skip_line();
        } else {
            let blank = leading_whitespace_bytes(rest);
            self.cursor.advance(blank);
            return blank > 0;
        }
        true
    }

    fn open(&mut self, kind: Kind) -> Result<(), SyntaxError> {
        if self.frames.len() + self.path.len() > DEPTH_MAX {
            return Err(self.cursor.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let opened = self.cursor.place();
        self.frames.push(Frame { kind, opened, in_value: false, segments: 0, elements: 0 });
        Ok(())
    }

    fn end_value(&mut self) {
        let Some(top) = self.frames.last_mut().filter(|top| top.in_value) else { return };
        top.in_value = false;
        let keep = self.path.len().saturating_sub(std::mem::take(&mut top.segments));
        self.path.truncate(keep);
    }

    /// Closes the innermost bracket.
    fn close(&mut self, kind: Kind, bracket: char) -> Result<(), SyntaxError> {
        self.end_value();
        match self.frames.last() {
            Some(top) if top.kind == kind => {
                self.frames.pop();
                if self.scan.braced && self.frames.len() == 1 {
                    self.frames.pop();
                }
                self.cursor.advance(1);
                Ok(())
            }
            Some(Frame { kind: Kind::Root, .. }) | None => {
                Err(self.cursor.error(format!("this `{bracket}` closes nothing")))
            }
            Some(top) => {
                let (open, line) =
                    (if top.kind == Kind::List { '[' } else { '{' }, top.opened.line);
                let text = format!("this `{bracket}` meets the `{open}` of line {line}");
                Err(self.cursor.error(text))
            }
        }
    }

    /// At a place where a key may begin.
    fn key(&mut self, byte: u8) -> Result<(), SyntaxError> {
        let root = matches!(self.frames.as_slice(), [Frame { kind: Kind::Root, .. }]);
        match byte {
            b'{' if root && self.scan.found.is_empty() && !self.scan.braced => {
                self.open(Kind::Object)?;
                self.scan.braced = true;
                self.cursor.advance(1);
                return Ok(());
            }
            b'}' => return self.close(Kind::Object, '}'),
            b']' => return self.close(Kind::List, ']'),
            _ => {}
        }
        if self.cursor.rest().starts_with("...") {
            return Err(self.cursor.error(LEFT_OUT));
        }
        if self.cursor.rest().starts_with("include") {
            return self.include();
        }
        let place = self.cursor.place();
        let segments = self.path_expression(&[":", "=", "+=", "{"])?;
        for separator in ["+=", "=", ":"] {
            if self.cursor.rest().starts_with(separator) {
                self.cursor.advance(separator.len());
                break;
            }
        }
        let added = segments.len();
        // Before anything is kept: a path as long as the text costs its square.
        if self.frames.len() + self.path.len() + added > DEPTH_MAX {
            return Err(place.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        for segment in segments {
            self.path.push(segment);
            self.scan.found.push(Found::Key(KeyPath::from_segments(self.path.clone()), place));
        }
        if let Some(top) = self.frames.last_mut() {
            top.in_value = true;
            top.segments = added;
        }
        self.expect_value(place)
    }

    /// A value may begin on a later line, but must begin.
    fn expect_value(&mut self, key: Place) -> Result<(), SyntaxError> {
        loop {
            let rest = self.cursor.rest().as_bytes();
            match leading_whitespace_bytes(rest) {
                0 => break,
                blank => self.cursor.advance(blank),
            }
        }
        match self.cursor.peek() {
            None | Some(b'}' | b']' | b',' | b'#') => Err(key.error("this key has no value")),
            Some(_) => Ok(()),
        }
    }

    /// `include "x"`, `include required(file("x"))` and the like.
    fn include(&mut self) -> Result<(), SyntaxError> {
        let place = self.cursor.place();
        self.cursor.advance("include".len());
        let line = self.cursor.rest().lines().next().unwrap_or_default();
        let Some(quote) = line.find('"') else {
            return Err(place.error(
                "`include` needs a file name in quotes; a key that begins with `include` needs quotes too",
            ));
        };
        let words = line.get(..quote).unwrap_or_default();
        if words.contains("url(") || words.contains("classpath(") {
            return Err(place.error("only files can be included, not url(…) or classpath(…)"));
        }
        let required = words.contains("required(");
        self.cursor.advance(quote);
        let name = self.quoted()?;
        while let Some(b')' | b' ' | b'\t') = self.cursor.peek() {
            self.cursor.advance(1);
        }
        let below = KeyPath::from_segments(self.path.clone());
        self.scan.found.push(Found::Include { below, name, required, place });
        Ok(())
    }

    /// Inside a value or a list.
    fn value(&mut self, byte: u8) -> Result<(), SyntaxError> {
        match byte {
            b'}' => return self.close(Kind::Object, '}'),
            b']' => return self.close(Kind::List, ']'),
            _ => {}
        }
        self.begin_element();
        match byte {
            b'{' | b'[' => {
                self.open(if byte == b'{' { Kind::Object } else { Kind::List })?;
                self.cursor.advance(1);
            }
            b'"' => {
                self.quoted()?;
            }
            b'$' => self.substitution()?,
            _ => {
                if self.cursor.rest().starts_with("...") {
                    return Err(self.cursor.error(LEFT_OUT));
                }
                self.unquoted();
            }
        }
        Ok(())
    }

    fn begin_element(&mut self) {
        let place = self.cursor.place();
        let Some(top) = self.frames.last_mut() else { return };
        if top.kind == Kind::List && !top.in_value {
            top.in_value = true;
            top.segments = 1;
            top.elements += 1;
            self.path.push(top.elements.to_string());
            self.scan.found.push(Found::Key(KeyPath::from_segments(self.path.clone()), place));
        }
    }

    fn unquoted(&mut self) {
        let rest = self.cursor.rest();
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(at, c)| {
                matches!(c, '{' | '}' | '[' | ']' | ',' | '"' | '#' | '$' | '\n')
                    || rest.get(*at..).is_some_and(|tail| tail.starts_with("//"))
            })
            .map_or(rest.len(), |(at, _)| at);
        self.cursor.advance(end);
    }

    fn substitution(&mut self) -> Result<(), SyntaxError> {
        let place = self.cursor.place();
        if !self.cursor.rest().starts_with("${") {
            return Err(place.error("text with `$` must stand in quotes"));
        }
        self.substitutions += 1;
        if self.substitutions > SUBSTITUTIONS_MAX {
            return Err(place.error(format!("more than {SUBSTITUTIONS_MAX} substitutions")));
        }
        self.cursor.advance(2);
        if self.cursor.peek() == Some(b'?') {
            self.cursor.advance(1);
        }
        while matches!(self.cursor.peek(), Some(b' ' | b'\t')) {
            self.cursor.advance(1);
        }
        let segments = self.path_expression(&["}"])?;
        if segments.len() > DEPTH_MAX {
            return Err(place.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.scan.found.push(Found::Substitution {
            within: KeyPath::from_segments(self.path.clone()),
            target: KeyPath::from_segments(segments),
            place,
        });
        self.cursor.advance(1);
        Ok(())
    }

    /// Segments up to one of `ends`, which stays unread.
    fn path_expression(&mut self, ends: &[&str]) -> Result<Vec<String>, SyntaxError> {
        let start = self.cursor.place();
        let mut segments = vec![];
        let mut segment = String::new();
        loop {
            let rest = self.cursor.rest();
            if ends.iter().any(|end| rest.starts_with(end)) {
                break;
            }
            match rest.chars().next() {
                None | Some('\n' | ',' | '}' | ']' | '#') => {
                    return Err(start.error(format!(
                        "`{}` is followed by neither `=` nor `{{`",
                        first_word(&segments, &segment)
                    )));
                }
                Some('"') => segment.push_str(&self.quoted()?),
                Some('.') => {
                    segments.push(std::mem::take(&mut segment).trim().to_owned());
                    self.cursor.advance(1);
                }
                Some(c) => {
                    segment.push(c);
                    self.cursor.advance(c.len_utf8());
                }
            }
        }
        segments.push(segment.trim().to_owned());
        Ok(segments)
    }

    /// A string in one or three quotes; returns its text.
    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let place = self.cursor.place();
        let rest = self.cursor.rest();
        if let Some(tail) = rest.strip_prefix("\"\"\"") {
            let Some(end) = tail.find("\"\"\"") else {
                return Err(place.error("the text that begins here has no closing `\"\"\"`"));
            };
            let text = tail.get(..end).unwrap_or_default().to_owned();
            self.cursor.advance(end + 6);
            return Ok(text);
        }
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let text = rest.get(..=at).unwrap_or_default();
                    self.cursor.advance(at + 1);
                    // `hocon-rs` will say what is wrong with an escape.
                    return Ok(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()));
                }
                _ => {}
            }
        }
        Err(place.error("the text that begins here has no closing quote"))
    }
}

const LEFT_OUT: &str = "`...` stands for left-out text; remove it or write what belongs there";

fn first_word(segments: &[String], segment: &str) -> String {
    let mut path = segments.to_vec();
    path.push(segment.trim().to_owned());
    let text = path.join(".");
    text.chars().take(60).collect()
}
