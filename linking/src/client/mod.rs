//! The MQTT 5 client of a link: opens a connection to the remote, then hands every packet to its
//! actor. Knows nothing of routes or buffers.
//!
//! ntex-mqtt gives the codec and ntex the buffered I/O; its client session layer is not used,
//! because it matches acknowledgements in the order of sending (docs/ARCHITECTURE.md).

mod connect;
mod failure;
mod tls;
mod wire;

pub use connect::Stage;
pub(crate) use connect::{ConnectSpec, Failed, millis, open};
pub(crate) use tls::check as check_tls;
pub(crate) use wire::{Connected, Wire, connect, lose, packets};

use ntex_bytes::{ByteString, Bytes};
use ntex_io::IoRef;
use ntex_mqtt::v5::codec::{self, Codec, Decoded, Encoded, Packet};
use spanmq_link_protocol::reason::{Reason, ReasonWord};
use std::num::NonZeroU16;
use std::rc::Rc;

/// A PUBLISH to send.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// Packet id for QoS 1, none for QoS 0.
    pub(crate) id: Option<NonZeroU16>,
    pub(crate) dup: bool,
    /// Response-Topic and Correlation-Data.
    pub(crate) answer: Option<(&'a str, &'a str)>,
}

/// The sending half of an open connection. Dropping it closes the connection.
pub(crate) struct Link {
    io: IoRef,
    codec: Rc<Codec>,
}

impl Link {
    pub(crate) fn new(io: IoRef, codec: Rc<Codec>) -> Self {
        Self { io, codec }
    }

    /// Whether more is waiting to be written than the remote reads.
    pub(crate) fn is_full(&self) -> bool {
        self.io.is_wr_backpressure()
    }

    /// Appends to the output buffer, which the I/O task writes once per turn.
    fn send(&self, packet: Encoded) -> Result<(), Reason> {
        self.io
            .encode(packet, &self.codec)
            .map_err(|error| Reason::with_detail(ReasonWord::PacketTooLarge, &format!("{error:?}")))
    }

    pub(crate) fn publish(&self, publish: &Outgoing<'_>) -> Result<(), Reason> {
        let mut properties = codec::PublishProperties::default();
        if let Some((topic, correlation)) = publish.answer {
            properties.response_topic = Some(ByteString::from(topic));
            properties.correlation_data = Some(Bytes::copy_from_slice(correlation.as_bytes()));
        }
        let packet = codec::Publish {
            dup: publish.dup,
            retain: false,
            qos: match publish.id {
                Some(_) => codec::QoS::AtLeastOnce,
                None => codec::QoS::AtMostOnce,
            },
            packet_id: publish.id,
            topic: ByteString::from(publish.topic),
            payload_size: u32::try_from(publish.payload.len()).unwrap_or(u32::MAX),
            properties,
        };
        self.send(Encoded::Publish(packet, Some(Bytes::copy_from_slice(publish.payload))))
    }

    pub(crate) fn subscribe(&self, id: NonZeroU16, topic: &str) -> Result<(), Reason> {
        let options = codec::SubscriptionOptions {
            qos: codec::QoS::AtLeastOnce,
            ..codec::SubscriptionOptions::default()
        };
        self.send(Encoded::Packet(Packet::Subscribe(codec::Subscribe {
            packet_id: id,
            id: None,
            user_properties: Vec::new(),
            topic_filters: vec![(ByteString::from(topic), options)],
        })))
    }

    pub(crate) fn acknowledge(&self, id: NonZeroU16) -> Result<(), Reason> {
        self.send(Encoded::Packet(Packet::PublishAck(codec::PublishAck {
            packet_id: id,
            reason_code: codec::PublishAckReason::Success,
            properties: Vec::new(),
            reason_string: None,
        })))
    }

    pub(crate) fn ping(&self) -> Result<(), Reason> {
        self.send(Encoded::Packet(Packet::PingRequest))
    }

    /// Says good-bye and closes after the buffered bytes are written.
    pub(crate) fn disconnect(&self) {
        let _ = self.send(Encoded::Packet(Packet::Disconnect(codec::Disconnect::default())));
        self.io.close();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.io.close();
    }
}

/// What arrived, as far as a link looks at it.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// PUBACK, or PUBREC with a refusal.
    Ack {
        id: NonZeroU16,
        code: u8,
    },
    SubAck {
        code: u8,
    },
    Publish {
        id: Option<NonZeroU16>,
        correlation_data: bytes::Bytes,
        payload: bytes::Bytes,
    },
    Pong,
    /// The remote ended the connection.
    Disconnect(Reason),
    /// Nothing that concerns a link.
    Other,
}

/// Reads one decoded item.
pub(crate) fn incoming(item: Decoded) -> Incoming {
    match item {
        Decoded::Publish(publish, payload, _) => Incoming::Publish {
            id: publish.packet_id,
            correlation_data: publish
                .properties
                .correlation_data
                .map(|data| bytes::Bytes::copy_from_slice(&data))
                .unwrap_or_default(),
            payload: bytes::Bytes::copy_from_slice(&payload),
        },
        Decoded::Packet(Packet::PublishAck(ack), _) => {
            Incoming::Ack { id: ack.packet_id, code: ack.reason_code.into() }
        }
        Decoded::Packet(Packet::SubscribeAck(ack), _) => {
            Incoming::SubAck { code: ack.status.first().map_or(0x80, |code| (*code).into()) }
        }
        Decoded::Packet(Packet::PingResponse, _) => Incoming::Pong,
        Decoded::Packet(Packet::Disconnect(end), _) => {
            let text = end.reason_string.as_deref().map(AsRef::as_ref);
            Incoming::Disconnect(failure::disconnected(end.reason_code.into(), text))
        }
        Decoded::Packet(..) | Decoded::PayloadChunk(..) => Incoming::Other,
    }
}
