//! N17: many clients at once, each client id on two nodes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::peer::ping;
use crate::chaos::arena::Arena;

/// Threads that connect at the same time.
const AT_ONCE: u32 = 20;

/// Connects `clients` times, two nodes for each client id; gives how many got in.
#[must_use]
pub(crate) fn storm(arena: &Arena, clients: u32) -> u32 {
    let places = arena.grid.in_cluster("a");
    let (next, well) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(clients) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= clients || arena.done() {
                        return;
                    }
                    let place = places[number as usize % places.len()];
                    if ping(arena.grid.mqtt_port(place), &format!("storm-{}", number / 2)) {
                        well.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    well.into_inner()
}
