//! A client that sends any acknowledgement and any packet id at any time. It may harm its own
//! messages; it must not make the session panic or grow.

use std::{sync::Arc, time::Instant};

use super::{bytes::Bytes, world};
use crate::{
    ConnectTerms, FlowId, InboundDecision, JournalOp, MatchedOptions, ProtocolVersion, QoS,
    Session, SessionExpiry, SessionMeta,
};

const STEPS_MAX: usize = 20_000;

pub(super) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (now, limits) = (Instant::now(), Arc::new(world::LIMITS));
    let meta = SessionMeta {
        epoch: 1,
        owner: None,
        expiry: SessionExpiry::AtClose,
        offline_since_ms: None,
    };
    let mut session = Session::new("hostile".into(), meta, Arc::clone(&limits));
    let (mut ops, mut out, mut flows) = (Vec::new(), Vec::new(), Vec::new());
    let message = Arc::new(world::message(now, 0, QoS::ExactlyOnce, 0));
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        let (choice, detail) = (bytes.next(), bytes.next());
        let qos = QoS::from_u8(detail % 3).unwrap_or_default();
        let options = MatchedOptions { qos, ..MatchedOptions::default() };
        match choice % 8 {
            0 => {
                session.deliver(now, &message, &options, &mut ops);
            }
            1 => {
                session.pump(now, usize::from(detail) * 4, &mut out, &mut ops);
            }
            7 => session.connect(&terms(detail), &mut ops),
            _ => packet(&mut session, choice, detail, &mut flows, &mut ops),
        }
        out.clear();
        world::check_bounds(&session);
    }
    let find = |_| Some(Arc::clone(&message));
    let replayed = Session::replay("hostile".into(), limits, ops, find).map(|s| s.snapshot());
    if session.is_persistent() {
        assert_eq!(replayed, Ok(session.snapshot()));
    }
}

fn terms(detail: u8) -> ConnectTerms {
    ConnectTerms {
        receive_max: u16::from(detail % 8) + 1,
        topic_alias_max: u16::from(detail % 4),
        ..ConnectTerms::plain(ProtocolVersion::V5, SessionExpiry::Never)
    }
}

fn packet(
    session: &mut Session,
    choice: u8,
    detail: u8,
    flows: &mut Vec<FlowId>,
    ops: &mut Vec<JournalOp>,
) {
    let packet_id = u16::from(detail % 32);
    match choice % 8 {
        2 => {
            session.on_puback(packet_id, ops);
        }
        3 => {
            session.on_pubrec(packet_id, detail, ops);
        }
        4 => {
            session.on_pubcomp(packet_id, ops);
        }
        5 => {
            session.on_pubrel(packet_id, ops);
            flows.pop().into_iter().for_each(|flow| {
                session.publish_held(flow, ops);
                session.publish_refused(flow, detail & 1 == 0, ops);
            });
        }
        _ => {
            let qos = if detail > 99 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            if let InboundDecision::Route(flow) = session.on_publish(packet_id, qos, ops) {
                flows.push(flow);
            }
        }
    }
}
