use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn item(byte: u8) -> Item {
    Item {
        sequence: 0,
        lane: 1,
        plain: true,
        groups: vec![],
        acknowledged: false,
        message: Bytes::from(vec![byte]),
    }
}

fn append(sender: &mut Sender<u8>, now: Instant, byte: u8) -> Vec<Command<u8>> {
    sender.handle(now, Event::Append { item: item(byte), token: Some(byte) })
}

fn sent(commands: &[Command<u8>]) -> Vec<u8> {
    let frames = commands.iter().filter_map(|c| match c {
        Command::Send(items) => Some(items),
        _ => None,
    });
    frames.flatten().map(|i| i.message[0]).collect()
}

#[test]
fn after_a_broken_wire_everything_unanswered_is_sent_again_in_order() {
    let now = Instant::now();
    let mut sender = Sender::new(Limits::default(), 1);
    sender.handle(now, Event::Up);
    for byte in 1..=3 {
        append(&mut sender, now, byte);
    }
    assert_eq!(sent(&sender.flush(now)), [1, 2, 3]);
    assert_eq!(
        sender.handle(now, Event::Answers(vec![(2, Outcome::Held)])),
        [Command::Done(2, Outcome::Held)]
    );
    sender.handle(now, Event::Down);
    append(&mut sender, now, 4);
    assert_eq!(sent(&sender.handle(now, Event::Up)), [1, 3, 4]);
}

#[test]
fn a_silent_peer_s_part_goes_to_the_spool_and_then_counts_as_held() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut sender = Sender::new(limits, 1);
    sender.handle(now, Event::Up);
    append(&mut sender, now, 1);
    sender.flush(now);
    assert_eq!(sender.handle(now + limits.patience / 2, Event::Tick), []);
    let late = now + limits.patience;
    let spool = sender.handle(late, Event::Tick);
    assert!(matches!(&spool[..], [Command::Spool(items)] if items.len() == 1));
    assert_eq!(sender.handle(late, Event::Tick), [], "asked once only");
    assert_eq!(sender.handle(late, Event::Spooled(1)), [Command::Done(1, Outcome::Held)]);
    assert_eq!(sender.stats().spooled, 1);
    assert_eq!(sender.handle(late, Event::Answers(vec![(1, Outcome::Held)])), [Command::Forget(1)]);
    assert_eq!(sender.stats(), Stats::default());
}

#[test]
fn what_comes_for_a_peer_that_is_away_goes_to_the_spool_without_waiting() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut sender = Sender::new(limits, 1);
    sender.handle(now, Event::Up);
    sender.handle(now, Event::Down);
    append(&mut sender, now, 1);
    assert_eq!(sender.flush(now), [], "it may come back at once");
    append(&mut sender, now, 2);
    let commands = sender.flush(now + limits.patience);
    assert!(matches!(&commands[..], [Command::Spool(items)] if items.len() == 2), "{commands:?}");
    sender.handle(now, Event::Spooled(2));
    // Restored or spooled: from now on the spool is in front.
    append(&mut sender, now, 3);
    let commands = sender.flush(now);
    assert!(matches!(&commands[..], [Command::Spool(items)] if items[0].sequence == 3));
}

#[test]
fn a_full_queue_refuses_with_quota_exceeded() {
    let now = Instant::now();
    let mut sender = Sender::new(Limits { items_max: 1, ..Limits::default() }, 1);
    assert_eq!(append(&mut sender, now, 1), []);
    assert_eq!(append(&mut sender, now, 2), [Command::Done(2, Outcome::Refused(0x97))]);
}

#[test]
fn qos_0_waits_for_a_wire_that_opens_and_is_dropped_when_the_peer_stays_away() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut sender: Sender<u8> = Sender::new(limits, 1);
    sender.handle(now, Event::Append { item: item(1), token: None });
    assert_eq!(sent(&sender.handle(now, Event::Up)), [1]);
    sender.handle(now, Event::Down);
    sender.handle(now + limits.patience, Event::Tick);
    assert_eq!(sender.stats().dropped_away, 1);
    assert_eq!(sender.stats().waiting, 0);
}

#[test]
fn a_spool_that_cannot_be_written_refuses_what_it_was_to_hold() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut sender = Sender::new(limits, 1);
    append(&mut sender, now, 1);
    sender.handle(now + limits.patience, Event::Tick);
    assert_eq!(
        sender.handle(now + limits.patience, Event::SpoolFailed(1)),
        [Command::Done(1, Outcome::Refused(0x97))]
    );
}

#[test]
fn what_the_spool_held_at_a_start_is_sent_first() {
    let now = Instant::now();
    let mut sender: Sender<u8> = Sender::new(Limits::default(), 1);
    sender.restore(now, vec![Item { sequence: 7, acknowledged: true, ..item(7) }]);
    append(&mut sender, now, 8);
    assert_eq!(sent(&sender.handle(now, Event::Up)), [7, 8]);
}

#[test]
fn after_a_crash_no_number_comes_again_with_another_message() {
    let now = Instant::now();
    let mut sender = Sender::new(Limits::default(), first_sequence(1));
    let mut receiver = Receiver::default();
    sender.handle(now, Event::Up);
    append(&mut sender, now, 1);
    append(&mut sender, now, 2);
    let mut wire = |commands: Vec<Command<u8>>| {
        let frames = commands.into_iter().filter_map(|command| match command {
            Command::Send(items) => Some(receiver.items(9, items).deliver),
            _ => None,
        });
        frames.flatten().map(|item| item.message[0]).collect::<Vec<_>>()
    };
    assert_eq!(wire(sender.flush(now)), [1, 2]);
    // The spool has the first one only when the node dies.
    let spooled = Item { sequence: first_sequence(1), ..item(1) };
    let mut sender = Sender::new(Limits::default(), first_sequence(2));
    sender.restore(now, vec![spooled]);
    append(&mut sender, now, 3);
    assert_eq!(wire(sender.handle(now, Event::Up)), [3]);
}

#[test]
fn a_repeat_is_not_delivered_again_but_answered() {
    let mut receiver = Receiver::default();
    let first = receiver.items(9, vec![Item { sequence: 5, ..item(5) }]);
    assert_eq!(first.deliver.len(), 1);
    let again = receiver.items(9, vec![Item { sequence: 5, ..item(5) }]);
    assert_eq!(again, Received::default(), "its answer is still to come");
    assert!(receiver.done(9, 5, Outcome::NoSubscribers));
    let third = receiver.items(9, vec![Item { sequence: 5, ..item(5) }]);
    assert_eq!(third.answers, [(5, Outcome::NoSubscribers)]);
}

#[test]
fn a_frame_of_another_version_names_it() {
    let mut bytes = Frame::Items { stream: 1, items: vec![item(1)] }.encode();
    assert_eq!(Frame::decode(&bytes).unwrap(), Frame::Items { stream: 1, items: vec![item(1)] });
    bytes[0] = 9;
    assert!(matches!(Frame::decode(&bytes), Err(BadFrame::Version(9))));
}

/// The stored and sent format: a change here needs a new version.
#[test]
fn the_bytes_of_a_frame_are_golden() {
    let frame = Frame::Answers { stream: 2, outcomes: vec![(3, Outcome::Refused(0x97))] };
    assert_eq!(frame.encode(), [1, 1, 2, 1, 3, 2, 0x97]);
}

/// A wire that breaks at any moment, loses what is on it, and a receiver that answers late.
#[derive(Debug, Clone)]
enum Step {
    Append,
    Break,
    Deliver,
    Answer,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        1 => Just(Step::Break),
        3 => Just(Step::Deliver),
        3 => Just(Step::Answer),
        1 => Just(Step::Wait),
    ]
}

struct World {
    now: Instant,
    sender: Sender<u32>,
    receiver: Receiver,
    to_peer: Vec<Vec<Item>>,
    to_sender: Vec<(u64, Outcome)>,
    undone: Vec<u64>,
    delivered: Vec<u32>,
    answered: Vec<u32>,
    appended: u32,
}

impl World {
    fn perform(&mut self, commands: Vec<Command<u32>>) {
        for command in commands {
            match command {
                Command::Send(items) => self.to_peer.push(items),
                Command::Spool(items) => {
                    let upto = items.last().map_or(0, |i| i.sequence);
                    let more = self.sender.handle(self.now, Event::Spooled(upto));
                    self.perform(more);
                }
                Command::Forget(_) => {}
                Command::Done(token, _) => self.answered.push(token),
            }
        }
    }

    fn event(&mut self, event: Event<u32>) {
        let commands = self.sender.handle(self.now, event);
        self.perform(commands);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append => {
                let message = Bytes::copy_from_slice(&self.appended.to_be_bytes());
                let item = Item { message, ..item(0) };
                self.event(Event::Append { item, token: Some(self.appended) });
                self.appended += 1;
                let commands = self.sender.flush(self.now);
                self.perform(commands);
            }
            Step::Break => {
                self.to_peer.clear();
                self.to_sender.clear();
                self.event(Event::Down);
                self.event(Event::Up);
            }
            Step::Deliver => {
                if self.to_peer.is_empty() {
                    return;
                }
                let items = self.to_peer.remove(0);
                let received = self.receiver.items(1, items);
                for item in received.deliver {
                    self.undone.push(item.sequence);
                    self.delivered.push(u32::from_be_bytes(item.message[..].try_into().unwrap()));
                }
                self.to_sender.extend(received.answers);
            }
            Step::Answer => {
                for sequence in std::mem::take(&mut self.undone) {
                    self.receiver.done(1, sequence, Outcome::Held);
                    self.to_sender.push((sequence, Outcome::Held));
                }
                let answers = std::mem::take(&mut self.to_sender);
                self.event(Event::Answers(answers));
            }
            Step::Wait => {
                self.now += Duration::from_secs(1);
                self.event(Event::Tick);
            }
        }
    }
}

proptest! {
    /// Nothing is lost, nothing doubled, order kept, every publisher answered exactly once.
    #[test]
    fn each_item_is_delivered_once_in_order_and_answered_once(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World {
            now: Instant::now(),
            sender: Sender::new(Limits::default(), 1),
            receiver: Receiver::default(),
            to_peer: vec![],
            to_sender: vec![],
            undone: vec![],
            delivered: vec![],
            answered: vec![],
            appended: 0,
        };
        world.event(Event::Up);
        for step in &steps {
            world.step(step);
        }
        world.step(&Step::Break);
        for _ in 0..200 {
            world.step(&Step::Deliver);
            world.step(&Step::Answer);
        }
        prop_assert_eq!(&world.delivered, &(0..world.appended).collect::<Vec<_>>());
        world.answered.sort_unstable();
        prop_assert_eq!(&world.answered, &(0..world.appended).collect::<Vec<_>>());
        prop_assert_eq!(world.sender.stats().waiting, 0);
    }

    #[test]
    fn reading_garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Frame::decode(&bytes);
    }
}
