//! The links of the file: their own rules, those of the list, their certificate files.

use std::io;
use std::path::Path;

use serde_json::Value;
use spanmq_link_protocol::config::{
    ParseContext, ValidationError, check_list, parse_file, warnings,
};

use crate::check::{Findings, reason};
use crate::error::{Problem, Warning, closest};
use crate::model::{Config, LinkSeed};
use crate::origin::{KeyPath, Origin};

/// Checks every link (LINK-SPEC 1.1); relative certificate paths count from `base`.
pub(crate) fn links(
    config: &mut Config,
    base: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    origin: &dyn Fn(&KeyPath) -> Origin,
    findings: &mut Findings,
) {
    let cluster = config.cluster.name.clone();
    let context = ParseContext { local_cluster: cluster.as_str() };
    for seed in config.cluster.links.seeds_mut() {
        seed.rebase(base);
        match parse_file(seed.value(), context) {
            Ok(link) => {
                let advice = warnings(&link).into_iter().map(|warning| Warning::Advice {
                    key: seed.at().clone(),
                    message: warning.message,
                    origin: seed.origin().clone(),
                });
                findings.warnings.extend(advice);
                seed.set_config(link);
                files(seed, read, findings);
            }
            Err(errors) => {
                for error in &errors {
                    for (key, problem) in problems(seed.at(), error) {
                        findings.error(seed.origin_of(&key).clone(), problem);
                    }
                }
            }
        }
    }
    let all = KeyPath::of("cluster.links");
    let links: Vec<_> = config.cluster.links.configs().cloned().collect();
    for error in check_list(&links) {
        findings.error(origin(&all), Problem::Link { key: all.clone(), reason: text(&error.body) });
    }
}

/// One violation in our words; each unknown field is one of its own.
fn problems(at: &KeyPath, error: &ValidationError) -> Vec<(KeyPath, Problem)> {
    let inner = error.path.clone().unwrap_or_default();
    let key = at.joined(&KeyPath::from_segments(inner));
    let field = |name: &str| error.body.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("reason") != "unknown_fields" {
        let reason = text(&error.body);
        return vec![(key.clone(), Problem::Link { key, reason })];
    }
    field("unknown")
        .split(',')
        .map(|name| {
            let nearest = closest(name, field("unmatched").split(',')).map(|near| key.child(near));
            let key = key.child(name);
            (key.clone(), Problem::UnknownKey { key, nearest })
        })
        .collect()
}

/// `reason (detail = value, …)`; without a reason the details alone.
fn text(body: &serde_json::Map<String, Value>) -> String {
    let mut reason = String::new();
    let mut details = vec![];
    for (name, value) in body {
        match value {
            Value::Object(inner) if name == "reason" => reason = text(inner),
            value if name == "reason" => reason = crate::setting::text(value),
            value => details.push(format!("{name} = {}", crate::setting::text(value))),
        }
    }
    match (reason.is_empty(), details.join(", ")) {
        (_, details) if details.is_empty() => reason,
        (true, details) => details,
        (false, details) => format!("{reason} ({details})"),
    }
}

fn files(seed: &LinkSeed, read: &dyn Fn(&Path) -> io::Result<String>, findings: &mut Findings) {
    for (field, path) in seed.tls_files() {
        if let Err(error) = read(&path) {
            let key = seed.at().child("ssl").child(field);
            let origin = seed.origin_of(&key).clone();
            let reason = reason(&error);
            findings.error(origin, Problem::File { key, path, reason });
        }
    }
}
