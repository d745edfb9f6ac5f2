//! The queue from one node to another: wires that break, a spool that fails, nodes that die.
//!
//! Claimed: what was answered as held is delivered in the end, unless it was delivered before; each
//! item once, unless its receiver died in between or its sender lost its memory; first deliveries
//! in order per lane; every item of a sender that lives is answered once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use spanmq_forward::{Command, Event, Item, Limits, Outcome, Receiver, Sender, first_sequence};

use super::Trace;

const LANES: u64 = 3;
const STEPS: usize = 400;
/// Events after the last fault that empty a queue of a schedule's size.
const DRAIN_STEPS: usize = 4_000;

/// What may happen next; each with a delay.
#[derive(Debug, Clone)]
enum Due {
    Frame { wire: u64, stream: u64, items: Vec<Item> },
    Answers { wire: u64, stream: u64, outcomes: Vec<(u64, Outcome)> },
    Spooled { run: u64, upto: u64, items: Vec<Item>, fails: bool },
    Stored { run: u64, stream: u64, item: Item },
}

struct World {
    random: StdRng,
    base: Instant,
    now_ms: u64,
    due: BTreeMap<(u64, u64), Due>,
    order: u64,
    sender: Sender<u64>,
    sender_run: u64,
    stream: u64,
    spool: Vec<Item>,
    receiver: Receiver,
    receiver_run: u64,
    /// Number of the present wire; none while it is down.
    wire: Option<u64>,
    wires: u64,
    calm: bool,
    next_message: u64,
    /// Told to its publisher as held.
    held: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    /// Messages in the order in which the store got them, with the run of sender and receiver.
    stored: Vec<(u64, u64)>,
    trace: Trace,
}

/// Runs one schedule.
///
/// # Errors
/// Which promise broke.
pub fn schedule(seed: u64) -> Result<Trace, String> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.calm = true;
    for _ in 0..DRAIN_STEPS {
        if world.wire.is_none() {
            world.connect()?;
        }
        if world.due.is_empty() && world.sender.stats().waiting == 0 {
            break;
        }
        world.advance()?;
        world.tick()?;
    }
    world.judge()?;
    Ok(world.trace)
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            base: Instant::now(),
            now_ms: 0,
            due: BTreeMap::new(),
            order: 0,
            sender: Sender::new(Limits::default(), first_sequence(0)),
            sender_run: 0,
            stream: 1,
            spool: Vec::new(),
            receiver: Receiver::default(),
            receiver_run: 0,
            wire: None,
            wires: 0,
            calm: false,
            next_message: 0,
            held: BTreeSet::new(),
            answered: BTreeSet::new(),
            stored: Vec::new(),
            trace: Trace::default(),
        }
    }

    fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    /// A wire is FIFO: nothing on it overtakes.
    fn on_wire(&mut self, due: Due) {
        let last = self.due.iter().rev().find(|(_, d)| same_direction(d, &due)).map(|(at, _)| at.0);
        let at = (self.now_ms + self.random.random_range(1..=80)).max(last.unwrap_or(0));
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn step(&mut self) -> Result<(), String> {
        match self.random.random_range(0..100) {
            0..45 => self.publish(),
            45..80 => self.advance(),
            80..88 => self.tick(),
            88..92 => {
                self.trace.event(&[1]);
                self.wire = None;
                self.event(Event::Down)
            }
            92..97 if self.wire.is_none() => self.connect(),
            97 => self.kill_receiver(),
            98 => self.kill_sender(),
            _ => Ok(()),
        }
    }

    fn publish(&mut self) -> Result<(), String> {
        let lane = self.random.random_range(0..LANES);
        let number = self.next_message;
        self.next_message += 1;
        self.trace.event(&[2, lane, number]);
        let message = Bytes::copy_from_slice(&(number * LANES + lane).to_be_bytes());
        let item = Item {
            sequence: 0,
            lane,
            plain: true,
            groups: Vec::new(),
            acknowledged: true,
            message,
        };
        self.event(Event::Append { item, token: Some(number) })?;
        let commands = self.sender.flush(self.now());
        self.perform(commands)
    }

    fn tick(&mut self) -> Result<(), String> {
        self.now_ms += self.random.random_range(1..300);
        self.trace.event(&[3, self.now_ms]);
        self.event(Event::Tick)
    }

    fn connect(&mut self) -> Result<(), String> {
        self.wires += 1;
        self.wire = Some(self.wires);
        self.trace.event(&[4, self.wires]);
        self.event(Event::Up)
    }

    fn kill_receiver(&mut self) -> Result<(), String> {
        self.receiver_run += 1;
        self.trace.event(&[5, self.receiver_run]);
        self.receiver = Receiver::default();
        self.wire = None;
        self.event(Event::Down)
    }

    /// What the spool holds on disk is all that is left.
    fn kill_sender(&mut self) -> Result<(), String> {
        self.sender_run += 1;
        self.trace.event(&[6, self.sender_run]);
        self.wire = None;
        let held = self.spool.clone();
        if held.is_empty() {
            self.stream += 1;
        }
        self.sender = Sender::new(Limits::default(), first_sequence(self.sender_run));
        self.sender.restore(self.now(), held);
        // Nobody waits any more.
        self.answered.extend(0..self.next_message);
        Ok(())
    }

    /// The next thing that is due.
    fn advance(&mut self) -> Result<(), String> {
        let Some(((at, order), due)) = self.due.pop_first() else { return Ok(()) };
        self.now_ms = self.now_ms.max(at);
        self.trace.event(&[7, at, order]);
        match due {
            Due::Frame { wire, stream, items } if self.wire == Some(wire) => {
                let received = self.receiver.items(stream, items);
                for item in received.deliver {
                    let run = self.receiver_run;
                    self.stored_later(Due::Stored { run, stream, item });
                }
                if !received.answers.is_empty() {
                    self.on_wire(Due::Answers { wire, stream, outcomes: received.answers });
                }
                Ok(())
            }
            Due::Answers { wire, stream, outcomes } if self.wire == Some(wire) => {
                if stream == self.stream { self.event(Event::Answers(outcomes)) } else { Ok(()) }
            }
            Due::Stored { run, stream, item } if run == self.receiver_run => {
                self.stored.push((number(&item), self.sender_run + self.receiver_run));
                let answers = self.receiver.done(stream, item.sequence, Outcome::Held);
                if let Some(wire) = self.wire.filter(|_| answers) {
                    let outcomes = vec![(item.sequence, Outcome::Held)];
                    self.on_wire(Due::Answers { wire, stream, outcomes });
                }
                Ok(())
            }
            Due::Spooled { run, upto, items, fails } if run == self.sender_run => {
                if fails {
                    return self.event(Event::SpoolFailed(upto));
                }
                self.spool.extend(items);
                self.event(Event::Spooled(upto))
            }
            _ => Ok(()),
        }
    }

    /// A store is FIFO, too.
    fn stored_later(&mut self, due: Due) {
        let last = self.due.iter().rev().find(|(_, d)| matches!(d, Due::Stored { .. }));
        let at = last.map_or(0, |(at, _)| at.0).max(self.now_ms + self.random.random_range(1..=40));
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn event(&mut self, event: Event<u64>) -> Result<(), String> {
        let commands = self.sender.handle(self.now(), event);
        self.perform(commands)
    }

    fn perform(&mut self, commands: Vec<Command<u64>>) -> Result<(), String> {
        for command in commands {
            match command {
                Command::Send(items) => {
                    if let Some(wire) = self.wire {
                        self.on_wire(Due::Frame { wire, stream: self.stream, items });
                    }
                }
                Command::Spool(items) => {
                    let upto = items.last().map_or(0, |item| item.sequence);
                    let fails = !self.calm && self.random.random_ratio(1, 12);
                    let run = self.sender_run;
                    self.spooled_later(Due::Spooled { run, upto, items, fails });
                }
                Command::Forget(upto) => self.spool.retain(|item| item.sequence > upto),
                Command::Done(token, outcome) => {
                    if !self.answered.insert(token) {
                        return Err(format!("message {token} was answered twice"));
                    }
                    if outcome == Outcome::Held {
                        self.held.insert(token);
                    }
                }
            }
        }
        let stats = self.sender.stats();
        let small = |n: usize| n.min(7) as u64;
        self.trace.state(
            small(stats.waiting)
                | small(stats.spooled) << 3
                | small(self.spool.len()) << 6
                | u64::from(self.wire.is_some()) << 9
                | small(self.due.len()) << 10,
        );
        Ok(())
    }

    fn spooled_later(&mut self, due: Due) {
        let last = self.due.iter().rev().find(|(_, d)| matches!(d, Due::Spooled { .. }));
        let at = last.map_or(0, |(at, _)| at.0).max(self.now_ms + self.random.random_range(1..=20));
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn judge(&self) -> Result<(), String> {
        let mut first: BTreeMap<u64, u64> = BTreeMap::new();
        let mut last_of_lane: BTreeMap<u64, u64> = BTreeMap::new();
        for (message, runs) in &self.stored {
            let (number, lane) = (message / LANES, message % LANES);
            if let Some(before) = first.get(&number) {
                if before == runs {
                    return Err(format!(
                        "message {number} was delivered twice, though nobody died"
                    ));
                }
                continue;
            }
            first.insert(number, *runs);
            let before = last_of_lane.insert(lane, number).unwrap_or(0);
            if before > number {
                return Err(format!("lane {lane}: {number} came after {before}"));
            }
        }
        if let Some(lost) = self.held.iter().find(|message| !first.contains_key(message)) {
            return Err(format!("message {lost} was answered as held and never delivered"));
        }
        match self.sender.stats().waiting {
            0 => Ok(()),
            waiting => Err(format!("{waiting} items wait for ever")),
        }
    }
}

fn number(item: &Item) -> u64 {
    item.message.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn same_direction(a: &Due, b: &Due) -> bool {
    matches!(
        (a, b),
        (Due::Frame { .. }, Due::Frame { .. }) | (Due::Answers { .. }, Due::Answers { .. })
    )
}
