//! Secrets go in and never come out (C-9, R-6).

use super::*;

const PASSWORD: &str = "planted-secret-1";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nplanted-secret-2\n-----END PRIVATE KEY-----";
const KEY_PASSWORD: &str = "planted-secret-3";

fn with_secrets() -> Value {
    body(json!({
        "password": PASSWORD,
        "ssl": { "enable": true, "keyfile": KEY, "password": KEY_PASSWORD },
    }))
}

#[test]
fn no_secret_appears_in_debug_output_or_in_an_answer() {
    let link = parse_create(&with_secrets(), CONTEXT).unwrap();
    let shown = link.to_json(Reveal::Redacted);
    for text in [format!("{link:?}"), shown.to_string(), redact(&with_secrets()).to_string()] {
        assert!(!text.contains("planted"), "{text}");
    }
    assert_eq!(shown["password"], REDACTED);
    assert_eq!(shown["ssl"]["password"], REDACTED);
    assert_eq!(shown["ssl"]["keyfile"], REDACTED);
    assert_eq!(link.to_json(Reveal::Stored)["password"], PASSWORD);
}

#[test]
fn what_was_read_can_be_written_back_without_losing_a_secret() {
    let stored = parse_create(&with_secrets(), CONTEXT).unwrap();
    let shown = stored.to_json(Reveal::Redacted);
    let again = parse_update(&shown, &stored, CONTEXT).unwrap();
    assert_eq!(again, stored);
    assert!(!ChangeEffect::of_update(&stored, &again).bump_counter);
}

#[test]
fn an_omitted_secret_is_removed_and_a_new_one_replaces_the_old() {
    let stored = parse_create(&with_secrets(), CONTEXT).unwrap();
    let removed = parse_update(&body(json!({})), &stored, CONTEXT).unwrap();
    assert_eq!(removed.password, None);
    let changed = parse_update(&body(json!({ "password": "other" })), &stored, CONTEXT).unwrap();
    assert_eq!(changed.password, Some(Secret::new("other")));
}

#[test]
fn a_create_with_the_mark_drops_the_field() {
    let link = created(json!({ "password": REDACTED, "ssl": { "password": REDACTED } }));
    assert_eq!((link.password, link.ssl.password), (None, None));
}

#[test]
fn the_mark_means_nothing_where_no_secret_can_be() {
    let link = created(json!({ "username": REDACTED, "topics": [REDACTED] }));
    assert_eq!(link.username.as_deref(), Some(REDACTED));
    assert!(link.topics.matches(REDACTED));
}

#[test]
fn references_to_files_are_shown_and_numbers_are_taken_as_text() {
    let link = created(json!({ "password": "file:///run/secrets/clink" }));
    assert_eq!(link.to_json(Reveal::Redacted)["password"], "file:///run/secrets/clink");
    let password = link.password.unwrap();
    assert_eq!(password.source(), SecretSource::File("/run/secrets/clink"));
    assert_eq!(created(json!({ "password": 12345 })).password, Some(Secret::new("12345")));
}

#[test]
fn a_login_inside_server_is_refused_and_not_quoted() {
    let shown = violations(json!({ "server": "mqtt://user:planted-secret@h:1883" }));
    assert_eq!(shown[0]["value"], "******@h:1883");
    assert!(!json!(shown).to_string().contains("planted"));
}

#[test]
fn redaction_reaches_every_depth_and_every_kind_of_value() {
    let audit = json!([{ "a": { "password": 5 } }, { "password": null, "keyfile": "etc/key.pem" }]);
    let expected =
        json!([{ "a": { "password": REDACTED } }, { "password": null, "keyfile": "etc/key.pem" }]);
    assert_eq!(redact(&audit), expected);
}
