//! The example of the EMQX user guide.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Files, errors};
use spanmq_config::Flags;

/// As printed in the guide, with its left-out text.
const GUIDE: &str = r#"cluster {
  name = "emqx-us-east"
  links = [
    {
      name = "emqx-eu-west"
      server = "emqx.us-east.myinfra.net"
      username = "clink-user:us-east"
      password = "clink-password-no-one-knows"
      clientid = "clink-us-east"
      topics = ["global/#", "fwd/#", "cluster/+/status", ...]
      ssl {
        enable = true
        verify = verify_peer
        certfile = "etc/certs/client/emqx-us-east.pem"
        ...
      }
    }
    ...
  ]
}
"#;

#[test]
fn the_example_parses_once_its_dots_are_gone() {
    let files = Files::with_config(&GUIDE.replace("...", ""))
        .and("/etc/spanmq/etc/certs/client/emqx-us-east.pem", "-----BEGIN CERTIFICATE-----");
    let loaded = files.load(&[], Flags::default()).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(loaded.config.cluster.name.as_str(), "emqx-us-east");
    let link = loaded.config.cluster.links.iter().next().unwrap();
    assert_eq!(link.value()["topics"].as_array().unwrap().len(), 3);
    assert_eq!(link.value()["username"], "clink-user:us-east");
    assert_eq!(link.value()["ssl"]["certfile"], "/etc/spanmq/etc/certs/client/emqx-us-east.pem");
    let shown = format!("{loaded:?}") + &serde_json::to_string(&loaded.config).unwrap();
    assert!(!shown.contains("clink-password-no-one-knows"));
}

#[test]
fn the_dots_are_pointed_at() {
    let found = errors(GUIDE);
    assert!(found[0].starts_with("10:58: `...` stands for left-out text"), "{found:?}");
}

#[test]
fn an_absent_certificate_is_named_with_its_path() {
    assert_eq!(
        errors(&GUIDE.replace("...", "")),
        [
            "14:9: `cluster.links.1.ssl.certfile`: cannot read /etc/spanmq/etc/certs/client/emqx-us-east.pem: no such file"
        ]
    );
}

#[test]
fn a_link_that_is_off_needs_no_certificates() {
    let off =
        GUIDE.replace("...", "").replace("name = \"emqx-eu-west\"", "name = eu, enable = false");
    Files::with_config(&off).load(&[], Flags::default()).unwrap();
}
