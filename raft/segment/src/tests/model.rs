//! Random operations, compared with a plain vector.

use proptest::prelude::*;

use super::{all, open, small};
use crate::{SegmentOptions, Verify};

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Vec<u8>>),
    Sync,
    Truncate(u64),
    Purge(u64),
    Reset(u64),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..5)
            .prop_map(Op::Append),
        2 => Just(Op::Sync),
        1 => (0u64..40).prop_map(Op::Truncate),
        1 => (0u64..40).prop_map(Op::Purge),
        1 => (0u64..60).prop_map(Op::Reset),
        2 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_log_holds_what_a_vector_would(
        ops in proptest::collection::vec(op(), 1..30),
        preallocate_bytes in prop_oneof![Just(0u64), Just(64)],
        lazy in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let verify = if lazy { Verify::Newest } else { Verify::All };
        let mut options = SegmentOptions { preallocate_bytes, verify, ..small() };
        let mut log = open(dir.path(), &options);
        let (mut first, mut model) = (0u64, Vec::<Vec<u8>>::new());
        for op in ops {
            match op {
                Op::Append(batch) => {
                    let from = log.append_batch(&batch).unwrap();
                    prop_assert_eq!(from, first + model.len() as u64);
                    model.extend(batch);
                }
                Op::Sync => log.sync().unwrap(),
                Op::Truncate(sequence) => {
                    // Below the first record only what is purged goes away, which no caller does.
                    let sequence = sequence.max(first);
                    log.truncate_from(sequence).unwrap();
                    model.truncate((sequence - first) as usize);
                }
                Op::Purge(sequence) => {
                    log.purge_before(sequence).unwrap();
                    let to = sequence.clamp(first, first + model.len() as u64);
                    model.drain(..(to - first) as usize);
                    first = to;
                }
                Op::Reset(sequence) => {
                    log.reset(sequence).unwrap();
                    (first, model) = (sequence, Vec::new());
                    options.first_sequence = sequence;
                }
                Op::Reopen => {
                    drop(log);
                    log = open(dir.path(), &options);
                    // Where exactly a purge ended is for the caller to remember.
                    log.purge_before(first).unwrap();
                }
            }
            let expected: Vec<_> = (first..).zip(model.iter().cloned()).collect();
            prop_assert_eq!(all(&log), expected);
            prop_assert_eq!(log.next(), first + model.len() as u64);
        }
    }
}
