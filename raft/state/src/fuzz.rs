//! Body of the fuzz target `snapshot_decode`: snapshots and log entries from a stranger.

use crate::snapshot::{CHUNK_HEAD, KIND_RECORDS, chunk};
use crate::{Changes, SnapshotDecoder, State, decode_applied, decode_batch};

/// Bytes of a snapshot that the target reads.
const BYTES_MAX: u64 = 1 << 20;

/// The first byte chooses: a stream as it is, records in a stream with true checksums, or a log
/// entry.
///
/// # Panics
/// When a state came out that does not survive being written and read, or applying to it panics.
pub fn snapshot_decode(data: &[u8]) {
    match data.split_first() {
        Some((0, stream)) => as_it_is(stream),
        Some((1, body)) => with_true_checksums(body),
        Some((_, body)) => log_entry(&mut State::default(), body),
        None => {}
    }
}

/// Whole or in two pieces, the answer is the same.
fn as_it_is(stream: &[u8]) {
    let (head, tail) = stream.split_at(stream.len() / 2);
    let at_once = read(&[stream]);
    assert_eq!(read(&[head, tail]), at_once);
    if let Some(state) = at_once {
        written_and_read(&state);
    }
}

fn read(pieces: &[&[u8]]) -> Option<State> {
    let mut decoder = SnapshotDecoder::new(BYTES_MAX);
    pieces.iter().try_for_each(|piece| decoder.push(piece)).ok()?;
    decoder.finish().ok()
}

/// `length u16 | records` once or more, and what is left over is a log entry for the state that
/// came out.
fn with_true_checksums(mut body: &[u8]) {
    let mut decoder = SnapshotDecoder::new(BYTES_MAX);
    let header = State::default().snapshot().encode_chunks().next().unwrap_or_default();
    assert!(header.len() > CHUNK_HEAD && decoder.push(&header).is_ok(), "a good header");
    while let Some((length, rest)) = body.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length));
        let Some((records, rest)) = rest.split_at_checked(length) else { break };
        if decoder.push(&chunk(KIND_RECORDS, records)).is_err() {
            return;
        }
        body = rest;
    }
    let Ok(mut state) = decoder.finish_unsealed() else { return };
    written_and_read(&state);
    log_entry(&mut state, body);
}

/// Applies a batch, if it is one, on two equal states.
fn log_entry(state: &mut State, body: &[u8]) {
    let _ = decode_applied(body);
    let Ok(batch) = decode_batch(body) else { return };
    if !batch.is_supported() {
        return;
    }
    let mut twin = state.clone();
    let index = state.applied().saturating_add(1);
    let replies = state.apply(index, &batch, &mut Changes::default());
    assert_eq!(replies.len(), batch.commands.len());
    assert_eq!(twin.apply(index, &batch, &mut Changes::default()), replies);
    assert_eq!(twin.digest(), state.digest());
    written_and_read(state);
}

fn written_and_read(state: &State) {
    let mut decoder = SnapshotDecoder::new(u64::MAX);
    for chunk in state.snapshot().encode_chunks() {
        decoder.push(&chunk).expect("what we wrote is well formed");
    }
    assert_eq!(&decoder.finish().expect("what we wrote agrees"), state);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_state_or_an_error(data in vec(any::<u8>(), 0..400), kind in 0_u8..3) {
            let data = [&[kind][..], &data].concat();
            super::snapshot_decode(&data);
        }

        /// Small numbers are record kinds, lengths and ids, so these reach deeper.
        #[test]
        fn likely_bytes_are_a_state_or_an_error(data in vec(0_u8..24, 0..200), kind in 1_u8..3) {
            let length = u16::try_from(data.len() / 2).unwrap().to_le_bytes();
            let data = [&[kind][..], &length, &data].concat();
            super::snapshot_decode(&data);
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/snapshot_decode");
        for entry in std::fs::read_dir(corpus).unwrap() {
            super::snapshot_decode(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
