//! A client that changes its node while others publish: one session, nothing lost, in order.

use std::sync::atomic::{AtomicBool, Ordering};

use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::Cluster;

const HOPS: usize = 10;
/// Publishes that wait for their answer at a time.
const WINDOW: usize = 8;

/// Publishes numbers at QoS 1 until it is told to stop; yields how many were acknowledged.
fn publish_numbers(port: u16, stop: &AtomicBool) -> anyhow::Result<u32> {
    let mut publisher = Client::simple(port, "pub")?;
    let mut number = 0u32;
    while !stop.load(Ordering::Acquire) {
        let mut ids = Vec::new();
        for _ in 0..WINDOW {
            ids.push(publisher.send_publish("hop/t", &number.to_be_bytes(), 1, false, &[])?);
            number += 1;
        }
        for id in ids {
            let code = publisher.finish_publish(id, 1)?;
            anyhow::ensure!(code == 0, "one of the {WINDOW} before {number}: {code:#x}");
        }
    }
    Ok(number)
}

/// Reads at least `count` numbers, which must go on where the last ones ended. One that was sent
/// before and not acknowledged may come again.
fn read_numbers(client: &mut Client, next: &mut u32, count: u32) -> anyhow::Result<()> {
    let until = *next + count;
    while *next < until {
        let payload = client.payload()?;
        let number = u32::from_be_bytes(payload.as_slice().try_into()?);
        anyhow::ensure!(number <= *next, "{} is missing: {number} came", *next);
        *next = (*next).max(number + 1);
    }
    Ok(())
}

#[test]
fn a_client_that_hops_between_nodes_misses_nothing_of_a_third() -> anyhow::Result<()> {
    let cluster = Cluster::start("trio", 3)?;
    let ports = [cluster.nodes[0].mqtt_port(), cluster.nodes[1].mqtt_port()];
    let third = cluster.nodes[2].mqtt_port();
    let connect = Connect::new("hopper").persistent();
    let (mut hopper, _) = Client::connect(ports[0], &connect)?;
    hopper.subscribe("hop/#", 1)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_numbers(third, &stop));
        let hopping = || -> anyhow::Result<(Client, u32)> {
            let mut next = 0;
            for hop in 1..=HOPS {
                read_numbers(&mut hopper, &mut next, 20)?;
                // Every other time the old connection is open still, and is taken over.
                let old = hop.is_multiple_of(2).then_some(hopper);
                let (client, present) = Client::connect(ports[hop % 2], &connect)?;
                anyhow::ensure!(present, "hop {hop}: the session is gone");
                hopper = client;
                drop(old);
            }
            Ok((hopper, next))
        };
        let hopped = hopping();
        stop.store(true, Ordering::Release);
        let published = publisher.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))?;
        let (mut hopper, mut next) = hopped?;
        let published = published?;
        let left = published - next;
        read_numbers(&mut hopper, &mut next, left)?;
        hopper.expect_silence()
    })
}
