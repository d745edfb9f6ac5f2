//! Wills, session expiry and take-over.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use support::client::{Client, Connect};
use support::{TestBroker, block_on, eventually};

fn watcher(broker: &TestBroker) -> Client {
    let mut client = Client::v5(broker.address(), "watcher");
    client.subscribe("w/#", 0);
    client
}

// [MQTT-3.1.2-8] [MQTT-3.1.2-15]
#[test]
fn a_lost_connection_publishes_its_will() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    let mut client = Client::dial(broker.address(), false);
    client.connect(&Connect::new("c").will("w/c", b"gone", 1, true));
    drop(client);
    let publish = watcher.read_publish();
    assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("w/c", &b"gone"[..]));
    let mut late = Client::v5(broker.address(), "late");
    late.subscribe("w/#", 0);
    assert!(late.read_publish().retain, "a retained will is kept");
}

// [MQTT-3.1.2-10] [MQTT-3.14.4-3]
#[test]
fn a_client_that_says_goodbye_has_no_will() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::new("c").will("w/c", b"gone", 0, false));
    client.send(&[0xe0, 0]);
    assert_eq!(client.closed(), None);
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::new("c").will("w/c", b"wanted", 0, false));
    client.send(&[0xe0, 1, 4]);
    assert_eq!(watcher.read_publish().payload, b"wanted", "DISCONNECT with will message");
    watcher.assert_silent();
}

fn delayed(id: &str, seconds: u8, expiry_s: u32) -> Connect {
    let connect = Connect { clean: false, ..Connect::resume(id, expiry_s) };
    let mut connect = connect.will("w/d", b"late", 0, false);
    connect.will_properties = vec![0x18, 0, 0, 0, seconds];
    connect
}

// [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_is_not_published_when_the_client_comes_back_in_time() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    let mut client = Client::dial(broker.address(), true);
    client.connect(&delayed("c", 60, 600));
    drop(client);
    eventually("the end", || broker.handle.metrics().clients.get() == 1);
    let mut client = Client::dial(broker.address(), true);
    assert_eq!(client.connect(&Connect::resume("c", 600)).body[0], 1);
    client.send(&[0xe0, 0]);
    client.closed();
    watcher.assert_silent();
    assert_eq!(broker.handle.metrics().wills_published.get(), 0);
}

// [MQTT-3.1.2-8]
#[test]
fn a_delayed_will_comes_with_its_delay_or_the_sessions_end_whichever_is_first() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    let mut client = Client::dial(broker.address(), true);
    client.connect(&delayed("a", 1, 600));
    drop(client);
    assert_eq!(watcher.read_publish().payload, b"late");
    let mut client = Client::dial(broker.address(), true);
    client.connect(&delayed("b", 200, 1));
    drop(client);
    assert_eq!(watcher.read_publish().payload, b"late");
    eventually("the session's end", || {
        let clients = block_on(broker.handle.clients(Default::default()));
        clients.iter().all(|client| &*client.client_id != "b")
    });
}

// [MQTT-3.1.2-4]
#[test]
fn a_clean_start_ends_the_old_session_and_its_delayed_will_is_due() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    for _ in 0..3 {
        let mut client = Client::dial(broker.address(), true);
        client.connect(&delayed("c", 60, 600));
        drop(client);
        eventually("the end", || broker.handle.metrics().clients.get() == 1);
        let mut clean = Client::v5(broker.address(), "c");
        assert_eq!(watcher.read_publish().payload, b"late");
        clean.send(&[0xe0, 0]);
        clean.closed();
    }
}

// A6
#[test]
fn a_will_that_its_client_may_not_publish_refuses_the_connect() {
    let broker = TestBroker::start();
    for topic in ["secret/x", "$SYS/x", "$LINK/cluster/msg/x"] {
        let mut client = Client::dial(broker.address(), true);
        let connack = client.connect(&Connect::new("c").will(topic, b"", 0, false));
        assert_eq!(connack.body[..2], [0, 0x87], "{topic}");
    }
}

// A6
#[test]
fn a_session_is_taken_over_by_its_own_principal_only() {
    let broker = TestBroker::start();
    let mut owner = Client::dial(broker.address(), true);
    owner.connect(&Connect::resume("c", 600).user("alice"));
    let mut thief = Client::dial(broker.address(), true);
    let connack = thief.connect(&Connect::resume("c", 600).user("mallory"));
    assert_eq!(connack.body[..2], [0, 0x87]);
    owner.assert_silent();
}

#[test]
fn an_expired_session_is_gone() {
    let broker = TestBroker::start();
    let mut client = Client::dial(broker.address(), true);
    client.connect(&Connect::resume("c", 1));
    client.subscribe("t", 1);
    assert_eq!(broker.node.route_nodes("t"), [1]);
    drop(client);
    eventually("expiry", || broker.handle.metrics().sessions.get() == 0);
    eventually("the route's end", || broker.node.route_nodes("t").is_empty());
    let mut client = Client::dial(broker.address(), true);
    assert_eq!(client.connect(&Connect::resume("c", 1)).body[0], 0);
}

// [MQTT-3.1.2-6], 3.1.1 clean session
#[test]
fn a_3_1_1_session_stays_when_it_is_not_clean() {
    let broker = TestBroker::start();
    let stay = Connect { clean: false, ..Connect::new("c") };
    let mut client = Client::dial(broker.address(), false);
    assert_eq!(client.connect(&stay).body, [0, 0]);
    client.subscribe("t", 1);
    client.send(&[0xe0, 0]);
    client.closed();
    let mut client = Client::dial(broker.address(), false);
    assert_eq!(client.connect(&stay).body, [1, 0]);
    client.publish(2, "t", 1, b"x");
    let kinds = [client.read().kind(), client.read().kind()];
    assert!(kinds.contains(&3) && kinds.contains(&4));
}

#[test]
fn a_will_with_message_expiry_0_is_accepted() {
    let broker = TestBroker::start();
    let mut watcher = watcher(&broker);
    let mut client = Client::dial(broker.address(), true);
    let mut connect = Connect::new("c").will("w/c", b"at once", 1, true);
    connect.will_properties = vec![0x02, 0, 0, 0, 0];
    assert_eq!(client.connect(&connect).body[1], 0);
    drop(client);
    // It expired when it was published: nobody gets it, and it is not retained.
    eventually("the will", || broker.handle.metrics().wills_published.get() == 1);
    watcher.assert_silent();
    let mut late = Client::v5(broker.address(), "late");
    late.subscribe("w/#", 0);
    late.assert_silent();
}
