use std::sync::Arc;

use super::rig::{QOS0, QOS1, QOS2, Rig, v5};
use crate::{
    Delivered, DropReason, ImportError, JournalOp, Limits, ReplayError, Session, SessionExpiry,
    SessionExport,
    codec::{decode_export, encode_export},
};

fn import(export: SessionExport, epoch: u64) -> Result<Session, ImportError> {
    Session::import(export, epoch, Arc::new(Limits::default()))
}

// [MQTT-3.1.2-5]
#[test]
fn a_take_over_brings_everything_in_order() {
    let mut rig = Rig::persistent();
    for (number, qos) in [(1, QOS1), (2, QOS2)] {
        rig.deliver(number, qos);
    }
    rig.pump();
    rig.session.on_pubrec(2, 0, &mut rig.ops);
    for (number, qos) in [(3, QOS1), (4, QOS0), (5, QOS2)] {
        rig.deliver(number, qos);
    }
    let bytes = encode_export(&rig.session.export(), rig.now).unwrap();
    let export = decode_export(&bytes, rig.now).unwrap();
    assert_eq!(export.missing(), []);
    let session = import(export, 2).unwrap();
    assert_eq!((session.meta().epoch, &**session.client_id()), (2, "client"));
    let mut taken = Rig { now: rig.now, session, ops: Vec::new() };
    taken.connect(&v5(SessionExpiry::Never));
    let expected = [(255, 2, false), (1, 1, true), (3, 3, false), (4, 0, false), (5, 4, false)];
    assert_eq!(taken.pumped(), expected);
}

#[test]
fn an_exported_session_takes_and_sends_nothing_more() {
    let mut rig = Rig::persistent();
    rig.deliver(1, QOS1);
    rig.session.export();
    assert!(rig.session.has_moved() && !rig.session.is_connected());
    assert_eq!(rig.deliver(2, QOS1), Delivered::Dropped(DropReason::Moved));
    assert_eq!(rig.pumped(), []);
}

#[test]
fn a_take_over_needs_a_newer_epoch() {
    let mut rig = Rig::persistent();
    let export = rig.session.export();
    let refused = import(export.clone(), 1).unwrap_err();
    assert_eq!(refused, ImportError::Fenced { current: 1, given: 1 });
    assert!(import(export, 2).is_ok());
}

#[test]
fn messages_in_the_store_follow_on_their_own() {
    let limits = Limits { inbox_messages_max: 2, ..Limits::default() };
    let mut rig = Rig::new(limits, &v5(SessionExpiry::Never));
    (0..5).for_each(|number| {
        rig.deliver(number, QOS1);
    });
    let export = rig.session.export();
    assert_eq!((export.messages.len(), export.missing().len()), (2, 3));
    let session = import(export, 2).unwrap();
    assert_eq!((session.inbox_messages(), session.spilled_messages()), (2, 3));
}

#[test]
fn a_damaged_hand_over_is_refused() {
    let mut export = Rig::persistent().session.export();
    export.ops.retain(|op| !matches!(op, JournalOp::Meta(_)));
    assert_eq!(import(export, 2).unwrap_err(), ImportError::Damaged(ReplayError::NoMeta));
}
