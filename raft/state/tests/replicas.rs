//! Replicas that apply the same log end the same, whatever happens to them on the way (CHAOS P9).
#![allow(clippy::unwrap_used)]

mod common;

use common::command;
use proptest::prelude::*;
use spanmq_state::command::Command;
use spanmq_state::view::{Explained, Targets, ViewReader, ViewWriter};
use spanmq_state::{
    Applied, Batch, Changes, Reply, Snapshot, SnapshotDecoder, State, decode_applied, decode_batch,
    encode_applied, encode_batch,
};

const TOPICS: [&str; 7] = ["a", "a/b", "b", "x/b", "$x/b", "a//", "a/b/c"];

struct Replica {
    state: State,
    writer: ViewWriter,
    reader: ViewReader,
}

impl Replica {
    fn new(state: State) -> Self {
        let mut writer = ViewWriter::new();
        writer.rebuild(&state);
        let reader = writer.reader();
        Self { state, writer, reader }
    }

    fn apply(&mut self, index: u64, commands: &[Command]) -> Vec<Reply> {
        let mut changes = Changes::default();
        let replies = self.state.apply(index, &Batch::new(commands.to_vec()), &mut changes);
        self.writer.absorb(changes.view, index);
        replies
    }

    fn seen(&mut self) -> Vec<(Seen, Vec<Explained>)> {
        let mut targets = Targets::default();
        TOPICS
            .iter()
            .map(|topic| {
                assert!(self.reader.targets(topic, &mut targets));
                let mut groups: Vec<_> = targets.groups.iter().map(|g| format!("{g:?}")).collect();
                let mut links: Vec<_> = targets.links.iter().map(ToString::to_string).collect();
                groups.sort();
                links.sort();
                ((targets.nodes.clone(), groups, links), self.reader.explain(topic))
            })
            .collect()
    }
}

type Seen = (Vec<u64>, Vec<String>, Vec<String>);

fn restored(snapshot: &Snapshot, portion: usize) -> State {
    let stream: Vec<u8> = snapshot.encode_chunks().flatten().collect();
    let mut decoder = SnapshotDecoder::new(1 << 20);
    for part in stream.chunks(portion) {
        decoder.push(part).unwrap();
    }
    decoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_with_other_batch_splits_and_a_snapshot_between_end_equal(
        batches in prop::collection::vec(prop::collection::vec(command(), 1..6), 1..40),
        cut in any::<prop::sample::Index>(),
        portion in 1usize..600,
    ) {
        let mut whole = Replica::new(State::default());
        let mut split = Replica::new(State::default());
        let cut = cut.index(batches.len());
        for (number, batch) in batches.iter().enumerate() {
            let index = number as u64 + 1;
            let replies = whole.apply(index, batch);
            let one_by_one: Vec<_> =
                batch.iter().flat_map(|command| split.apply(index, std::slice::from_ref(command))).collect();
            prop_assert_eq!(&replies, &one_by_one);
            let applied = Applied { index, replies };
            prop_assert_eq!(decode_applied(&encode_applied(&applied)).unwrap(), applied);
            let entry = Batch::new(batch.clone());
            prop_assert_eq!(decode_batch(&encode_batch(&entry)).unwrap(), entry);
            prop_assert_eq!(whole.state.digest(), split.state.digest());
            if number == cut {
                let state = restored(&split.state.snapshot(), portion);
                prop_assert_eq!(&state, &split.state);
                split = Replica::new(state);
            }
        }
        prop_assert_eq!(&whole.state, &split.state);
        prop_assert_eq!(whole.seen(), split.seen());
        // The digest kept along the way is that of the content (the decoder computes it afresh),
        // and the view that followed is that of the content.
        let mut fresh = Replica::new(restored(&whole.state.snapshot(), portion));
        prop_assert_eq!(whole.seen(), fresh.seen());
    }

    #[test]
    fn a_snapshot_is_not_moved_by_what_is_applied_after_it(
        before in prop::collection::vec(command(), 0..60),
        after in prop::collection::vec(command(), 1..60),
    ) {
        let mut replica = Replica::new(State::default());
        replica.apply(1, &before);
        let snapshot = replica.state.snapshot();
        let digest = snapshot.digest();
        replica.apply(2, &after);
        let state = restored(&snapshot, 4096);
        prop_assert_eq!((state.digest(), state.applied()), (digest, 1));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        commands in prop::collection::vec(command(), 0..40),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut state = State::default();
        state.apply(1, &Batch::new(commands), &mut Changes::default());
        let mut bytes: Vec<u8> = state.snapshot().encode_chunks().flatten().collect();
        let intact = bytes.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut decoder = SnapshotDecoder::new(1 << 20);
        let read = decoder.push(&bytes).and_then(|()| decoder.finish());
        prop_assert!(read.is_err() || bytes == intact);
    }
}
