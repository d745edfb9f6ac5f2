//! Application messages as they came, and acknowledgements sent by hand.

use anyhow::bail;

use super::packet::{Packet, Properties, Property};
use super::session::Client;

/// The fields of a PUBLISH from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    pub id: u16,
    pub properties: Properties,
    pub payload: Vec<u8>,
}

impl Received {
    /// The first property with this identifier.
    #[must_use]
    pub fn property(&self, id: u8) -> Option<&Property> {
        self.properties.iter().find(|property| property.id() == id)
    }
}

impl Client {
    /// The next application message, which stays unacknowledged.
    ///
    /// # Errors
    /// When none comes in time, or the connection ended.
    pub fn received(&mut self) -> anyhow::Result<Received> {
        match self.answer(|packet| matches!(packet, Packet::Publish { .. }))? {
            Packet::Publish { dup, qos, retain, topic, id, properties, payload } => {
                Ok(Received { dup, qos, retain, topic, id, properties, payload })
            }
            other => bail!("unreachable: {other:?}"),
        }
    }

    /// Sends PUBACK 4, PUBREC 5, PUBREL 6 or PUBCOMP 7 without a reason code.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn ack(&mut self, kind: u8, id: u16) -> anyhow::Result<()> {
        self.send_packet(first(kind), &id.to_be_bytes())
    }

    /// As [`Client::ack`], with a reason code (MQTT 5.0).
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn ack_with(&mut self, kind: u8, id: u16, code: u8) -> anyhow::Result<()> {
        let [high, low] = id.to_be_bytes();
        self.send_packet(first(kind), &[high, low, code])
    }
}

fn first(kind: u8) -> u8 {
    kind << 4 | if kind == 6 { 2 } else { 0 }
}
