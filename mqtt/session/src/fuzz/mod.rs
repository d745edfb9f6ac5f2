//! Random lives of one session, shared by the property test and the fuzzer: bytes choose what
//! client, network, store and server do next; a model of the client checks the promises.
//!
//! Checked: no panic, bounded memory, unique packet ids, receive maximum kept both ways, first
//! receipts in order, QoS 2 exactly once in both directions over cuts, restarts and take-overs,
//! nothing lost that was not counted, and that a replay of the journal equals the session.
#![allow(clippy::panic, reason = "a broken promise is what the fuzzer looks for")]

mod bytes;
mod client;
mod hostile;
mod publisher;
mod world;

use self::{bytes::Bytes, world::World};

/// Steps of one life; more input is ignored.
const STEPS_MAX: usize = 4_000;

/// Runs one life.
///
/// # Panics
/// When the session breaks a promise.
pub fn session_ops(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.next());
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        let (choice, detail) = (bytes.next(), bytes.next());
        world.step(choice, detail);
        world.check();
    }
    world.drain();
}

/// Lets a hostile client act on one session.
///
/// # Panics
/// When the session panics, grows above its limits, or writes a journal that is not its state.
pub fn session_hostile(data: &[u8]) {
    hostile::run(data);
}

/// Feeds bytes to all decoders; none may panic, and what is read must survive a round trip.
///
/// # Panics
/// When a decoded value is not the same after encoding and decoding.
pub fn session_codec(data: &[u8]) {
    use crate::codec::{decode_export, decode_message, decode_op, encode_message, encode_op};
    use std::time::{Duration, Instant};

    let now = Instant::now();
    if let Ok(op) = decode_op(data) {
        let mut again = Vec::new();
        encode_op(&op, &mut again).expect("it was read from fewer bytes than the limit");
        assert_eq!(decode_op(&again).ok(), Some(op));
    }
    if let Ok(message) = decode_message(data, now, Duration::ZERO) {
        let mut again = Vec::new();
        encode_message(&message, now, &mut again).expect("it was read from fewer bytes");
        assert_eq!(decode_message(&again, now, Duration::ZERO).ok(), Some(message));
    }
    let _ = decode_export(data, now);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 400,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        // [MQTT-2.2.1-4] [MQTT-3.3.4-7] [MQTT-3.3.4-9] [MQTT-4.3.3-10] [MQTT-4.3.3-11]
        // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-6] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
        #[test]
        fn a_session_keeps_its_promises_through_cuts_restarts_and_take_overs(
            data in proptest::collection::vec(any::<u8>(), 0..1_500)
        ) {
            super::session_ops(&data);
        }

        #[test]
        fn a_hostile_client_neither_breaks_nor_fills_its_session(
            data in proptest::collection::vec(any::<u8>(), 0..3_000)
        ) {
            super::session_hostile(&data);
        }

        #[test]
        fn the_decoders_take_any_bytes(
            mut data in proptest::collection::vec(any::<u8>(), 0..200),
            known_version in any::<bool>(),
        ) {
            if let Some(first) = data.first_mut().filter(|_| known_version) {
                *first = 1;
            }
            super::session_codec(&data);
        }
    }

    type Target = fn(&[u8]);

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let targets: [(&str, Target); 3] = [
            ("session_ops", super::session_ops),
            ("session_hostile", super::session_hostile),
            ("session_codec", super::session_codec),
        ];
        for (name, target) in targets {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
            for entry in std::fs::read_dir(corpus).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }
}
