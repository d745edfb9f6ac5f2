//! Hostile files: any text gives an answer, never a panic (SECURITY-REQUIREMENTS A8).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use spanmq_access::{
    Acl, Action, ClientInfo, HashScheme, ImportKind, User, import_csv, import_json, parse_api_keys,
};

/// Pieces of rules, so that random texts get past the lexer.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ".",
        "allow",
        "deny",
        "all",
        "publish",
        "subscribe",
        "username",
        "clientid",
        "re",
        "eq",
        "qos",
        "retain",
        "true",
        "'and'",
        "'or'",
        "ipaddr",
        "client_attr",
        "security_profile",
        "0",
        "2",
        "9",
        "\"a/+\"",
        "\"#\"",
        "\"$SYS/#\"",
        "\"${username}\"",
        "\"${\"",
        "\"10.0.0.0/8\"",
        "\"(\"",
        "\"",
        "'",
        "\\",
        "<<\"x\">>",
        "<<",
        "% c\n",
        "\n",
        "\u{e9}",
        "\0",
        "{allow, all}.",
        "{deny, all, all, [",
        "]}.",
    ]);
    vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
}

fn client(text: &str) -> ClientInfo {
    ClientInfo {
        client_id: text.into(),
        username: Some(text.into()),
        peer_ip: [127, 0, 0, 1].into(),
        cert_common_name: None,
        client_attrs: BTreeMap::new(),
        listener: text.into(),
        zone: text.into(),
        is_superuser: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_rule_file_is_answered(text in prop_oneof![pieces(), any::<String>()], topic in any::<String>()) {
        match Acl::parse("acl.conf", &text) {
            Ok(acl) => {
                prop_assert!(acl.rule_count() > 0);
                for action in [Action::Publish { qos: 1, retain: true }, Action::Subscribe { qos: 9 }] {
                    acl.check(&client(&topic), action, &topic);
                }
            }
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }

    #[test]
    fn an_ordinary_client_never_gets_a_reserved_topic_from_a_rule_that_does_not_name_it(
        name in "[$A-Z+#/a-z]{0,6}", filter in prop::sample::select(vec![
            "#", "+/#", "+/+", "${username}/#", "${clientid}/+", "$${username}/#", "$L${username}/#", "${zone}",
        ]),
        topic in prop::sample::select(vec!["$LINK/x", "$SYS/x", "$LINK", "$SYS"]),
    ) {
        let acl = Acl::parse("acl.conf", &format!("{{allow, all, all, [\"{filter}\"]}}. {{allow, all}}.")).unwrap();
        for action in [Action::Publish { qos: 0, retain: false }, Action::Subscribe { qos: 0 }] {
            prop_assert!(!acl.check(&client(&name), action, topic).is_allowed());
        }
    }

    #[test]
    fn any_user_or_key_file_is_answered(
        text in prop_oneof![any::<String>(), "(user_id,password,salt\n)?([a-z,\"\n\\[{:}]|\\]){0,40}"],
    ) {
        let scheme = HashScheme::Plain;
        for kind in [ImportKind::Plain, ImportKind::Hash] {
            let _ = import_csv(&text, kind, &scheme, || [0; 16]);
            let _ = import_json(&text, kind, &scheme, || [0; 16]);
        }
        let _ = (parse_api_keys(&text, || [0; 16]), User::from_record(&text));
    }
}
