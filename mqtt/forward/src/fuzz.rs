//! Body of the fuzz target `peer_frame`: what another node sends is refused, or reads back.

use crate::Frame;

/// One frame of a wire between nodes.
///
/// # Panics
/// When a frame that was accepted does not survive being written and read.
pub fn peer_frame(data: &[u8]) {
    if let Ok(frame) = Frame::decode(data) {
        assert_eq!(Frame::decode(&frame.encode()).ok(), Some(frame));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::peer_frame;

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in vec(any::<u8>(), 0..300), kind in 0..3_u8) {
            peer_frame(&data);
            peer_frame(&[&[1, kind], data.as_slice()].concat());
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/peer_frame");
        for entry in std::fs::read_dir(corpus).unwrap() {
            peer_frame(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
