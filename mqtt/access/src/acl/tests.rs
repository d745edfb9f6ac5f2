//! What rules decide, by rule number of LINK-SPEC section 6 and row of SECURITY-REQUIREMENTS.

use std::collections::BTreeMap;

use super::*;

fn client() -> ClientInfo {
    ClientInfo {
        client_id: "dev-1".into(),
        username: Some("ann".into()),
        peer_ip: "10.1.2.3".parse().unwrap(),
        cert_common_name: Some("device.example".into()),
        client_attrs: BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]),
        listener: "tcp:default".into(),
        zone: "default".into(),
        is_superuser: false,
    }
}

const PUBLISH: Action = Action::Publish { qos: 0, retain: false };
const SUBSCRIBE: Action = Action::Subscribe { qos: 0 };

fn acl(text: &str) -> Acl {
    match Acl::parse("acl.conf", text) {
        Ok(acl) => acl,
        Err(error) => panic!("{error}"),
    }
}

fn allows(text: &str, client: &ClientInfo, action: Action, topic: &str) -> bool {
    acl(text).check(client, action, topic).is_allowed()
}

/// Whether `{allow, WHO, all, all}` speaks about the client.
fn is(who: &str, client: &ClientInfo) -> bool {
    allows(&format!("{{allow, {who}, all, all}}."), client, PUBLISH, "t")
}

#[test]
fn the_rule_of_the_guide_works_unchanged_and_suffices_for_a_link_a6() {
    let text = r#"{allow, {clientid, {re, "^clink-us-east"}}, all, ["$LINK/#"]}."#;
    let link = ClientInfo { client_id: "clink-us-east-n1".into(), ..client() };
    assert!(allows(
        text,
        &link,
        Action::Publish { qos: 1, retain: false },
        "$LINK/cluster/route/us-east"
    ));
    assert!(allows(
        text,
        &link,
        Action::Publish { qos: 1, retain: false },
        "$LINK/cluster/msg/us-east"
    ));
    assert!(allows(text, &link, Action::Subscribe { qos: 1 }, "$LINK/cluster/resp/us-east/n1"));
    assert!(!allows(text, &client(), PUBLISH, "$LINK/cluster/route/us-east"));
    let other = ClientInfo { client_id: "x-clink-us-east".into(), ..client() };
    assert!(!allows(text, &other, PUBLISH, "$LINK/cluster/route/us-east"));
}

#[test]
fn the_minimal_rights_of_a_peer_can_be_written_a6() {
    let text = r#"
        {allow, {user, "eu"}, publish, ["$LINK/cluster/route/eu", "$LINK/cluster/msg/eu"]}.
        {allow, {user, "eu"}, subscribe, ["$LINK/cluster/resp/eu/+"]}.
        {deny, all, all, ["$LINK/#"]}."#;
    let eu = ClientInfo { username: Some("eu".into()), ..client() };
    assert!(allows(text, &eu, PUBLISH, "$LINK/cluster/route/eu"));
    assert!(allows(text, &eu, SUBSCRIBE, "$LINK/cluster/resp/eu/actor"));
    assert!(!allows(text, &eu, PUBLISH, "$LINK/cluster/route/us"));
    assert!(!allows(text, &eu, SUBSCRIBE, "$LINK/cluster/resp/#"));
    assert_eq!(acl(text).check(&client(), PUBLISH, "$LINK/cluster/msg/eu").rule(), Some(4));
}

#[test]
fn reserved_topics_open_only_to_a_rule_that_names_them_a7_a4() {
    let paths = ["$LINK/cluster/msg/x", "$LINK", "$SYS/brokers"];
    let filters =
        ["$LINK/#", "$SYS/#", "$SYS/+", "$share/g/$LINK/#", "$queue/$SYS/x", "$exclusive/$SYS/x"];
    for text in
        ["{allow, all}.", "{allow, all, all, all}.", r##"{allow, all, all, ["#", "+/#"]}."##]
    {
        for (action, topics) in [(PUBLISH, &paths[..]), (SUBSCRIBE, &filters[..])] {
            for topic in topics {
                let decision =
                    acl(text).with_no_match(Permission::Allow).check(&client(), action, topic);
                assert_eq!(
                    decision,
                    Decision { permission: Permission::Deny, cause: Cause::Reserved },
                    "{text} {topic}"
                );
            }
        }
    }
    let none = Acl::without_rules(Permission::Allow);
    assert!(none.check(&client(), SUBSCRIBE, "#").is_allowed());
    assert!(!none.check(&client(), SUBSCRIBE, "$SYS/#").is_allowed());
    assert!(allows(
        "{allow, all}. {allow, all, subscribe, [\"$SYS/#\"]}.",
        &client(),
        SUBSCRIBE,
        "$SYS/x"
    ));
}

#[test]
fn a_user_called_like_a_reserved_topic_opens_nothing_a6() {
    let text = r#"{allow, all, all, ["${username}/#", "${client_attrs.tenant}/#"]}."#;
    let mut liar = ClientInfo { username: Some("$LINK".into()), ..client() };
    liar.client_attrs.insert("tenant".to_owned(), "$SYS".to_owned());
    assert!(!allows(text, &liar, PUBLISH, "$LINK/cluster/msg/x"));
    assert!(!allows(text, &liar, SUBSCRIBE, "$SYS/#"));
    let half = r#"{allow, all, all, ["$L${username}/#"]}."#;
    let liar = ClientInfo { username: Some("INK".into()), ..client() };
    assert!(!allows(half, &liar, PUBLISH, "$LINK/x"));
}

#[test]
fn a_superuser_is_asked_nothing() {
    let root = ClientInfo { is_superuser: true, ..client() };
    let decision = acl("{deny, all}.").check(&root, SUBSCRIBE, "$SYS/#");
    assert_eq!((decision.is_allowed(), decision.cause), (true, Cause::Superuser));
}

#[test]
fn the_first_matching_rule_wins_and_no_match_denies_a5() {
    let text = "{allow, all, publish, [\"a/#\"]}.\n{deny, all, publish, [\"a/b\"]}.\n\n{deny, all, all, [\"c\"]}.";
    let acl = acl(text);
    let decided = |action, topic| {
        let decision = acl.check(&client(), action, topic);
        (decision.is_allowed(), decision.rule())
    };
    assert_eq!(decided(PUBLISH, "a/b"), (true, Some(1)));
    assert_eq!(decided(PUBLISH, "c"), (false, Some(4)));
    assert_eq!(decided(PUBLISH, "d"), (false, None));
    assert!(
        acl.clone().with_no_match(Permission::Allow).check(&client(), PUBLISH, "d").is_allowed()
    );
    let mut first = acl.clone();
    first.append(self::acl("{allow, all, all, [\"d\"]}."));
    assert_eq!(first.check(&client(), PUBLISH, "d").rule(), Some(1));
    assert_eq!(first.rule_count(), 4);
}

#[test]
fn each_who_of_the_grammar_is_understood_a5() {
    let yes = [
        "all",
        r#"{username, "ann"}"#,
        r#"{user, {re, "^a"}}"#,
        r#"{clientid, "dev-1"}"#,
        r#"{client, {re, "ev"}}"#,
        r#"{client, {re, "-\\d$"}}"#,
        r#"{ipaddr, "10.0.0.0/8"}"#,
        r#"{ipaddr, "10.1.2.3"}"#,
        r#"{ipaddrs, ["192.0.2.0/24", "10.1.2.3/32"]}"#,
        r#"{client_attr, "tenant", "acme"}"#,
        r#"{client_attr, "tenant", {re, "ac"}}"#,
        r#"{zone, "default"}"#,
        r#"{listener, {re, "^tcp:"}}"#,
        r#"{'and', [{user, "ann"}, {'or', [{zone, "x"}, {listener, "tcp:default"}]}]}"#,
        r#"{user, <<"ann">>}"#,
    ];
    let no = [
        r#"{username, "an"}"#,
        r#"{user, {re, "^n"}}"#,
        r#"{ipaddr, "10.1.2.4"}"#,
        r#"{ipaddr, "::/0"}"#,
        r#"{client_attr, "other", {re, ""}}"#,
        r#"{'and', [{user, "ann"}, {zone, "x"}]}"#,
        r#"{'or', [{user, "bob"}, {zone, "x"}]}"#,
    ];
    for who in yes {
        assert!(is(who, &client()), "{who}");
    }
    for who in no {
        assert!(!is(who, &client()), "{who}");
    }
}

#[test]
fn an_ipv4_client_on_a_dual_stack_socket_is_an_ipv4_client() {
    let mapped = ClientInfo { peer_ip: "::ffff:10.1.2.3".parse().unwrap(), ..client() };
    assert!(is(r#"{ipaddr, "10.0.0.0/8"}"#, &mapped));
    let six = ClientInfo { peer_ip: "2001:db8::7".parse().unwrap(), ..client() };
    assert!(is(r#"{ipaddr, "2001:db8::/32"}"#, &six));
    assert!(!is(r#"{ipaddr, "0.0.0.0/0"}"#, &six));
}

#[test]
fn a_missing_value_matches_no_text_a5() {
    let anonymous = ClientInfo { username: None, cert_common_name: None, ..client() };
    assert!(!is(r#"{username, {re, ""}}"#, &anonymous));
    let text = r#"{allow, all, all, ["u/${username}/#", "c/${cert_common_name}"]}."#;
    assert!(!allows(text, &anonymous, PUBLISH, "u//x"));
    assert!(!allows(text, &anonymous, PUBLISH, "c/"));
}

#[test]
fn actions_may_ask_for_qos_and_retain_a5() {
    let publish = |qos, retain| Action::Publish { qos, retain };
    let subscribe = |qos| Action::Subscribe { qos };
    let table: [(&str, &[Action], &[Action]); 6] = [
        ("publish", &[publish(2, true)], &[subscribe(0)]),
        ("subscribe", &[subscribe(2)], &[publish(0, false)]),
        ("{publish, [{qos, 1}]}", &[publish(1, true)], &[publish(0, true), publish(2, true)]),
        (
            "{all, [{qos, [0, 1]}]}",
            &[publish(0, true), subscribe(1)],
            &[publish(2, false), subscribe(2)],
        ),
        ("{publish, [{retain, false}]}", &[publish(0, false)], &[publish(0, true)]),
        (
            "{all, [{qos, 1}, {retain, true}]}",
            &[publish(1, true), subscribe(1)],
            &[publish(1, false), subscribe(0)],
        ),
    ];
    for (action, yes, no) in table {
        let text = format!("{{allow, all, {action}, [\"t\"]}}.");
        for wanted in yes {
            assert!(allows(&text, &client(), *wanted, "t"), "{action} {wanted:?}");
        }
        for unwanted in no {
            assert!(!allows(&text, &client(), *unwanted, "t"), "{action} {unwanted:?}");
        }
    }
    assert!(allows(
        "{allow, all, {publish, [{retain, all}]}, all}.",
        &client(),
        publish(0, true),
        "t"
    ));
    assert!(allows("{allow, all, {publish, []}, all}.", &client(), publish(0, true), "t"));
}

#[test]
fn topics_may_be_literal_a5() {
    for text in [
        r##"{deny, all, subscribe, [{eq, "#"}]}. {allow, all}."##,
        r##"{deny, all, subscribe, ["eq #"]}. {allow, all}."##,
    ] {
        assert!(!allows(text, &client(), SUBSCRIBE, "#"));
        assert!(allows(text, &client(), SUBSCRIBE, "a/#"));
        assert!(allows(text, &client(), PUBLISH, "a"));
    }
}

#[test]
fn placeholders_take_the_clients_values_a5() {
    let text = r#"{allow, all, all, ["u/${username}/#", "c/${clientid}", "n/${cert_common_name}",
        "t/${client_attrs.tenant}-${zone}/+"]}."#;
    for topic in ["u/ann/x", "c/dev-1", "n/device.example", "t/acme-default/x"] {
        assert!(allows(text, &client(), PUBLISH, topic), "{topic}");
    }
    for topic in ["u/bob/x", "c/dev-2", "t/acme-x/x"] {
        assert!(!allows(text, &client(), PUBLISH, topic), "{topic}");
    }
}

#[test]
fn a_value_with_a_slash_or_wildcard_never_matches_a6() {
    let text = r#"{allow, all, all, ["c/${clientid}", {eq, "d/${clientid}"}, "e/${clientid}/#"]}."#;
    for id in ["+", "#", "a/b", "a+", ""] {
        let liar = ClientInfo { client_id: id.into(), ..client() };
        for topic in [
            format!("c/{id}"),
            format!("d/{id}"),
            format!("e/{id}/x"),
            "c/x".to_owned(),
            "e/x/y".to_owned(),
        ] {
            assert!(!allows(text, &liar, SUBSCRIBE, &topic), "{id:?} {topic}");
            assert!(!allows(text, &liar, PUBLISH, &topic), "{id:?} {topic}");
        }
    }
}

#[test]
fn a_requested_filter_is_compared_as_if_it_were_a_name_a5() {
    let deny = r#"{deny, all, subscribe, ["a/+"]}. {allow, all}."#;
    for filter in ["a/b", "a/+", "a/#"] {
        assert!(!allows(deny, &client(), SUBSCRIBE, filter), "{filter}");
    }
    let allow = r#"{allow, all, subscribe, ["a/+", "b/#", "c/+/d"]}."#;
    for filter in ["a/b", "a/+", "b", "b/#", "b/+/x", "b/+/#", "c/+/d", "c/x/d"] {
        assert!(allows(allow, &client(), SUBSCRIBE, filter), "{filter}");
    }
    for filter in ["a", "+/b", "#", "c/#", "c/+/+", "a/b/c"] {
        assert!(!allows(allow, &client(), SUBSCRIBE, filter), "{filter}");
    }
}

/// Ours, stricter than A-5: as a name `a/#` would pass below `a/+`.
#[test]
fn a_rule_does_not_grant_more_than_it_says() {
    let text = r#"{allow, all, subscribe, ["a/+", "+/b"]}."#;
    assert!(!allows(text, &client(), SUBSCRIBE, "a/#"));
    assert!(!allows(text, &client(), SUBSCRIBE, "+/#"));
    for all in [r##"{allow, all, subscribe, ["#"]}."##, r#"{allow, all, subscribe, ["+/#"]}."#] {
        assert!(allows(all, &client(), SUBSCRIBE, "#"));
        assert!(allows(all, &client(), SUBSCRIBE, "+/#"));
    }
}

#[test]
fn a_shared_subscription_is_checked_by_its_inner_filter_a5() {
    let text = r##"{deny, all, subscribe, ["secret/#"]}. {allow, all, subscribe, ["#"]}."##;
    for filter in ["$share/g/secret/x", "$queue/secret/x", "$exclusive/secret/x", "secret/x"] {
        assert!(!allows(text, &client(), SUBSCRIBE, filter), "{filter}");
    }
    assert!(allows(text, &client(), SUBSCRIBE, "$share/g/open"));
}

#[test]
fn a_malformed_topic_is_denied() {
    for (action, topic) in
        [(PUBLISH, "a/+"), (PUBLISH, ""), (SUBSCRIBE, "a#"), (SUBSCRIBE, "$share/g")]
    {
        let decision = acl("{allow, all}.").check(&client(), action, topic);
        assert_eq!(decision, Decision { permission: Permission::Deny, cause: Cause::Malformed });
    }
}

#[test]
fn our_security_profile_is_the_hardened_one_a5() {
    assert!(!allows("{allow, {security_profile, legacy}}.", &client(), PUBLISH, "t"));
    assert!(allows("{allow, {security_profile, hardened}}.", &client(), PUBLISH, "t"));
    assert!(!allows(
        "{deny, {security_profile, hardened}}. {allow, all}.",
        &client(),
        PUBLISH,
        "t"
    ));
}

#[test]
fn the_usual_file_with_comments_is_read() {
    let text = "%%-- Comment with {deny, all}.\n{allow, {username, \"dashboard\"}, subscribe, [\"$SYS/#\"]}.\n\
        {allow, {ipaddr, \"127.0.0.1\"}, all, [\"$SYS/#\", \"#\"]}. % local\n\
        {deny, all, subscribe, [\"$SYS/#\", {eq, \"#\"}, {eq, \"+/#\"}]}.\n\n{allow, all}.\n";
    assert_eq!(acl(text).rule_count(), 4);
    assert!(!allows(text, &client(), SUBSCRIBE, "#"));
    assert!(allows(text, &client(), SUBSCRIBE, "a/#"));
    let local = ClientInfo { peer_ip: "127.0.0.1".parse().unwrap(), ..client() };
    assert!(allows(text, &local, SUBSCRIBE, "$SYS/#"));
    assert_eq!(acl("\u{feff}{allow,all}.").rule_count(), 1);
}

/// Place of the fault, then a part of what the message must say.
const FAULTS: &[(&str, (u32, u32), &str)] = &[
    ("{allow, all}", (1, 13), "found the end of the file, expected `.`"),
    ("{allow, all}.\n{allow, all", (2, 12), "expected `,` or `}`"),
    (
        "{allow, all}.\n\n  {permit, all}.",
        (3, 4),
        "found the atom \"permit\", expected allow or deny",
    ),
    ("{allow, al}.", (1, 9), "expected all or {security_profile"),
    ("{allow, {username, \"x\"}}.", (1, 9), "a tuple of 2 that begins with \"username\""),
    ("{allow, all, all}.", (1, 1), "a tuple of 3"),
    ("[].", (1, 1), "expected a rule"),
    ("allow.", (1, 1), "expected a rule"),
    (".", (1, 1), "expected a rule such as"),
    ("{allow, {usrname, \"x\"}, all, all}.", (1, 9), "expected who"),
    ("{allow, {username, x}, all, all}.", (1, 20), "text in double quotes"),
    ("{allow, {'or', []}, all, all}.", (1, 16), "at least one who"),
    ("{allow, {ipaddr, \"10.0.0\"}, all, all}.", (1, 18), "expected an address"),
    ("{allow, {ipaddr, \"10.0.0.0/33\"}, all, all}.", (1, 18), "expected an address"),
    ("{allow, all, read, all}.", (1, 14), "expected an action"),
    ("{allow, all, {publish, [{qos, 3}]}, all}.", (1, 31), "expected a QoS: 0, 1 or 2"),
    ("{allow, all, {publish, [{retain, 1}]}, all}.", (1, 34), "expected true, false or all"),
    ("{allow, all, {publish, [{dup, 1}]}, all}.", (1, 25), "{qos, 0..2"),
    ("{allow, all, all, []}.", (1, 19), "at least one topic"),
    ("{allow, all, all, \"a\"}.", (1, 19), "expected topics"),
    ("{allow, all, all, [\"a#\"]}.", (1, 20), "\"a#\" is not a topic filter"),
    ("{allow, all, all, [\"$share/g/a\"]}.", (1, 20), "inner filter"),
    ("{deny, all, all, [{eq, \"a#\"}]}.", (1, 19), "is not a topic filter"),
    ("{allow, all, all, [\"a/${user}\"]}.", (1, 20), "the placeholder \"user\""),
    ("{allow, all, all, [{re, \"a\"}]}.", (1, 20), "expected \"filter\""),
    ("{allow, {user, {re, \"(\"}}, all, all}.", (1, 21), "not a regular expression"),
    ("{allow, {user, {re, \"(?=a)\"}}, all, all}.", (1, 21), "look-around"),
    ("{allow, {user, {re, \"(a)\\\\1\"}}, all, all}.", (1, 21), "back-reference"),
    ("{allow, {user, {re, \"a\\d\"}}, all, all}.", (1, 23), "two backslashes"),
    ("{allow, {user, \"a}, all, all}.", (1, 16), "expected a closing \""),
    ("{Allow, all}.", (1, 2), "the character 'A'"),
    ("{allow, all}. ]", (1, 15), "found `]`"),
    ("{allow, all}. \u{7}", (1, 15), "'\\u{7}'"),
    ("{allow, all, all, [,]}.", (1, 20), "found `,`"),
    ("{allow, all, {publish, [{qos, 99999999999999999999}]}, all}.", (1, 31), "huge number"),
];

#[test]
fn a_fault_is_told_with_place_found_and_expected_a5() {
    for (text, (line, column), says) in FAULTS {
        let error = Acl::parse("acl.conf", text).unwrap_err();
        let place = Place { file: "acl.conf".into(), line: *line, column: *column };
        assert_eq!(error.place(), Some(&place), "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(error.to_string().starts_with(&format!("acl.conf:{line}:{column}: ")), "{error}");
    }
}

#[test]
fn a_file_without_rules_is_refused_a8() {
    for text in ["", "  \n", "% {allow, all}.\n"] {
        assert!(matches!(Acl::parse("acl.conf", text), Err(AclError::Empty { .. })));
    }
    let large = "% \n".repeat(FILE_BYTES_MAX / 3 + 1);
    assert!(matches!(Acl::parse("acl.conf", &large), Err(AclError::TooLarge { .. })));
}

#[test]
fn brackets_in_each_other_end_at_sixteen() {
    for open in ["[", "{"] {
        let error = Acl::parse("acl.conf", &open.repeat(100_000)).unwrap_err();
        assert!(error.to_string().contains("at most 16"), "{error}");
    }
}

#[test]
fn texts_know_the_escapes_of_erlang() {
    let text = r#"{allow, {user, "\"\\\x41\x{e9}\101\s"}, all, all}."#;
    let named = ClientInfo { username: Some("\"\\AéA ".into()), ..client() };
    assert!(allows(text, &named, PUBLISH, "t"));
    assert!(allows(
        r#"{allow, {user, <<"é"/utf8>>}, all, all}."#,
        &ClientInfo { username: Some("é".into()), ..client() },
        PUBLISH,
        "t"
    ));
}
