//! What one message costs in a session: deliver, pump, acknowledge.
//!
//! `cargo run --release -p spanmq-session --example deliver_pump_ack`
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use spanmq_session::{
    ConnectTerms, JournalOp, Limits, MatchedOptions, Message, MessageId, Origin, Outgoing,
    Properties, ProtocolVersion, Publisher, QoS, Session, SessionExpiry, SessionMeta,
};

const MESSAGES: u32 = 2_000_000;
const BATCH: u32 = 20;

fn main() {
    for (name, qos, expiry) in [
        ("QoS 0", QoS::AtMostOnce, SessionExpiry::AtClose),
        ("QoS 1", QoS::AtLeastOnce, SessionExpiry::AtClose),
        ("QoS 2", QoS::ExactlyOnce, SessionExpiry::AtClose),
        ("QoS 1, journaled", QoS::AtLeastOnce, SessionExpiry::Never),
    ] {
        let time = run(qos, expiry);
        println!("{name}: {} ns per message", time.as_nanos() / u128::from(MESSAGES));
    }
}

fn run(qos: QoS, expiry: SessionExpiry) -> Duration {
    let (mut session, mut ops, mut out) = (session(), Vec::new(), Vec::new());
    session.connect(&ConnectTerms::plain(ProtocolVersion::V5, expiry), &mut ops);
    let message = message(qos);
    let options = MatchedOptions { qos, ..MatchedOptions::default() };
    let start = Instant::now();
    for _ in 0..MESSAGES / BATCH {
        for _ in 0..BATCH {
            session.deliver(start, &message, &options, &mut ops);
        }
        session.pump(start, usize::MAX, &mut out, &mut ops);
        out.drain(..).for_each(|packet| acknowledge(&mut session, &packet, &mut ops));
        ops.clear();
    }
    start.elapsed()
}

fn acknowledge(session: &mut Session, packet: &Outgoing, ops: &mut Vec<JournalOp>) {
    let Outgoing::Publish(publish) = packet else { return };
    let Some(packet_id) = publish.packet_id else { return };
    if publish.qos == QoS::AtLeastOnce {
        session.on_puback(packet_id, ops);
    } else {
        session.on_pubrec(packet_id, 0, ops);
        session.on_pubcomp(packet_id, ops);
    }
}

fn session() -> Session {
    let meta = SessionMeta {
        epoch: 1,
        owner: None,
        expiry: SessionExpiry::AtClose,
        offline_since_ms: None,
    };
    Session::new("client".into(), meta, Arc::new(Limits::default()))
}

fn message(qos: QoS) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId::default(),
        topic: "bench/topic".parse().expect("a valid topic"),
        payload: vec![0; 64].into(),
        qos,
        retain: false,
        properties: Properties::default(),
        from: "publisher".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: 0,
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    })
}
