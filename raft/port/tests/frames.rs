//! Any bytes through the frame decoder: no panic, no growth, and every frame comes out whole.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*};
use spanmq_port::{FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind};

fn kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![
        Just(FrameKind::Hello),
        Just(FrameKind::Refused),
        Just(FrameKind::Ping),
        Just(FrameKind::Request),
        Just(FrameKind::Failure),
        Just(FrameKind::Wire),
        Just(FrameKind::Enrolled),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    (kind(), vec(any::<u8>(), 0..300)).prop_map(|(kind, body)| Frame::new(kind, body))
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in vec(frame(), 0..20),
        cuts in vec(1_usize..100, 1..50),
    ) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        let mut decoded = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !bytes.is_empty() {
            let cut = (*cuts.next().unwrap()).min(bytes.len());
            decoder.buffer_mut().extend_from_slice(&bytes.split_to(cut));
            while let Some(frame) = decoder.decode().unwrap() {
                decoded.push(frame);
            }
        }
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn any_bytes_end_in_frames_or_an_error_and_never_in_much_memory(
        bytes in vec(any::<u8>(), 0..2_000),
        limit in 0_u32..=FRAME_BYTES_MAX,
    ) {
        let mut decoder = FrameDecoder::new(limit);
        decoder.buffer_mut().extend_from_slice(&bytes);
        let mut taken = 0;
        while let Ok(Some(frame)) = decoder.decode() {
            prop_assert!(frame.body.len() as u64 + 2 <= u64::from(limit));
            taken += frame.wire_len();
        }
        prop_assert!(taken <= bytes.len());
        prop_assert!(decoder.buffer_mut().capacity() < 1024 * 1024);
    }

    #[test]
    fn an_almost_right_stream_is_survived(
        frames in vec(frame(), 1..5),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        let at = at.index(bytes.len());
        bytes[at] = value;
        let mut decoder = FrameDecoder::new(FRAME_BYTES_MAX);
        decoder.buffer_mut().extend_from_slice(&bytes);
        while let Ok(Some(_)) = decoder.decode() {}
    }
}
