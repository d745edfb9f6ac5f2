//! Sessions that move between workers under load: nothing is missed, nothing repeated, the order
//! stays (CHAOS P1–P3 within one node).
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::TestBroker;
use support::client::{Client, Connect};

#[test]
fn a_client_that_reconnects_all_the_time_gets_each_message_once_and_in_order() {
    let broker = TestBroker::with(|config| {
        config.workers = 3;
        // Publishers do not wait for the reader here.
        config.limits.inbox_messages_max = 1_000_000;
        config.limits.inbox_bytes_max = 1 << 30;
    });
    let address = broker.address();
    let mut client = Client::dial(address, true);
    client.connect(&Connect::resume("nomad", 600));
    client.subscribe("t/#", 1);
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2u8)
        .map(|n| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut publisher = Client::v5(address, &format!("pub{n}"));
                let mut count = 0u32;
                while !stop.load(Ordering::SeqCst) {
                    publisher.publish(2, &format!("t/{n}"), 1, &count.to_be_bytes());
                    assert_eq!(publisher.read_kind(4).code(), 0, "message {count} of {n}");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut next = [0u32; 2];
    let take = |client: &mut Client, next: &mut [u32; 2]| {
        let publish = client.read_publish();
        client.ack(4, publish.id);
        let from = usize::from(publish.topic.as_bytes()[2] - b'0');
        let count = u32::from_be_bytes(publish.payload.try_into().unwrap());
        if count < next[from] {
            assert!(publish.dup, "message {count} of {from} came twice");
        } else {
            assert_eq!(count, next[from], "of {from}");
            next[from] += 1;
        }
    };
    for round in 0..40 {
        for _ in 0..20 {
            take(&mut client, &mut next);
        }
        if round % 2 == 0 {
            drop(client);
        }
        client = Client::dial(address, true);
        let connack = client.connect(&Connect::resume("nomad", 600));
        assert_eq!(connack.body[..2], [1, 0], "round {round}");
    }
    stop.store(true, Ordering::SeqCst);
    let sent: Vec<u32> = publishers.into_iter().map(|thread| thread.join().unwrap()).collect();
    while next[..] != sent[..] {
        take(&mut client, &mut next);
    }
    assert_eq!(broker.handle.metrics().closed_panic.get(), 0);
}
