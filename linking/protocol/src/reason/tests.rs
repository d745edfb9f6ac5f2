use super::advice::{acl_rule, counterpart_link};
use super::*;

fn context() -> AdviceContext<'static> {
    AdviceContext {
        local_cluster: "us-east",
        remote_cluster: "eu-west",
        clientid: "clink-us-east",
        server: "mqtt.eu.example:1883",
        holder: None,
        holder_prefix: None,
    }
}

#[test]
fn planted_escapes_newlines_and_bidi_marks_do_not_survive() {
    let planted = "\u{1b}[31mred\r\nlog line\u{202e}evil\u{7f}\u{9b}";
    let text = bounded(planted);
    assert!(text.chars().all(|c| !c.is_control() && !is_invisible(c)), "{text:?}");
    assert!(text.contains("red") && text.contains("log line"));
}

#[test]
fn a_long_remote_text_is_cut() {
    let text = bounded(&"ä".repeat(10_000));
    assert_eq!(text.chars().count(), REMOTE_TEXT_CHARS_MAX + 1);
    assert!(text.ends_with('…'));
}

#[test]
fn machine_words_are_unique() {
    let mut words: Vec<_> = ReasonWord::ALL.iter().map(|word| word.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), ReasonWord::ALL.len());
}

#[test]
fn what_needs_a_person_comes_with_advice() {
    for word in ReasonWord::ALL {
        let advice = Reason::new(*word).advice(&context());
        assert!(word.heals_by_itself() || !advice.is_empty(), "{}", word.as_str());
    }
}

#[test]
fn refused_by_acl_brings_the_rule_of_the_guide() {
    assert_eq!(
        acl_rule("clink-us-east"),
        r#"{allow, {clientid, {re, "^clink-us-east"}}, all, ["$LINK/#"]}."#
    );
    assert_eq!(
        acl_rule(r#"a.b"c\"#),
        r#"{allow, {clientid, {re, "^a\\.b\"c\\\\"}}, all, ["$LINK/#"]}."#
    );
    let reason = Reason::new(ReasonWord::AclDenied);
    assert!(reason.advice(&context()).contains("{allow, {clientid"));
}

#[test]
fn unknown_cluster_brings_a_link_that_parses_as_json() {
    let link: serde_json::Value = serde_json::from_str(&counterpart_link(&context())).unwrap();
    assert_eq!(link["name"], "us-east");
    let advice = Reason::new(ReasonWord::UnknownCluster).advice(&context());
    assert!(advice.contains("\"name\":\"us-east\""));
}

#[test]
fn the_three_refusal_words_are_understood() {
    for (text, word) in [
        ("unknown_cluster", ReasonWord::UnknownCluster),
        ("bad_remote_cluster_link_name", ReasonWord::BadRemoteClusterName),
        ("cluster_link_disabled", ReasonWord::LinkDisabledAtRemote),
    ] {
        assert_eq!(Reason::from_refusal(text).word, word);
    }
    let odd = Reason::from_refusal("too\nodd");
    assert_eq!(odd.word, ReasonWord::Refused);
    assert_eq!(odd.to_string(), "The remote refuses the link handshake. (too\\u{a}odd)");
}
