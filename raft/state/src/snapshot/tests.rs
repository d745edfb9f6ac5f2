use super::*;
use crate::command::{ClusterCommand, RouteChange, RouteCommand};
use crate::snapshot::record::Record;
use crate::{Batch, Changes, Command, SnapshotError};

fn state(routes: usize) -> State {
    let mut state = State::default();
    let found = ClusterCommand::Found { cluster_id: 7, name: "us".into() };
    let routes = (0..routes).map(|n| RouteChange::Add(format!("r/{n}").into())).collect();
    let routes = RouteCommand::ReplaceNode { node: 1, incarnation: 1, part: 0, last: true, routes };
    let commands = vec![Command::Cluster(found), Command::Route(routes)];
    state.apply(258, &Batch::new(commands), &mut Changes::default());
    state
}

fn read(chunks: impl IntoIterator<Item = Vec<u8>>) -> Result<State, SnapshotError> {
    let mut decoder = SnapshotDecoder::new(1 << 30);
    for chunk in chunks {
        decoder.push(&chunk)?;
    }
    decoder.finish()
}

fn chunks(state: &State) -> Vec<Vec<u8>> {
    state.snapshot().encode_chunks().collect()
}

/// Chunks made by hand from records, with a true end.
fn forged(records: &[Record]) -> Vec<Vec<u8>> {
    let mut all = chunks(&State::default());
    let body: Vec<u8> = records.iter().flat_map(crate::codec::encode).collect();
    let end = (records.len() as u64, State::default().digest());
    vec![all.remove(0), chunk(KIND_RECORDS, &body), chunk(KIND_END, &crate::codec::encode(&end))]
}

#[test]
fn the_header_bytes_are_fixed_for_format_version_1() {
    let header = &chunks(&state(0))[0];
    let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
    let body = "5350414e4d515354" /* SPANMQST */;
    assert_eq!(hex, format!("12000000{}{body}{}{}", "0134688634", "0100", "0201000000000000"));
}

#[test]
fn a_large_state_is_cut_into_chunks_near_the_target() {
    let state = state(60_000);
    let chunks = chunks(&state);
    assert!(chunks.len() > 4);
    assert!(chunks.iter().all(|chunk| chunk.len() < BODY_TARGET + 4096));
    assert_eq!(read(chunks).unwrap(), state);
}

#[test]
fn a_cut_or_damaged_or_foreign_stream_is_refused() {
    let mut all = chunks(&state(10));
    let last = all.pop().unwrap();
    assert!(matches!(read(all.clone()), Err(SnapshotError::CutOff { chunks: 2 })));
    let mut damaged = all.clone();
    *damaged[1].last_mut().unwrap() ^= 1;
    assert!(matches!(read(damaged), Err(SnapshotError::Checksum { number: 1 })));
    let swapped = vec![all[1].clone(), all[0].clone()];
    assert!(matches!(read(swapped), Err(SnapshotError::NotASnapshot)));
    let twice = vec![all[0].clone(), all[0].clone()];
    assert!(matches!(read(twice), Err(SnapshotError::OutOfPlace { number: 1, kind: KIND_HEADER })));
    let after_end = vec![all[0].clone(), all[1].clone(), last.clone(), last.clone()];
    assert!(matches!(read(after_end), Err(SnapshotError::OutOfPlace { number: 3, .. })));
    let missing = vec![all[0].clone(), last];
    assert!(matches!(read(missing), Err(SnapshotError::Inconsistent { number: 1, .. })));
    assert!(matches!(read([b"GET / HTTP/1.1\r\n".to_vec()]), Err(SnapshotError::NotASnapshot)));
}

#[test]
fn a_newer_format_is_named_as_such() {
    let mut body = MAGIC.to_vec();
    body.extend_from_slice(&2u16.to_le_bytes());
    body.extend_from_slice(&[0; 8]);
    let newer = chunk(KIND_HEADER, &body);
    assert!(matches!(read([newer]), Err(SnapshotError::UnsupportedVersion { found: 2 })));
}

#[test]
fn hostile_sizes_are_refused_before_memory_is_taken_c3() {
    let mut all = chunks(&State::default());
    all[1][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(all.clone()), Err(SnapshotError::ChunkTooLarge { number: 1, .. })));
    let mut decoder = SnapshotDecoder::new(10);
    assert!(matches!(decoder.push(&all[0]), Err(SnapshotError::TooLarge { limit: 10 })));
    // A record that announces 2^60 nodes.
    let mut body =
        crate::codec::encode(&Record::Route { filter: "a".into(), nodes: vec![], groups: vec![] });
    body.truncate(body.len() - 2);
    body.push(253);
    body.extend_from_slice(&(1u64 << 60).to_le_bytes());
    let hostile = vec![all[0].clone(), chunk(KIND_RECORDS, &body)];
    assert!(matches!(read(hostile), Err(SnapshotError::Record { number: 1, .. })));
}

#[test]
fn records_that_no_apply_could_have_made_are_refused() {
    let node = Record::Node { node: 1, incarnation: 1, live: true, replacing: None };
    let route = |filter: &str, nodes: &[u64]| Record::Route {
        filter: filter.into(),
        nodes: nodes.to_vec(),
        groups: vec![],
    };
    let cases = [
        vec![route("a", &[1])],
        vec![node.clone(), route("a", &[])],
        vec![node.clone(), route("a", &[1, 1])],
        vec![node.clone(), route("a/#/b", &[1])],
        vec![node.clone(), route("a", &[1]), route("a", &[1])],
        vec![node.clone(), node],
        vec![Record::Seen { group: None, filter: "a".into() }],
        vec![Record::Epochs { shard: 64, last: 1 }],
        vec![Record::Learnt { filter: "a".into(), id: None, slots: vec![1] }],
    ];
    for records in cases {
        let read = read(forged(&records));
        assert!(matches!(read, Err(SnapshotError::Inconsistent { .. })), "{records:?} {read:?}");
    }
    let counted = vec![Record::LinkCounter { name: "eu".into(), counter: 4 }];
    assert!(matches!(read(forged(&counted)), Err(SnapshotError::DigestMismatch)));
}
