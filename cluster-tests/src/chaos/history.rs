//! What happened in a run, one event a line, in the order of the suite's own monotonic clock.
//!
//! The history is all that the checkers see: whoever doubts a verdict reads it, or runs
//! `cluster-tests check DIR` on it again.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far an operation is, or what else the event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An operation begins.
    Invoke,
    /// It had effect.
    Ok,
    /// It was refused: it had none.
    Fail,
    /// Its outcome is unknown: time-out, connection lost.
    Info,
    /// A message arrived.
    Recv,
    /// A fault began or ended.
    Nemesis,
    /// What a node said of itself.
    State,
}

/// What the event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    Connect,
    Disconnect,
    Subscribe,
    Unsubscribe,
    Publish,
    Deliver,
    LinkCreate,
    LinkUpdate,
    LinkDelete,
    LinkRead,
    /// A fault begins; `value` is the step of the plan, `key` its number.
    Fault,
    /// A fault ended; `value.effect` tells what it really did.
    Healed,
    /// `key` is `load`, `faults`, `heal`, `drain` or `done`.
    Phase,
    /// Raft as a node sees it.
    Raft,
    /// The whole route table of a node.
    Routes,
    /// All retained values as a late subscriber of a node gets them.
    Retained,
    /// Something of P12 works again; `key` says what.
    Recovered,
    /// Threads, descriptors, memory, log lines.
    Health,
}

/// One line of `history.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since the run began.
    pub t_us: u64,
    pub kind: Kind,
    /// Who did it: a client id, a REST client, `nemesis`, `observer`.
    pub proc: String,
    pub op: Op,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// `cluster/node`, when the event belongs to one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Revision of a link, which is a Raft index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
}

impl Event {
    /// The cluster whose node this is.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.node.split('/').next().unwrap_or_default()
    }

    /// A number of the value; 0 when it is missing.
    #[must_use]
    pub fn number(&self, field: &str) -> u64 {
        self.value[field].as_u64().unwrap_or(0)
    }

    /// A flag of the value; false when it is missing.
    #[must_use]
    pub fn flag(&self, field: &str) -> bool {
        self.value[field].as_bool().unwrap_or(false)
    }
}

/// Reads a history.
///
/// # Errors
/// The number of the line that is none.
pub fn read(input: impl BufRead) -> anyhow::Result<Vec<Event>> {
    use anyhow::Context as _;
    let parsed = input.lines().enumerate().map(|(number, line)| {
        let line = line.context("the history cannot be read")?;
        serde_json::from_str(&line)
            .with_context(|| format!("line {} of the history is no event", number + 1))
    });
    parsed.collect()
}

/// Writes a history.
///
/// # Errors
/// When the file cannot be written.
pub fn write(history: &[Event], mut output: impl Write) -> anyhow::Result<()> {
    for event in history {
        serde_json::to_writer(&mut output, event)?;
        output.write_all(b"\n")?;
    }
    Ok(output.flush()?)
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Fail,
    Unknown,
}

/// An operation with its beginning and its end.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    pub invoke: &'a Event,
    /// None when the run ended before it did.
    pub end: Option<&'a Event>,
    pub outcome: Outcome,
}

impl Operation<'_> {
    #[must_use]
    pub fn start_us(&self) -> u64 {
        self.invoke.t_us
    }

    /// When it certainly was over; never for an unknown outcome.
    #[must_use]
    pub fn end_us(&self) -> u64 {
        match (self.outcome, self.end) {
            (Outcome::Ok | Outcome::Fail, Some(end)) => end.t_us,
            _ => u64::MAX,
        }
    }
}

/// Ties each beginning to its end: same process, operation, key and number `s`.
#[must_use]
pub fn operations(history: &[Event]) -> Vec<Operation<'_>> {
    let mut open: HashMap<(&str, Op, &str, u64), usize> = HashMap::new();
    let mut all: Vec<Operation<'_>> = Vec::new();
    for event in history {
        let id = (event.proc.as_str(), event.op, event.key.as_str(), event.number("s"));
        let outcome = match event.kind {
            Kind::Invoke => {
                open.insert(id, all.len());
                all.push(Operation { invoke: event, end: None, outcome: Outcome::Unknown });
                continue;
            }
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Info => Outcome::Unknown,
            Kind::Recv | Kind::Nemesis | Kind::State => continue,
        };
        if let Some(at) = open.remove(&id) {
            all[at].end = Some(event);
            all[at].outcome = outcome;
        }
    }
    all
}

/// Times between the beginning and the end of each fault.
#[must_use]
pub fn faults(history: &[Event]) -> Vec<(u64, u64, &Event)> {
    let ended = |begun: &Event| {
        let end = history.iter().find(|e| e.op == Op::Healed && e.key == begun.key);
        end.map_or(u64::MAX, |end| end.t_us)
    };
    let begun = history.iter().filter(|event| event.op == Op::Fault);
    begun.map(|event| (event.t_us, ended(event), event)).collect()
}

/// When a phase began.
#[must_use]
pub fn phase(history: &[Event], name: &str) -> Option<u64> {
    history.iter().find(|event| event.op == Op::Phase && event.key == name).map(|event| event.t_us)
}

#[cfg(test)]
pub(crate) mod build {
    //! Hand-written histories for the checkers' tests.

    use super::*;

    /// `at` in milliseconds.
    pub(crate) fn event(at: u64, kind: Kind, proc: &str, op: Op, key: &str, value: Value) -> Event {
        let (proc, key) = (proc.to_owned(), key.to_owned());
        let node = "a/n1".to_owned();
        Event { t_us: at * 1_000, kind, proc, op, key, value, node, rev: None }
    }

    impl Event {
        pub(crate) fn on(mut self, node: &str) -> Self {
            node.clone_into(&mut self.node);
            self
        }

        pub(crate) fn rev(mut self, rev: u64) -> Self {
            self.rev = Some(rev);
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::build::event;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_history_reads_back_as_it_was_written() {
        let history = vec![
            event(1, Kind::Invoke, "p", Op::Publish, "t", json!({"s": 1})),
            event(2, Kind::State, "observer", Op::Raft, "", json!({"term": 3})).rev(9),
        ];
        let mut file = Vec::new();
        write(&history, &mut file).expect("written");
        assert_eq!(read(&file[..]).expect("read"), history);
        assert!(read(&b"{}\n"[..]).expect_err("no event").to_string().contains("line 1"));
    }

    #[test]
    fn an_operation_without_end_has_an_unknown_outcome() {
        let history = vec![
            event(1, Kind::Invoke, "p", Op::Publish, "t", json!({"s": 1})),
            event(2, Kind::Invoke, "p", Op::Publish, "t", json!({"s": 2})),
            event(3, Kind::Ok, "p", Op::Publish, "t", json!({"s": 2, "code": 0})),
        ];
        let found = operations(&history);
        assert_eq!((found[0].outcome, found[0].end_us()), (Outcome::Unknown, u64::MAX));
        assert_eq!((found[1].outcome, found[1].end_us()), (Outcome::Ok, 3_000));
    }
}
