//! Who changed what, or tried to (LINK-SPEC O-5): the last thousand records of each node, in memory
//! and in the log. Never a secret, never a payload.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use spanmq_api_model::AuditEntry;
use spanmq_link_protocol::config::REDACTED;

/// Records kept per node; the oldest is dropped.
const KEPT: usize = 1_000;
/// Records of callers who are not known, kept apart: a stranger must not push the others out.
const STRANGERS_KEPT: usize = 100;
/// Longer bodies are not kept.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Fields whose value is never kept.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "pwd", "token", "payload"];

/// The records of one node.
#[derive(Debug, Default)]
pub struct AuditLog {
    known: Mutex<VecDeque<Arc<AuditEntry>>>,
    strangers: Mutex<VecDeque<Arc<AuditEntry>>>,
}

impl AuditLog {
    /// Adds a record and writes it to the log.
    pub fn record(&self, entry: AuditEntry) {
        tracing::info!(
            source = entry.source,
            from = entry.from,
            address = entry.source_ip,
            method = entry.http_method,
            operation = entry.operation,
            status = entry.http_status_code,
            "audit"
        );
        let (ring, kept) = match entry.source.is_empty() {
            true => (&self.strangers, STRANGERS_KEPT),
            false => (&self.known, KEPT),
        };
        let mut ring = ring.lock();
        if ring.len() == kept {
            ring.pop_front();
        }
        ring.push_back(Arc::new(entry));
    }

    /// The newest `limit` records that `wanted` takes, newest first.
    #[must_use]
    pub fn newest(&self, limit: usize, wanted: impl Fn(&AuditEntry) -> bool) -> Vec<AuditEntry> {
        let mut found: Vec<Arc<AuditEntry>> = Vec::new();
        for ring in [&self.known, &self.strangers] {
            let ring = ring.lock();
            found.extend(ring.iter().rev().filter(|entry| wanted(entry)).take(limit).cloned());
        }
        // RFC 3339 in UTC sorts like the time it names.
        found.sort_by(|a, b| b.created_at.cmp(&a.created_at));
        found.truncate(limit);
        found.iter().map(|entry| AuditEntry::clone(entry)).collect()
    }
}

/// What a request brought, redacted.
#[derive(Debug, Clone)]
pub(crate) struct AuditBody(pub(crate) Value);

impl AuditBody {
    pub(crate) fn of(body: &Value) -> Self {
        let redacted = redacted(body);
        if redacted.to_string().len() > BODY_BYTES_MAX {
            return Self(Value::String("(too long to be kept)".to_owned()));
        }
        Self(redacted)
    }
}

/// Texts may hold keys in PEM, which the words do not cover.
fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let lower = name.to_ascii_lowercase();
                let hide = !value.is_null() && SECRET_WORDS.iter().any(|word| lower.contains(word));
                (name.clone(), if hide { REDACTED.into() } else { redacted(value) })
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::String(text) if text.contains("PRIVATE KEY") => REDACTED.into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_a_body_are_not_kept_o5_a9() {
        let body = json!({
            "name": "l", "password": "hunter2", "ssl": { "password": "x", "key": "-----BEGIN PRIVATE KEY" },
            "list": [{ "api_secret": "y", "new_pwd": "z" }],
        });
        let kept = AuditBody::of(&body).0.to_string();
        for secret in ["hunter2", "\"x\"", "\"y\"", "\"z\"", "BEGIN"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(kept.contains("\"name\":\"l\""));
    }

    #[test]
    fn strangers_do_not_push_known_callers_out() {
        let log = AuditLog::default();
        let record = |source: &str, second: u32| AuditEntry {
            created_at: format!("2026-01-01T00:00:{second:02}.000Z"),
            node: "n".into(),
            source: source.into(),
            from: "rest_api".into(),
            source_ip: String::new(),
            http_method: "PUT".into(),
            operation: "/x".into(),
            body: None,
            http_status_code: 200,
            operation_result: "success".into(),
            duration_ms: 0,
        };
        log.record(record("ann", 0));
        (0..2 * KEPT).for_each(|_| log.record(record("", 1)));
        log.record(record("ann", 2));
        let newest = log.newest(KEPT, |_| true);
        assert_eq!(newest.len(), STRANGERS_KEPT + 2);
        assert_eq!((newest[0].source.as_str(), newest[1].source.as_str()), ("ann", ""));
        assert_eq!(newest.last().unwrap().source, "ann");
        assert_eq!(log.newest(1, |entry| entry.source.is_empty()).len(), 1);
    }

    #[test]
    fn a_long_body_is_named_but_not_kept() {
        let kept = AuditBody::of(&json!({ "x": "y".repeat(BODY_BYTES_MAX) })).0;
        assert_eq!(kept, json!("(too long to be kept)"));
    }
}
