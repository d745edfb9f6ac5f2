//! The table of R-1, and the rules C-1…C-8.

use super::*;

#[track_caller]
fn only(fields: Value, expected: Value) {
    let mut expected = expected;
    expected["kind"] = "validation_error".into();
    assert_eq!(violations(fields), [expected]);
}

#[test]
fn missing_fields_are_named() {
    let errors = parse_create(&json!({}), CONTEXT).unwrap_err();
    let shown: Vec<Value> = errors.iter().map(|e| e.to_json(PathBase::Create)).collect();
    let missing = |path: &str| json!({ "kind": "validation_error", "path": path, "reason": "required_field" });
    assert_eq!(shown, [missing("root.name"), missing("root.server"), missing("root.topics")]);
    only(json!({ "topics": null }), json!({ "path": "root.topics", "reason": "required_field" }));
}

#[test]
fn unknown_fields_name_themselves_and_what_else_could_have_been_given() {
    let shown = &violations(json!({ "foo": 1, "enable": true, "bar": 2 }))[0];
    assert_eq!(shown["path"], "root");
    assert_eq!(shown["reason"], "unknown_fields");
    assert_eq!(shown["unknown"], "bar,foo");
    let unmatched = shown["unmatched"].as_str().unwrap();
    assert!(unmatched.starts_with("buffer,clientid,inbound,max_inflight,"), "{unmatched}");
    assert!(!unmatched.contains("enable") && !unmatched.contains("topics"), "{unmatched}");
    let nested = &violations(json!({ "resource_opts": { "batch_size": 1 } }))[0];
    assert_eq!(nested["path"], "root.resource_opts");
    assert_eq!(nested["unknown"], "batch_size");
}

#[test]
fn topics_are_refused_with_all_their_causes() {
    let path = "root.topics";
    let bad = json!(["a/#/b", "x+", "$LINK/cluster/x", "$LINK/#", "$share/g/t", ""]);
    only(
        json!({ "topics": bad }),
        json!({ "path": path, "value": bad, "reason": { "reason": "invalid_topics", "topics": {
            "a/#/b": "topic_invalid_#",
            "x+": "topic_invalid_char",
            "$LINK/cluster/x": "topic_not_allowed",
            "$LINK/#": "topic_not_allowed",
            "$share/g/t": "share_not_allowed",
            "": "empty_topic",
        } } }),
    );
    only(
        json!({ "topics": ["t", "t"] }),
        json!({ "path": path, "value": ["t", "t"],
                "reason": { "reason": "redundant_topics", "topics": ["t"] } }),
    );
    let covered = json!(["t/+", "g/2", "t/1", "t/+/#", "t"]);
    only(
        json!({ "topics": covered }),
        json!({ "path": path, "value": covered,
                "reason": { "reason": "redundant_topics", "topics": ["t/+", "t/1"] } }),
    );
    only(
        json!({ "topics": "t" }),
        json!({ "path": path, "expected_data_type": "array", "got": "string" }),
    );
}

#[test]
fn servers_are_refused_with_the_words_of_the_reference() {
    for (server, word) in [
        ("h:99999", "port_number_too_large"),
        ("h:99999999999999", "port_number_too_large"),
        ("h:abc", "bad_port_number"),
        ("h:", "bad_port_number"),
        ("h:0", "bad_port_number"),
        ("h h:1", "hostname_has_space"),
        ("", "cannot_be_empty"),
        ("1883", "expecting_hostname_but_got_a_number"),
        (":1883", "bad_host_port"),
        ("a:1:2", "bad_host_port"),
        ("[::1", "bad_host_port"),
        ("[nope]:1", "bad_host_port"),
        ("http://h", "unsupported_scheme"),
        ("h:1,", "bad_host_port"),
        ("mqtts://h", "mqtts_requires_ssl_enable"),
    ] {
        only(
            json!({ "server": server }),
            json!({ "path": "root.server", "reason": word, "value": server }),
        );
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_the_texts_of_the_reference() {
    let pos = json!({ "expected": "pos_integer()" });
    for (field, value, reason) in [
        ("pool_size", json!(0), pos.clone()),
        ("pool_size", json!("many"), pos),
        ("max_inflight", json!(-1), json!({ "expected": "non_neg_integer()" })),
        ("enable", json!("yes"), json!("Unable to parse boolean value")),
        ("retry_interval", json!("15x"), json!("Not a valid duration")),
        ("retry_interval", json!(-5), json!("Not a valid duration")),
        ("ssl", json!("on"), json!("bad_value_for_struct")),
    ] {
        let path = format!("root.{field}");
        only(json!({ field: value }), json!({ "path": path, "reason": reason }));
    }
    let range = "Health Check Interval (0ms) is out of range (1ms to 3600000ms)";
    for (field, value, reason) in [
        ("worker_pool_size", json!(0), json!({ "expected": "1..1024" })),
        ("worker_pool_size", json!(1025), json!({ "expected": "1..1024" })),
        ("health_check_interval", json!(0), json!(range)),
        ("dispatch_strategy", json!("robin"), json!("not_a_enum_symbol")),
    ] {
        let path = format!("root.resource_opts.{field}");
        only(
            json!({ "resource_opts": { field: value } }),
            json!({ "path": path, "reason": reason }),
        );
    }
    only(
        json!({ "ssl": { "verify": "maybe" } }),
        json!({ "path": "root.ssl.verify", "reason": "not_a_enum_symbol" }),
    );
}

#[test]
fn names_are_checked_by_the_rules_of_create_and_shown_without_a_path() {
    for (name, start) in [
        ("", "Name cannot be empty string"),
        (&*"x".repeat(255), "Name length must be less than 255"),
        ("_x", "Invalid name format"),
        ("a b", "Invalid name format"),
        ("a.b", "Invalid name format"),
    ] {
        let shown = violations(json!({ "name": name }));
        assert_eq!(shown[0].get("path"), None, "{name}");
        assert!(shown[0]["reason"].as_str().unwrap().starts_with(start), "{name}");
    }
    let shown = violations(json!({ "name": "a b" }));
    assert!(shown[0]["reason"].as_str().unwrap().ends_with("Got: a b"));
    assert_eq!(created(json!({ "name": "x".repeat(254) })).name.len(), 254);
}

#[test]
fn a_link_to_ourselves_is_refused() {
    only(
        json!({ "name": "us-east" }),
        json!({ "path": "root.name", "reason": "cluster_link_to_self" }),
    );
}

#[test]
fn a_file_may_use_names_that_create_refuses_but_none_that_breaks_a_topic() {
    let parsed = |name: &str| parse_file(&body(json!({ "name": name })), CONTEXT);
    assert_eq!(parsed("cl.a").unwrap().name, "cl.a");
    for name in ["", "a/b", "a+", "#", "a\tb", &"x".repeat(255)] {
        let errors = parsed(name).unwrap_err();
        let shown = errors[0].to_json(PathBase::Saving { position: 0 });
        assert_eq!(shown["path"], "cluster.links.1.name", "{name:?}");
    }
}

#[test]
fn a_body_that_is_no_object_is_refused_as_a_whole() {
    let errors = parse_create(&json!([]), CONTEXT).unwrap_err();
    let text = all_errors_text(&errors, PathBase::Create);
    let shown: Value = serde_json::from_str(&text).unwrap();
    let expected =
        json!({ "kind": "validation_error", "path": "root", "reason": "bad_value_for_struct" });
    assert_eq!(shown, expected);
}

#[test]
fn post_reports_all_violations_and_put_the_first() {
    let bad = body(json!({ "foo": 1, "pool_size": 0, "enable": "maybe" }));
    let errors = parse_create(&bad, CONTEXT).unwrap_err();
    let all: Value = serde_json::from_str(&all_errors_text(&errors, PathBase::Create)).unwrap();
    let paths: Vec<&str> =
        all.as_array().unwrap().iter().map(|error| error["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["root.enable", "root.pool_size", "root"]);

    let stored = created(json!({}));
    let errors = parse_update(&bad, &stored, CONTEXT).unwrap_err();
    let base = PathBase::Update { position: 2 };
    let first: Value = serde_json::from_str(&first_error_text(&errors, base)).unwrap();
    assert_eq!(first["path"], "enable");

    let errors = parse_update(&body(json!({ "foo": 1 })), &stored, CONTEXT).unwrap_err();
    let first: Value = serde_json::from_str(&first_error_text(&errors, base)).unwrap();
    assert_eq!(first["path"], "cluster.links.3", "found when saving");
}

#[test]
fn an_update_without_required_fields_is_refused() {
    let stored = created(json!({}));
    let errors = parse_update(&json!({ "enable": true }), &stored, CONTEXT).unwrap_err();
    let base = PathBase::Update { position: 0 };
    let paths: Vec<Value> = errors.iter().map(|e| e.to_json(base)["path"].clone()).collect();
    assert_eq!(paths, ["server", "topics"]);
}

#[test]
fn lists_with_a_name_twice_or_one_connection_twice_are_refused() {
    let link = |name: &str, server: &str, clientid: &str| {
        created(json!({ "name": name, "server": server, "clientid": clientid }))
    };
    let twice = [link("l1", "a", "x"), link("l1", "b", "x"), link("l2", "c", "x")];
    let errors = check_list(&twice);
    let shown: Vec<Value> = errors.iter().map(|e| e.to_json(PathBase::List)).collect();
    let reason = json!({ "reason": "duplicated_cluster_links", "duplicates": ["l1"] });
    assert_eq!(
        shown,
        [json!({ "kind": "validation_error", "path": "cluster.links", "reason": reason })]
    );
    let clash = [link("l1", "a:1883", "x"), link("l2", "mqtt://a", "x"), link("l3", "a", "y")];
    let errors = check_list(&clash);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].body["reason"]["links"], json!(["l1", "l2"]));
    assert_eq!(check_list(&[link("l1", "a", "x"), link("l2", "a", "y")]), []);
}
