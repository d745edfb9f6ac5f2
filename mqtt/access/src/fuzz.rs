//! Body of the fuzz target `acl_rules`: any text is rules, or an error with a place.

use std::net::{IpAddr, Ipv4Addr};

use crate::{Acl, Action, ClientInfo};

/// A rule file, and what it says about a few topics.
///
/// # Panics
/// When reading the text twice gives different rules.
pub fn acl_rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(acl) = Acl::parse("acl.conf", &text) else { return };
    let again = Acl::parse("acl.conf", &text).expect("the same text");
    let client = ClientInfo {
        client_id: "c/+#".into(),
        username: Some("u".into()),
        peer_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        cert_common_name: None,
        client_attrs: Default::default(),
        listener: "tcp:default".into(),
        zone: "default".into(),
        is_superuser: false,
    };
    for topic in ["a", "a/b", "$SYS/x", "$LINK/x", "c/+#", "#", "a/+"] {
        for action in [Action::Publish { qos: 1, retain: false }, Action::Subscribe { qos: 2 }] {
            let said = acl.check(&client, action, topic);
            assert_eq!(said, again.check(&client, action, topic), "{topic}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::acl_rules;

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[{}\\[\\],.\"a-z0-9%$#+/ \n]{0,200}") {
            acl_rules(text.as_bytes());
        }

        #[test]
        fn rules_of_any_shape_are_survived(
            who in prop::sample::select(vec!["all", "{user, \"u\"}", "{ipaddr, \"127.0.0.1\"}", "{'and', [all]}"]),
            topic in "[a-c$#+/%{}]{0,12}",
        ) {
            acl_rules(format!("{{allow, {who}, all, [\"{topic}\", {{eq, \"{topic}\"}}]}}.").as_bytes());
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/acl_rules");
        for entry in std::fs::read_dir(corpus).unwrap() {
            acl_rules(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
