use super::record::MESSAGE_HEADER;
use super::*;
use spanmq_link_protocol::config::ByteSize;

fn append(lane: u64, text: &str) -> Append {
    Append { lane, qos: Qos::AtLeastOnce, payload: Bytes::copy_from_slice(text.as_bytes()) }
}

fn texts(items: &[Item]) -> Vec<String> {
    items.iter().map(|i| String::from_utf8_lossy(&i.payload).into_owned()).collect()
}

fn fetch(buffer: &mut LinkBuffer, queue: usize, count: usize) -> Vec<Item> {
    buffer.fetch(buffer.generation, queue, count, Instant::now())
}

fn open(dir: &Path, config: BufferConfig) -> LinkBuffer {
    LinkBuffer::open(dir, config, 2, false).unwrap()
}

#[test]
fn a_lane_keeps_its_order_on_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut buffer = open(&dir.path().join("b"), BufferConfig::default());
    buffer.append(vec![append(1, "a"), append(2, "b"), append(1, "c")]);
    assert_eq!(texts(&fetch(&mut buffer, 1, 10)), ["a", "c"]);
    assert_eq!(texts(&fetch(&mut buffer, 0, 10)), ["b"]);
}

#[test]
fn what_was_not_settled_is_there_after_a_restart_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("b");
    let mut buffer = open(&dir, BufferConfig::default());
    let zero = Append { qos: Qos::AtMostOnce, ..append(2, "z") };
    buffer.append(vec![append(2, "a"), zero, append(2, "b")]);
    let first = fetch(&mut buffer, 0, 1);
    buffer.settle(first[0].seq, false);
    buffer.append(vec![append(2, "c")]);
    drop(buffer);
    let mut buffer = open(&dir, BufferConfig::default());
    let items = fetch(&mut buffer, 0, 10);
    // The settled one comes again until a mark says so; nothing is missing, order is kept.
    assert_eq!(texts(&items), ["a", "b", "c"]);
    items.iter().for_each(|item| buffer.settle(item.seq, false));
    drop(buffer);
    let mut buffer = open(&dir, BufferConfig::default());
    assert_eq!(texts(&fetch(&mut buffer, 0, 10)), [""; 0]);
}

#[test]
fn each_overflow_policy_does_what_its_name_says() {
    for (overflow, expected, left) in [
        (Overflow::DropOldest, Appended::Held, vec!["bb"]),
        (Overflow::DropNewest, Appended::Dropped, vec!["aa"]),
        (Overflow::RejectQos1, Appended::Rejected, vec!["aa"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let disk_max_bytes = ByteSize::from_bytes(MESSAGE_HEADER as u64 + 3);
        let config = BufferConfig { overflow, disk_max_bytes, ..BufferConfig::default() };
        let mut buffer = open(&dir.path().join("b"), config);
        assert_eq!(buffer.append(vec![append(0, "aa")]).0, [Appended::Held]);
        assert_eq!(buffer.append(vec![append(0, "bb")]).0, [expected], "{overflow:?}");
        assert_eq!(texts(&fetch(&mut buffer, 0, 10)), left);
    }
}

#[test]
fn dealing_the_lanes_out_again_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut buffer = open(&dir.path().join("b"), BufferConfig::default());
    buffer.append((0..9).map(|lane| append(lane, &lane.to_string())).collect());
    fetch(&mut buffer, 0, 2);
    buffer.deal(3);
    let mut all: Vec<String> = Vec::new();
    for queue in 0..3 {
        all.extend(texts(&fetch(&mut buffer, queue, 10)));
    }
    all.sort();
    assert_eq!(all, (0..9).map(|l| l.to_string()).collect::<Vec<_>>());
}

#[test]
fn connections_of_before_a_deal_get_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut buffer = open(&dir.path().join("b"), BufferConfig::default());
    buffer.append(vec![append(0, "a")]);
    let old = buffer.generation;
    let new = buffer.deal(1);
    assert!(buffer.fetch(old, 0, 10, Instant::now()).is_empty());
    assert_eq!(texts(&buffer.fetch(new, 0, 10, Instant::now())), ["a"]);
}

#[test]
fn a_flood_of_qos_0_pushes_out_no_acknowledged_message() {
    let dir = tempfile::tempdir().unwrap();
    let config = BufferConfig {
        memory_max_bytes: ByteSize::from_bytes(2 * (MESSAGE_HEADER as u64 + 1)),
        ..BufferConfig::default()
    };
    let mut buffer = open(&dir.path().join("b"), config);
    buffer.append(vec![append(0, "a"), append(0, "b")]);
    for _ in 0..10 {
        buffer.append(vec![Append { qos: Qos::AtMostOnce, ..append(0, "z") }]);
    }
    assert_eq!(texts(&fetch(&mut buffer, 0, 10)), ["a", "b", "z"]);
    assert_eq!(buffer.stats().dropped_queue_full, 9);
}

#[test]
fn what_was_dropped_on_its_way_and_arrived_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let disk_max_bytes = ByteSize::from_bytes(MESSAGE_HEADER as u64 + 1);
    let config = BufferConfig { disk_max_bytes, ..BufferConfig::default() };
    let mut buffer = open(&dir.path().join("b"), config);
    buffer.append(vec![append(0, "a")]);
    let first = fetch(&mut buffer, 0, 1);
    buffer.append(vec![append(0, "b")]);
    assert_eq!(buffer.stats().dropped_queue_full, 1);
    buffer.settle(first[0].seq, false);
    assert_eq!(buffer.stats().dropped_queue_full, 0, "it was sent after all");
    buffer.append(vec![append(0, "c")]);
    assert_eq!(buffer.stats().dropped_queue_full, 1);
}

#[test]
fn a_buffer_that_moves_to_disk_keeps_messages_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("b");
    let memory = BufferConfig { mode: BufferMode::Memory, ..BufferConfig::default() };
    let mut buffer = open(&dir, memory);
    buffer.append(vec![append(0, "a")]);
    buffer.configure(BufferConfig::default());
    buffer.append(vec![append(0, "b")]);
    assert_eq!(texts(&fetch(&mut buffer, 0, 10)), ["a", "b"]);
    drop(buffer);
    assert_eq!(texts(&fetch(&mut open(&dir, BufferConfig::default()), 0, 10)), ["b"]);
}
