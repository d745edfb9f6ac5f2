//! `deploy/spanmq.conf`, and that what is shown reads back.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Files, config};
use spanmq_config::{Flags, Inputs, load, render, schema};

const EXAMPLE: &str = include_str!("../../../deploy/spanmq.conf");

#[test]
fn the_example_changes_nothing_as_it_is() {
    assert_eq!(config(EXAMPLE).config, config("").config);
}

#[test]
fn its_examples_are_right_too() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| {
            let code = line.trim_start();
            let example = code.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            // The lines inside an example keep their indentation behind the `#`.
            let inside = code
                .strip_prefix("#  ")
                .filter(|_| line.contains("  #  ") || line.starts_with("#  "));
            let prose = line.starts_with("#   spanmq ");
            format!("{}\n", example.or(inside.filter(|_| !prose)).unwrap_or(line))
        })
        .collect();
    let mut files = Files::with_config(&uncommented)
        .and("/run/secrets/admin", "pw\n")
        .and("/etc/spanmq/join-token", "token\n");
    for name in [
        "certs/eu-ca.pem",
        "certs/server.pem",
        "certs/server.key",
        "certs/clients-ca.pem",
        "users.csv",
        "acl.conf",
        "api-keys.txt",
    ] {
        files = files.and(&format!("/etc/spanmq/{name}"), "x");
    }
    let loaded = files.load(&[], Flags::default()).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(loaded.config.cluster.links.configs().count(), 1);
    assert_eq!(loaded.config.listeners.enabled().count(), 3);
    assert_eq!(loaded.config.dashboard.default_password.unwrap().reveal(), "pw");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn what_is_shown_reads_back() {
    let loaded = Files::with_config(
        "mqtt.max_inflight = 5\nlisteners.ws.\"a b\".bind = 0\nauthentication = [{user_id_type = clientid}]\n\
         listeners.tcp.default.bind = \"[::1]:7\"",
    )
    .load(&[("SPANMQ_CLUSTER__NAME", "a: b c")], Flags::default())
    .unwrap();
    for with_origin in [false, true] {
        let text = render(&loaded.effective, with_origin);
        assert_eq!(config(&text).config, loaded.config, "{text}");
    }
    assert!(render(&loaded.effective, true).contains("# env SPANMQ_CLUSTER__NAME\n"));
}

#[test]
fn every_setting_in_force_is_in_the_schema_with_its_meaning() {
    let loaded = load(&Inputs::default(), |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
    let schema = schema();
    for value in &loaded.effective {
        let mut at = &schema;
        for segment in value.key.segments() {
            let field = &at["properties"][segment];
            at = if field.is_null() { &at["additionalProperties"] } else { field };
        }
        assert!(at["description"].is_string(), "{}: {at}", value.key);
    }
    assert!(loaded.effective.len() > 90, "{}", loaded.effective.len());
}
