use super::rig::{QOS1, message};
use crate::{ProtocolVersion, packet_size::publish_len};

#[test]
fn the_size_of_a_publish_counts_every_property() {
    let mut message = message(1, QOS1);
    let plain = |message: &crate::Message| {
        [ProtocolVersion::V311, ProtocolVersion::V5]
            .map(|version| publish_len(version, message, true, false, 0))
    };
    // Fixed header 2, topic 2 + 1, packet id 2, payload 1; in version 5 the property length.
    assert_eq!(plain(&message), [8, 9]);
    let properties = &mut message.properties;
    properties.payload_is_utf8 = Some(true);
    properties.message_expiry = Some(1);
    properties.content_type = Some("ab".into());
    properties.response_topic = Some("cde".into());
    properties.correlation_data = Some(vec![0; 4].into());
    properties.user = vec![("k".into(), "va".into())];
    assert_eq!(plain(&message), [8, 9 + 2 + 5 + 5 + 6 + 7 + 8]);
    assert_eq!(publish_len(ProtocolVersion::V5, &message, false, true, 4), 42 - 2 + 3 + 4);
}

#[test]
fn the_remaining_length_takes_one_to_four_bytes() {
    for (payload, header) in [(124, 2), (125, 3), (16_380, 3), (16_381, 4), (2_097_149, 5)] {
        let message = crate::Message { payload: vec![0; payload].into(), ..message(1, QOS1) };
        let len = publish_len(ProtocolVersion::V311, &message, false, false, 0);
        assert_eq!(len, header + 3 + payload);
    }
}
