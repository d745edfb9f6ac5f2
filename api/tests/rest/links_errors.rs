//! Refusals of link bodies, in the peer's words (LINK-SPEC ).

use serde_json::{Value, json};

use crate::client::Answer;
use crate::links::link;
use crate::rig::Rig;

const LIST: &str = "/cluster/links";
const EU: &str = "/cluster/links/link/eu";

fn with(field: &str, value: Value) -> Value {
    let mut body = link("eu");
    body[field] = value;
    body
}

fn nested(outer: &str, field: &str, value: Value) -> Value {
    with(outer, json!({ field: value }))
}

/// (body, path on POST without `root.`, other inner fields)
fn table() -> Vec<(Value, &'static str, Value)> {
    let validation = |fields: Value| {
        let mut fields = fields;
        fields["kind"] = "validation_error".into();
        fields
    };
    let reason = |reason: &str| validation(json!({ "reason": reason }));
    let expected = |text: &str| validation(json!({ "reason": { "expected": text } }));
    let invalid = json!({ "a/#/b": "topic_invalid_#", "x+": "topic_invalid_char" });
    let control = json!({ "$LINK/cluster/x": "topic_not_allowed" });
    vec![
        (
            with("topics", json!(["t", "t"])),
            "topics",
            validation(json!({
                "reason": { "reason": "redundant_topics", "topics": ["t"] }, "value": ["t", "t"],
            })),
        ),
        (
            with("topics", json!(["a/#/b", "x+"])),
            "topics",
            validation(json!({
                "reason": { "reason": "invalid_topics", "topics": invalid }, "value": ["a/#/b", "x+"],
            })),
        ),
        (
            with("topics", json!(["$LINK/cluster/x"])),
            "topics",
            validation(json!({
                "reason": { "reason": "invalid_topics", "topics": control },
                "value": ["$LINK/cluster/x"],
            })),
        ),
        (
            with("topics", json!("t")),
            "topics",
            validation(json!({ "expected_data_type": "array", "got": "string" })),
        ),
        (
            with("server", json!("h:99999")),
            "server",
            validation(json!({ "reason": "port_number_too_large", "value": "h:99999" })),
        ),
        (
            with("server", json!("h:abc")),
            "server",
            validation(json!({ "reason": "bad_port_number", "value": "h:abc" })),
        ),
        (
            with("server", json!("h h:1")),
            "server",
            validation(json!({ "reason": "hostname_has_space", "value": "h h:1" })),
        ),
        (
            with("server", json!("")),
            "server",
            validation(json!({ "reason": "cannot_be_empty", "value": "" })),
        ),
        (with("pool_size", json!(0)), "pool_size", expected("pos_integer()")),
        (with("pool_size", json!("x")), "pool_size", expected("pos_integer()")),
        (
            nested("resource_opts", "worker_pool_size", json!(0)),
            "resource_opts.worker_pool_size",
            expected("1..1024"),
        ),
        (
            nested("resource_opts", "health_check_interval", json!("0ms")),
            "resource_opts.health_check_interval",
            reason("Health Check Interval (0ms) is out of range (1ms to 3600000ms)"),
        ),
        (with("enable", json!("maybe")), "enable", reason("Unable to parse boolean value")),
        (with("retry_interval", json!("soon")), "retry_interval", reason("Not a valid duration")),
        (
            nested("resource_opts", "dispatch_strategy", json!("x")),
            "resource_opts.dispatch_strategy",
            reason("not_a_enum_symbol"),
        ),
    ]
}

/// Every expected field is there; the peer's value of a bad input may stand beside it.
fn holds(answer: &Answer, path: &str, expected: &Value) {
    let inner = answer.inner();
    assert_eq!(inner["path"], path, "{inner}");
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&inner[field], value, "{field} of {inner}");
    }
}

#[test]
fn each_violation_has_the_peers_words_on_post_r1() {
    let rig = Rig::start();
    for (body, path, expected) in table() {
        let answer = rig.admin().post(LIST, &body).refused(400, "BAD_REQUEST");
        holds(&answer, &format!("root.{path}"), &expected);
    }
}

#[test]
fn each_violation_has_the_peers_words_on_put_r1() {
    let rig = Rig::start();
    rig.admin().post(LIST, &link("eu")).expect(201);
    for (body, path, expected) in table() {
        let answer = rig.admin().put(EU, &body).refused(400, "BAD_REQUEST");
        let inner = answer.inner();
        let saving = format!("cluster.links.0.{path}");
        let shown = inner["path"].as_str().unwrap();
        assert!(shown == path || shown == saving, "{shown}");
        holds(&answer, shown, &expected);
    }
    assert_eq!(rig.admin().get(EU).json()["pool_size"], 8, "nothing was changed");
}

#[test]
fn missing_and_unknown_fields_are_named_r1_r2() {
    let rig = Rig::start();
    let http = rig.admin();
    for field in ["server", "topics"] {
        let mut body = link("eu");
        body.as_object_mut().unwrap().remove(field);
        let inner = http.post(LIST, &body).refused(400, "BAD_REQUEST").inner();
        assert_eq!(
            (&inner["reason"], &inner["path"]),
            (&json!("required_field"), &json!(format!("root.{field}")))
        );
    }
    let inner = http.post(LIST, &with("foo", json!(1))).refused(400, "BAD_REQUEST").inner();
    assert_eq!((&inner["reason"], &inner["unknown"]), (&json!("unknown_fields"), &json!("foo")));
    assert_eq!(inner["path"], "root");
    let known = inner["unmatched"].as_str().unwrap();
    assert!(known.contains("enable,") && !known.contains("topics"), "{known}");
    http.post(LIST, &link("eu")).expect(201);
    let inner = http.put(EU, &with("foo", json!(1))).refused(400, "BAD_REQUEST").inner();
    assert_eq!(inner["unknown"], "foo");
    let inner = http.put(EU, &json!({ "topics": [] })).refused(400, "BAD_REQUEST").inner();
    assert_eq!(
        (&inner["reason"], &inner["kind"]),
        (&json!("required_field"), &json!("validation_error"))
    );
}

#[test]
fn post_tells_all_violations_and_put_the_first_r1() {
    let rig = Rig::start();
    let mut body = with("pool_size", json!(0));
    body["server"] = "h:99999".into();
    let inner = rig.admin().post(LIST, &body).refused(400, "BAD_REQUEST").inner();
    assert_eq!(inner.as_array().unwrap().len(), 2, "{inner}");
    rig.admin().post(LIST, &link("eu")).expect(201);
    let inner = rig.admin().put(EU, &body).refused(400, "BAD_REQUEST").inner();
    assert!(inner.is_object(), "{inner}");
}

#[test]
fn names_and_shapes_are_refused_in_words_r1() {
    let rig = Rig::start();
    let http = rig.admin();
    let name = |name: &str| {
        http.post(LIST, &with("name", json!(name))).refused(400, "BAD_REQUEST").message()
    };
    assert!(name("").contains("Name cannot be empty string"));
    assert!(name(&"x".repeat(300)).contains("Name length must be less than 255"));
    let invalid = name("a b");
    assert!(invalid.contains("Invalid name format.") && invalid.contains("Got: a b"), "{invalid}");
    let inner = http.post(LIST, &json!([])).refused(400, "BAD_REQUEST").inner();
    assert_eq!(
        (&inner["reason"], &inner["path"]),
        (&json!("bad_value_for_struct"), &json!("root"))
    );
    let twice =
        http.put(LIST, &json!([link("l1"), link("l1")])).refused(400, "BAD_REQUEST").inner();
    let expected = json!({ "reason": "duplicated_cluster_links", "duplicates": ["l1"] });
    assert_eq!(twice["reason"], expected, "{twice}");
}

#[test]
fn a_link_to_ourselves_or_over_the_same_connection_is_refused() {
    let rig = Rig::start();
    let own = rig.admin().post(LIST, &link(crate::rig::CLUSTER)).refused(400, "BAD_REQUEST");
    assert!(own.message().contains("cluster_link_to_self"), "{own:?}");
    rig.admin().post(LIST, &link("eu")).expect(201);
    let mut same = link("us");
    same["clientid"] = "eu".into();
    let same = rig.admin().post(LIST, &same).refused(400, "BAD_REQUEST");
    assert!(same.message().starts_with("Create link failed:"), "{same:?}");
}

#[test]
fn a_refusal_never_quotes_a_secret_r6() {
    let rig = Rig::start();
    let mut body = with("password", json!("planted"));
    body["pool_size"] = 0.into();
    body["ssl"] = json!({ "enable": "x", "password": "planted" });
    for answer in [rig.admin().post(LIST, &body), rig.admin().post("/cluster/links/test", &body)] {
        let answer = answer.refused(400, "BAD_REQUEST");
        assert!(!answer.text.contains("planted"), "{answer:?}");
    }
}

// C-10
#[test]
fn certificates_of_a_link_that_is_to_run_must_be_usable() {
    let rig = Rig::start();
    let http = rig.admin();
    let body = |enable: bool| {
        let ssl = json!({ "enable": true, "cacertfile": "/nowhere/ca.pem" });
        let mut body = with("ssl", ssl);
        body["enable"] = enable.into();
        body
    };
    let refused = |answer: &Answer, path: &str| {
        assert_eq!(answer.status, 400, "{answer:?}");
        let inner: Value =
            serde_json::from_str(answer.json()["message"].as_str().unwrap()).unwrap();
        assert_eq!((&inner["reason"], &inner["path"]), (&json!("bad_ssl_config"), &json!(path)));
        assert!(inner["cause"].as_str().unwrap().contains("/nowhere/ca.pem"), "{inner}");
    };
    refused(&http.post(LIST, &body(true)), "root.ssl");
    http.post(LIST, &body(false)).expect(201);
    let mut change = body(true);
    change.as_object_mut().unwrap().remove("name");
    refused(&http.put(EU, &change), "ssl");
}
