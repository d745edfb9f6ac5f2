use spanmq_topic::TopicName;

use crate::{AliasError, AliasUse, AliasesIn, aliases_out::AliasesOut};

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

// [MQTT-3.1.2-27]
#[test]
fn no_alias_is_set_for_a_client_that_wants_none() {
    let mut aliases = AliasesOut::new(0);
    assert_eq!(aliases.take(&topic("a")), AliasUse::None);
}

// [MQTT-3.1.2-26] [MQTT-3.3.2-8] [MQTT-3.3.2-11]
#[test]
fn the_least_recently_used_topic_gives_its_alias_away() {
    let mut aliases = AliasesOut::new(2);
    assert_eq!(aliases.take(&topic("a")), AliasUse::Set(1));
    assert_eq!(aliases.take(&topic("b")), AliasUse::Set(2));
    assert_eq!(aliases.take(&topic("a")), AliasUse::Known(1));
    assert_eq!(aliases.take(&topic("c")), AliasUse::Set(2));
    assert_eq!(aliases.take(&topic("a")), AliasUse::Known(1));
    assert_eq!(aliases.take(&topic("b")), AliasUse::Set(2));
}

// [MQTT-3.3.2-12]
#[test]
fn an_alias_of_the_client_stands_for_its_last_topic() {
    let mut aliases = AliasesIn::new(2);
    assert_eq!(aliases.resolve(Some(topic("a")), Some(2)), Ok(topic("a")));
    assert_eq!(aliases.resolve(None, Some(2)), Ok(topic("a")));
    assert_eq!(aliases.resolve(Some(topic("b")), Some(2)), Ok(topic("b")));
    assert_eq!(aliases.resolve(None, Some(2)), Ok(topic("b")));
    assert_eq!(aliases.resolve(Some(topic("c")), None), Ok(topic("c")));
}

// [MQTT-3.3.2-8] [MQTT-3.3.2-9]
#[test]
fn an_alias_outside_its_range_or_never_set_ends_the_connection() {
    let mut aliases = AliasesIn::new(2);
    let out_of_range = |alias| Err(AliasError::OutOfRange { alias, max: 2 });
    assert_eq!(aliases.resolve(Some(topic("a")), Some(0)), out_of_range(0));
    assert_eq!(aliases.resolve(Some(topic("a")), Some(3)), out_of_range(3));
    assert_eq!(aliases.resolve(None, Some(1)), Err(AliasError::Unknown { alias: 1 }));
    assert_eq!(aliases.resolve(None, None), Err(AliasError::NoTopic));
    assert_eq!(AliasError::OutOfRange { alias: 3, max: 2 }.reason_code(), 0x94);
    assert_eq!(AliasError::NoTopic.reason_code(), 0x82);
}
