//! Body of the fuzz target `raft_frame`: a stranger's bytes on the cluster port.

use bytes::BytesMut;

use crate::{FRAME_BYTES_MAX, Frame, FrameDecoder};

/// What a decoder may set aside beyond what has come; see `frame.rs`.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

/// Feeds bytes in pieces, whose size the first byte gives, and writes again what was read.
///
/// # Panics
/// When frames depend on how the bytes were cut, do not read back, or memory runs ahead.
pub fn raft_frame(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else { return };
    let in_pieces = frames(stream, usize::from(piece).max(1));
    let at_once = frames(stream, stream.len().max(1));
    assert_eq!(in_pieces, at_once);
    let (frames_read, whole) = in_pieces;
    let mut written = BytesMut::new();
    for frame in &frames_read {
        frame.encode(&mut written);
    }
    assert!(stream.starts_with(&written), "frames are not the bytes they were read from");
    assert!(!whole || frames(&written, 7) == (frames_read, true));
}

/// The frames of a stream, and whether it ended without an error.
fn frames(stream: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let mut read = Vec::new();
    for bytes in stream.chunks(piece) {
        decoder.buffer_mut().extend_from_slice(bytes);
        loop {
            match decoder.decode() {
                Ok(Some(frame)) => read.push(frame),
                Ok(None) => break,
                Err(_) => return (read, false),
            }
        }
        assert!(decoder.buffer_mut().capacity() <= 2 * stream.len() + AHEAD_BYTES_MAX);
    }
    (read, true)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(data in vec(any::<u8>(), 0..600)) {
            super::raft_frame(&data);
        }

        #[test]
        fn bytes_that_begin_well_are_frames_or_an_error(
            piece in any::<u8>(),
            frames in vec((1_u8..14, vec(any::<u8>(), 0..40), 0_u32..3), 0..8),
        ) {
            let mut data = vec![piece];
            for (kind, body, lie) in frames {
                let length = body.len() as u32 + 2 + lie / 2;
                data.extend_from_slice(&length.to_be_bytes());
                data.extend_from_slice(&[1, kind]);
                data.extend_from_slice(&body);
            }
            super::raft_frame(&data);
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/raft_frame");
        for entry in std::fs::read_dir(corpus).unwrap() {
            super::raft_frame(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
