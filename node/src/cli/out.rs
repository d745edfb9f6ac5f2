//! What commands print, and how. Colours only on a terminal, and never with `NO_COLOR`.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::Exit;

/// `-o`: how an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();
const BOLD: Style = Style::new().bold();

/// Prints to standard output. A reader that has gone (`| head`) is no failure.
pub(super) fn print(text: impl Display) -> Exit {
    match write!(anstream::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Ok,
    }
}

/// Prints a document as JSON or YAML.
pub(super) fn document(value: &Value, format: Format) -> Exit {
    match format {
        Format::Yaml => print(super::yaml::render(value)),
        Format::Json | Format::Table => print(format!("{value:#}\n")),
    }
}

/// `error: …` to standard error; `place` comes first, as compilers do.
pub(super) fn error(place: Option<&str>, what: impl Display) {
    line("error", RED, place, what);
}

pub(super) fn warning(place: Option<&str>, what: impl Display) {
    line("warning", YELLOW, place, what);
}

pub(super) fn notice(what: impl Display) {
    line("note", CYAN, None, what);
}

fn line(word: &str, style: Style, place: Option<&str>, what: impl Display) {
    let mut stderr = anstream::stderr().lock();
    let place = place.map(|place| format!("{BOLD}{place}:{BOLD:#} ")).unwrap_or_default();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(stderr, "{place}{style}{word}:{style:#} {what}");
}

/// Tells what went wrong and fails.
pub(crate) fn fail(what: impl Display) -> Exit {
    error(None, what);
    Exit::Failed
}
