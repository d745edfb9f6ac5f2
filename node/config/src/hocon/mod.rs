//! HOCON texts to values with places. The grammar is `hocon-rs`; what it lets pass is caught here.

mod cursor;
mod expansion;
mod include;
mod scan;
mod tracked;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use hocon_rs::parser::HoconParser;
use hocon_rs::raw::raw_object::RawObject;
use serde_json::Value;

pub(crate) use cursor::{Place, SyntaxError};
pub(crate) use include::{Document, load_document};

use cursor::place_of;
use scan::{Scan, scan};
use tracked::Tracked;

/// Most bytes of a configuration, with all that it includes.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// Scans and parses one text; includes are not yet filled in.
fn parse(text: &str) -> Result<(RawObject, Scan), SyntaxError> {
    let start = Place { line: 1, column: 1 };
    if text.len() > BYTES_MAX {
        return Err(start.error(format!("longer than {} MB", BYTES_MAX >> 20)));
    }
    let found = scan(text)?;
    // In braces, the end of the text is never where `hocon-rs` stops reading: it takes an early end
    // for the end of the last value, and loses a key as short as `i=1`, which might be `include`.
    let (open, close) =
        if found.braced { ("", "\n\n\n\n\n\n\n\n") } else { ("{", "\n}\n\n\n\n\n\n\n\n") };
    let padded = format!("{open}{text}{close}");
    let offset = Rc::new(Cell::new(0));
    let parsed = guarded(|| HoconParser::new(Tracked::new(&padded, Rc::clone(&offset))).parse())
        .map_err(|message| start.error(message))?;
    match parsed {
        Ok(raw) => Ok((raw, found)),
        Err(error) => {
            let offset = offset.get().saturating_sub(open.len()).min(text.len());
            Err(place_of(text, offset)
                .error(explain(&error, text.get(offset..).unwrap_or_default())))
        }
    }
}

/// Resolves substitutions and concatenations.
fn resolve(raw: RawObject) -> Result<Value, String> {
    guarded(|| hocon_rs::Config::from(raw).resolve::<Value>())?.map_err(|error| error.to_string())
}

/// `hocon-rs` holds assertions about its own state. One that fails is an error of this text, not the
/// end of the process; the values inside are dropped with the attempt.
fn guarded<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(attempt))
        .map_err(|_| "the HOCON parser gave up on this text; simplify it".to_owned())
}

fn explain(error: &hocon_rs::Error, rest: &str) -> String {
    match (rest.chars().next(), error) {
        (_, hocon_rs::Error::InvalidEscape) => {
            "a backslash must be followed by one of \" \\ / b f n r t u".into()
        }
        (Some(c @ (':' | '@' | '*' | '&' | '!' | '?' | '^' | '+' | '\\' | '`' | '$')), _) => {
            format!("text with `{c}` must stand in quotes")
        }
        (Some('='), _) => "`=` follows a value; is a line end or a comma missing?".into(),
        (None, _) => "the text ends too early".into(),
        (Some(c), hocon_rs::Error::UnexpectedToken { expected, .. }) => {
            format!("expected {expected}, found {c:?}")
        }
        (_, error) => error.to_string(),
    }
}
