//! The OpenAPI document: as checked in, and true to what the server answers.

use std::path::Path;

use serde_json::Value;

use crate::refusals::operations;
use crate::rig::Rig;

/// `UPDATE=1 cargo test -p spanmq-api --test rest document` writes the file.
#[test]
fn the_checked_in_document_is_the_present_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document = spanmq_api::openapi_json();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == document, "docs/openapi.json is old; run this test with UPDATE=1");
}

#[test]
fn the_document_is_served_and_every_reference_leads_somewhere() {
    let rig = Rig::start();
    let served = rig.admin().get("/openapi.json").expect(200).text;
    assert_eq!(served, spanmq_api::openapi_json());
    let document: Value = serde_json::from_str(&served).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let ids: Vec<_> =
        operations().into_iter().map(|(_, _, op)| op["operationId"].clone()).collect();
    let unique: std::collections::HashSet<_> = ids.iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), unique.len());
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

#[test]
fn every_read_answers_a_status_and_a_content_type_that_the_document_names() {
    let rig = Rig::start();
    for (method, path, operation) in operations() {
        // A stream has no end.
        let apart = ["/users", "/api_key", "/events"].iter().any(|start| path.starts_with(start));
        if method != "GET" || apart {
            continue;
        }
        let answer = rig.admin().get(&path);
        let status = answer.status.to_string();
        let named = operation["responses"].as_object().unwrap();
        assert!(named.contains_key(&status), "{path} answers {status}");
        assert!(!status.starts_with('5'), "{path} answers {status}");
        let kind = answer.header("content-type").unwrap().split(';').next().unwrap().to_owned();
        assert!(named[&status]["content"].get(&kind).is_some(), "{path} answers {kind}");
    }
}
