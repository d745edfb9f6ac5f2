//! The control topics of cluster links (LINK-SPEC W-1…W-3, W-24, W-25): taken out after
//! authorisation and before anything else could see them.

use bytes::Bytes;
use spanmq_session::{FlowId, QoS};

use super::Worker;
use super::close::Close;
use crate::codec::PublishIn;
use crate::mail::{Mail, SlotKey};
use crate::ports::{ControlKind, ControlPublish, Done, LinkClient, Outcome, Verdict};

const PREFIX: &str = "$LINK/cluster/";

/// The control publish that a packet is, if its topic is one. The retain flag is ignored.
pub(super) fn intercept(topic: &str, packet: &PublishIn<'_>, qos: QoS) -> Option<ControlPublish> {
    let (kind, cluster) = topic.strip_prefix(PREFIX)?.split_once('/')?;
    let kind = match kind {
        "route" => ControlKind::Route,
        "msg" => ControlKind::Msg,
        _ => return None,
    };
    Some(ControlPublish {
        kind,
        cluster: cluster.into(),
        payload: Bytes::copy_from_slice(packet.payload),
        qos,
        response_topic: packet.properties.response_topic.map(Into::into),
        correlation_data: packet.properties.correlation_data.map(Bytes::copy_from_slice),
    })
}

impl Worker {
    /// Collects a control publish; the turn's batch goes to `linking` at its end.
    pub(super) fn on_control(
        &mut self,
        key: SlotKey,
        control: ControlPublish,
        flow: Option<FlowId>,
    ) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let client = &slot.client;
        let Some(conn) = slot.conn.as_mut() else { return };
        conn.link.get_or_insert_with(|| {
            std::sync::Arc::new(LinkClient {
                connection: conn.number,
                client_id: client.client_id.clone(),
                username: client.username.clone(),
                cert_cn: client.cert_cn.clone(),
                peer: client.peer,
            })
        });
        if conn.control.is_empty() {
            self.turn.control(key);
        }
        conn.control.push(control);
        conn.control_flows.push_back(flow);
    }

    pub(super) fn send_control_of(&mut self, key: SlotKey) {
        let mailbox = self.shared.workers[usize::from(self.id)].clone();
        let Some(conn) = self.slots.get_mut(key).and_then(|slot| slot.conn.as_mut()) else {
            return;
        };
        let Some(client) = conn.link.clone() else { return };
        let batch = std::mem::take(&mut conn.control);
        let connection = conn.number;
        let done = Done::new(move |verdicts| {
            mailbox.send(Mail::Verdicts { connection, key, verdicts });
        });
        self.shared.ports.link_in.receive(client, batch, done);
    }

    /// Answers the carriers in order; a protocol error ends the connection without PUBACK (W-25).
    pub(super) fn on_verdicts(
        &mut self,
        key: SlotKey,
        connection: u64,
        verdicts: Option<Vec<Verdict>>,
    ) {
        let Some(verdicts) = verdicts else {
            // `linking` has gone, so nothing was taken.
            if self.conn(key, connection).is_some() {
                self.close(key, Close::code(0x89, "cluster linking is not available"));
            }
            return;
        };
        for verdict in verdicts {
            let Some(conn) = self.conn(key, connection) else { return };
            let Some(flow) = conn.control_flows.pop_front() else { return };
            match (verdict, flow) {
                (Verdict::Disconnect(code), _) => {
                    self.close(key, Close::code(code, "cluster link protocol error"));
                    return;
                }
                (Verdict::Ack(code), Some(flow)) => self.answer_control(key, flow, code),
                (Verdict::Ack(_), None) => {}
            }
        }
    }

    fn answer_control(&mut self, key: SlotKey, flow: FlowId, code: u8) {
        let outcome = match code {
            0 => Outcome::Held,
            0x10 => Outcome::NoSubscribers,
            code if code >= 0x80 => Outcome::Refused(code),
            _ => Outcome::Held,
        };
        self.answer_flow(key, flow, outcome);
    }
}
