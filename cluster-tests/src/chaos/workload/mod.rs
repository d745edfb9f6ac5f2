//! What clients do while faults go on. Every operation is written into the history.

mod config;
mod peer;
mod publisher;
mod routes;
mod storm;
mod subscriber;

use std::time::Duration;

use super::arena::Arena;
use super::plan::Workload;
use crate::client::Version;
pub(crate) use peer::ping;
use publisher::Publisher;
pub(crate) use storm::storm;
use subscriber::Subscriber;

/// One client or process of a workload, ready to run on a thread of its own.
pub(crate) enum Worker {
    Publisher(Box<Publisher>),
    Subscriber(Box<Subscriber>),
    Routes(usize),
    Config(usize),
}

impl Worker {
    /// Whether it publishes; publishers begin when all others have subscribed.
    #[must_use]
    pub(crate) fn publishes(&self) -> bool {
        matches!(self, Self::Publisher(_))
    }

    /// Runs until the arena says so.
    pub(crate) fn run(self, arena: &Arena) {
        match self {
            Self::Publisher(publisher) => publisher.run(arena),
            Self::Subscriber(subscriber) => subscriber.run(arena),
            Self::Routes(number) => routes::run(arena, number),
            Self::Config(number) => config::run(arena, number),
        }
    }
}

/// The workers of the plan.
#[must_use]
pub(crate) fn workers(arena: &Arena) -> Vec<Worker> {
    let mut all = Vec::new();
    for workload in &arena.plan.workloads {
        match workload {
            Workload::Seq => seq(arena, &mut all),
            Workload::Retained => retained(arena, &mut all),
            Workload::Shared => shared(arena, &mut all),
            Workload::Link if arena.plan.remote_nodes > 0 => link(arena, &mut all),
            Workload::Link => {}
            Workload::Routes => all.extend((0..2).map(Worker::Routes)),
            Workload::Config => all.extend((0..2).map(Worker::Config)),
        }
    }
    all
}

fn seq(arena: &Arena, all: &mut Vec<Worker>) {
    let places = arena.grid.in_cluster("a");
    for (number, qos) in [0, 1, 1, 2, 2, 1].into_iter().enumerate() {
        let version = if number % 2 == 0 { Version::V5 } else { Version::V311 };
        let mut publisher =
            Publisher::new(&format!("seq-p{number}"), version, qos, &places, number);
        publisher.topic(&format!("seq/{number}"));
        // Half of them keep their session and repeat what was not acknowledged.
        publisher.persistent = number % 3 == 1;
        publisher.pace = Duration::from_millis(120);
        all.push(Worker::Publisher(Box::new(publisher)));
    }
    let filters: [(&str, u8); 4] = [("seq/+", 2), ("#", 2), ("seq/3", 2), ("seq/#", 2)];
    for (number, (filter, qos)) in filters.into_iter().enumerate() {
        let version = if number % 2 == 0 { Version::V311 } else { Version::V5 };
        let name = format!("seq-s{number}");
        let mut subscriber = Subscriber::new(&name, version, (filter, qos), &places, number);
        subscriber.moves = arena.plan.moves && number < 3;
        all.push(Worker::Subscriber(Box::new(subscriber)));
    }
}

fn retained(arena: &Arena, all: &mut Vec<Worker>) {
    let places = arena.grid.in_cluster("a");
    for number in 0..2 {
        let name = format!("retained-p{number}");
        let mut publisher = Publisher::new(&name, Version::V5, 1, &places, number);
        for topic in 0..4 {
            publisher.topic(&format!("r/{topic}"));
        }
        publisher.retain = true;
        publisher.pace = Duration::from_millis(300);
        all.push(Worker::Publisher(Box::new(publisher)));
    }
}

fn shared(arena: &Arena, all: &mut Vec<Worker>) {
    let places = arena.grid.in_cluster("a");
    for number in 0..3 {
        let filter = ("$share/g/shared/#", 1);
        let name = format!("shared-s{number}");
        let subscriber = Subscriber::new(&name, Version::V5, filter, &places, number);
        all.push(Worker::Subscriber(Box::new(subscriber)));
    }
    let mut publisher = Publisher::new("shared-p0", Version::V5, 1, &places, 1);
    publisher.topic("shared/1");
    publisher.pace = Duration::from_millis(150);
    all.push(Worker::Publisher(Box::new(publisher)));
}

fn link(arena: &Arena, all: &mut Vec<Worker>) {
    for cluster in ["a", "b"] {
        let places = arena.grid.in_cluster(cluster);
        for (number, qos) in [1, 2].into_iter().enumerate() {
            let name = format!("link-{cluster}-p{number}");
            let mut publisher = Publisher::new(&name, Version::V5, qos, &places, number);
            publisher.topic(&format!("x/{cluster}{number}"));
            publisher.pace = Duration::from_millis(200);
            all.push(Worker::Publisher(Box::new(publisher)));
        }
        let name = format!("link-{cluster}-s0");
        let subscriber = Subscriber::new(&name, Version::V5, ("x/#", 2), &places, 1);
        all.push(Worker::Subscriber(Box::new(subscriber)));
    }
}
