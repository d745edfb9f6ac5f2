use spanmq_session::{
    ConnectTerms, MatchedOptions, Origin, Properties, ProtocolVersion, Publisher, QoS,
    SessionExpiry, SessionMeta,
};

use super::*;

fn message(id: u8) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId([id; 16]),
        topic: "t".parse().unwrap(),
        payload: bytes::Bytes::from(vec![id; 100]),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
        from: "p".into(),
        publisher: Publisher { username: None, peer: None, version: ProtocolVersion::V5 },
        timestamp_ms: wall_ms(),
        received: Instant::now(),
        origin: Origin::Local,
        repeated: false,
    })
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits::default())
}

fn open(dir: &Path) -> (Journal, Vec<Session>) {
    Journal::open(dir, false, &limits()).unwrap()
}

/// A session that writes its ops as the broker does.
struct Client {
    session: Session,
    records: Vec<Record>,
}

impl Client {
    fn new(id: &str) -> Self {
        let expiry = SessionExpiry::After(600);
        let meta = SessionMeta { epoch: 1, owner: None, expiry, offline_since_ms: None };
        let session = Session::new(id.into(), meta, limits());
        let ops = session.snapshot();
        let records = vec![Record::Replace { client_id: id.into(), ops }];
        Self { session, records }
    }

    fn act(&mut self, act: impl FnOnce(&mut Session, &mut Vec<JournalOp>)) {
        let mut ops = Vec::new();
        act(&mut self.session, &mut ops);
        let client_id = self.session.client_id().clone();
        let records = ops.into_iter().map(|op| Record::Op { client_id: client_id.clone(), op });
        self.records.extend(records);
    }

    fn deliver(&mut self, id: u8) {
        let message = message(id);
        self.records.push(Record::Body(message.clone()));
        let options = MatchedOptions { qos: QoS::AtLeastOnce, ..Default::default() };
        self.act(|session, ops| {
            session.deliver(Instant::now(), &message, &options, ops);
        });
    }

    fn write(&mut self, journal: &mut Journal) {
        let records = std::mem::take(&mut self.records);
        assert!(journal.write(&[StoreBatch { worker: 0, batch: 1, records }]));
    }

    fn take_and_ack(&mut self, journal: &mut Journal) {
        let terms = ConnectTerms::plain(ProtocolVersion::V5, SessionExpiry::After(600));
        self.act(|session, ops| session.connect(&terms, ops));
        let mut packets = Vec::new();
        self.act(|session, ops| {
            session.pump(Instant::now(), usize::MAX, &mut packets, ops);
        });
        for packet in packets {
            if let spanmq_session::Outgoing::Publish(publish) = packet {
                self.act(|session, ops| {
                    session.on_puback(publish.packet_id.unwrap(), ops);
                });
            }
        }
        self.write(journal);
    }
}

#[test]
fn what_waits_is_there_after_a_restart_and_can_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut client = Client::new("c");
    client.deliver(1);
    client.deliver(2);
    client.write(&mut journal);
    drop(journal);
    let (journal, mut sessions) = open(dir.path());
    assert_eq!(sessions.len(), 1);
    let session = &mut sessions[0];
    let mut ids = Vec::new();
    session.refill(&mut ids);
    assert_eq!(ids, [MessageId([1; 16]), MessageId([2; 16])]);
    let loaded = journal.load(&ids);
    assert!(loaded.iter().all(|(_, message)| message.is_some()));
}

#[test]
fn a_session_that_ended_is_not_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut client = Client::new("c");
    client.deliver(1);
    client.records.push(Record::Forget { client_id: "c".into() });
    client.write(&mut journal);
    assert_eq!(journal.index.body_bytes(), 0);
    drop(journal);
    assert!(open(dir.path()).1.is_empty());
}

#[test]
fn a_message_for_two_sessions_is_kept_until_both_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let (mut one, mut two) = (Client::new("one"), Client::new("two"));
    one.deliver(7);
    one.write(&mut journal);
    two.deliver(7);
    two.write(&mut journal);
    one.take_and_ack(&mut journal);
    assert!(journal.index.sequence_of(MessageId([7; 16])).is_some());
    two.take_and_ack(&mut journal);
    assert!(journal.index.sequence_of(MessageId([7; 16])).is_none());
}

#[test]
fn a_long_life_does_not_make_a_long_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut client = Client::new("c");
    for round in 0..2_000u32 {
        client.deliver((round % 200) as u8);
        client.take_and_ack(&mut journal);
        journal.clean();
    }
    client.deliver(255);
    client.write(&mut journal);
    assert!(journal.index.records_of("c").len() < 600);
    drop(journal);
    let (journal, sessions) = open(dir.path());
    assert_eq!(sessions[0].spilled_messages() + sessions[0].inbox_messages(), 1);
    assert!(journal.index.sequence_of(MessageId([255; 16])).is_some());
}

#[test]
fn a_session_that_is_rewritten_keeps_its_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut client = Client::new("c");
    client.deliver(1);
    client.write(&mut journal);
    assert!(journal.rewrite_session(&"c".into()));
    assert!(journal.move_body(MessageId([1; 16])));
    drop(journal);
    let (journal, sessions) = open(dir.path());
    assert_eq!(sessions.len(), 1);
    assert!(journal.load(&[MessageId([1; 16])])[0].1.is_some());
}

#[test]
fn what_comes_after_a_restart_is_not_taken_for_what_ended_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut client = Client::new("c");
    for id in 1..=3 {
        client.deliver(id);
    }
    client.take_and_ack(&mut journal);
    drop(journal);
    // The client does not come back before the next crash.
    let (mut journal, mut sessions) = open(dir.path());
    let mut client = Client { session: sessions.remove(0), records: Vec::new() };
    for id in 4..=6 {
        client.deliver(id);
    }
    client.write(&mut journal);
    drop(journal);
    let (_journal, sessions) = open(dir.path());
    let waits = sessions[0].inbox_messages() + sessions[0].spilled_messages();
    assert_eq!(waits, 3);
}
