//! The client as receiver: it keeps its QoS 2 ids over connections, as it must.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Outgoing, OutgoingPublish, QoS};

/// A packet of the client about a PUBLISH of the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ack {
    Puback(u16),
    Pubrec(u16, u8),
    Pubcomp(u16),
}

#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Written by the server, not yet read here. A cut loses it.
    pub(super) packets: VecDeque<Outgoing>,
    /// Written here, not yet read by the server. A cut loses it.
    pub(super) acks: Vec<Ack>,
    /// QoS 2 ids between PUBLISH and PUBREL.
    qos2_ids: BTreeSet<u16>,
    /// Numbers of all messages received, with how often.
    pub(super) received: BTreeMap<u32, u32>,
    /// Numbers of QoS 2 messages that it does not want; it never changes its mind.
    pub(super) refused: BTreeSet<u32>,
    last_qos0: Option<u32>,
    last_acked: Option<u32>,
    /// Flows as a sniffer sees them: packet id → number of the message.
    open: BTreeMap<u16, u32>,
    /// PUBLISHes of this connection that are not over: they count against the receive maximum.
    pub(super) counted: BTreeSet<u16>,
}

impl Receiver {
    pub(super) fn cut(&mut self) {
        self.packets.clear();
        self.acks.clear();
        self.counted.clear();
    }

    /// Looks at a packet when the server writes it.
    pub(super) fn sniff(&mut self, packet: &Outgoing, receive_max: usize) {
        let Outgoing::Publish(publish) = packet else { return };
        let Some(packet_id) = publish.packet_id else {
            assert_eq!(publish.qos, QoS::AtMostOnce);
            return;
        };
        assert_ne!(packet_id, 0);
        let number = number_of(publish);
        let before = self.open.insert(packet_id, number);
        let expected = publish.dup.then_some(number);
        assert!(before.is_none() || before == expected, "packet id {packet_id} is used twice");
        assert!(self.counted.insert(packet_id), "repeated on one connection");
        assert!(self.counted.len() <= receive_max, "above the client's receive maximum");
    }

    /// Reads the next packet and answers it.
    pub(super) fn read(&mut self, refuse: bool) {
        match self.packets.pop_front() {
            Some(Outgoing::Publish(publish)) => self.on_publish(&publish, refuse),
            Some(Outgoing::Pubrel { packet_id }) => self.on_pubrel(packet_id),
            None => {}
        }
    }

    pub(super) fn on_pubrel(&mut self, packet_id: u16) {
        self.qos2_ids.remove(&packet_id);
        self.acks.push(Ack::Pubcomp(packet_id));
    }

    fn on_publish(&mut self, publish: &OutgoingPublish, refuse: bool) {
        let number = number_of(publish);
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => {
                self.receive(number, true);
                self.acks.push(Ack::Puback(packet_id));
            }
            (QoS::ExactlyOnce, Some(packet_id))
                if refuse && !publish.dup || self.refused.contains(&number) =>
            {
                self.refused.insert(number);
                self.acks.push(Ack::Pubrec(packet_id, 0x80));
            }
            (QoS::ExactlyOnce, Some(packet_id)) => {
                if self.qos2_ids.insert(packet_id) {
                    let times = self.receive(number, true);
                    assert_eq!(times, 1, "QoS 2 message {number} came twice");
                }
                self.acks.push(Ack::Pubrec(packet_id, 0));
            }
            _ => {
                self.receive(number, false);
            }
        }
    }

    fn receive(&mut self, number: u32, acked: bool) -> u32 {
        let times = self.received.entry(number).or_default();
        *times += 1;
        let last = if acked { &mut self.last_acked } else { &mut self.last_qos0 };
        if *times == 1 {
            assert!(last.is_none_or(|last| last < number), "{number} came after {last:?}");
            *last = Some(number);
        }
        *times
    }

    /// The flow is over on the server's side.
    pub(super) fn ended(&mut self, packet_id: u16) {
        self.open.remove(&packet_id);
        self.counted.remove(&packet_id);
    }

    /// A packet id of no flow.
    pub(super) fn unused_id(&self, hint: u8) -> u16 {
        let from = u16::from(hint) + 1;
        (from..=u16::MAX).find(|id| !self.open.contains_key(id)).unwrap_or(0)
    }
}

/// The number that the world wrote into the payload.
fn number_of(publish: &OutgoingPublish) -> u32 {
    let (number, _) = publish.message.payload.split_first_chunk().expect("the world wrote it");
    u32::from_be_bytes(*number)
}
