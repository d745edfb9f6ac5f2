//! The forwarded message (W-54): a tuple of ten.

use super::{MessageError, MessageProperties, Publisher, Received, headers};
use crate::term::{
    Atom, DecodeLimits, Encoder, Term, compress_when_smaller, decode, unwrap_payload,
};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// Quality of service of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    pub fn from_int(value: i64) -> Option<Qos> {
        match value {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }

    pub fn as_u8(self) -> u8 {
        match self {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        }
    }

    /// QoS of the PUBLISH that carries a message over the link (W-32).
    pub fn on_carrier(self) -> Qos {
        self.min(Qos::AtLeastOnce)
    }
}

/// Who published: a client, or a part of the remote broker known by an atom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sender {
    Client(String),
    Internal(String),
}

impl Sender {
    pub fn as_str(&self) -> &str {
        match self {
            Sender::Client(text) | Sender::Internal(text) => text,
        }
    }
}

/// One message as it crosses a link. Payload and correlation data share the received buffer.
/// `Debug` shows no content: messages belong to their publishers, not to logs.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Globally unique; opaque.
    pub id: [u8; 16],
    /// QoS of the message itself, not of its carrier.
    pub qos: Qos,
    pub from: Sender,
    pub retain: bool,
    pub dup: bool,
    pub topic: String,
    pub payload: Bytes,
    /// Milliseconds since the epoch, by the clock of the cluster where it was published.
    pub timestamp_ms: i64,
    pub publisher: Publisher,
    pub properties: MessageProperties,
}

impl fmt::Debug for MessageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRecord")
            .field("qos", &self.qos)
            .field("from", &self.from)
            .field("topic", &self.topic)
            .field("payload_bytes", &self.payload.len())
            .field("timestamp_ms", &self.timestamp_ms)
            .finish_non_exhaustive()
    }
}

impl MessageRecord {
    /// Reads a payload of `msg/`. Headers that are unknown or of another shape mean "unknown".
    ///
    /// # Errors
    /// [`MessageError`]; the message is then dropped and acknowledged (W-40).
    pub fn decode(payload: Bytes, limits: DecodeLimits) -> Result<Received<Self>, MessageError> {
        let plain = unwrap_payload(payload, limits)?;
        let decoded = decode(&plain, limits)?;
        let message = MessageRecord::from_term(&decoded.term, &plain)?;
        Ok(Received { message, trailing_bytes: decoded.trailing_bytes })
    }

    fn from_term(term: &Term<'_>, plain: &Bytes) -> Result<MessageRecord, MessageError> {
        let Some([tag, id, qos, from, flags, headers, topic, payload, timestamp, _extra]) =
            term.as_tuple()
        else {
            return Err(MessageError::NotARecord);
        };
        if !tag.is_atom(Atom::Message) {
            return Err(MessageError::NotARecord);
        }
        if !matches!(flags, Term::Map(_)) || !matches!(headers, Term::Map(_)) {
            return Err(MessageError::BadField("flags or headers"));
        }
        let flag = |atom| flags.get_atom(atom).and_then(Term::as_bool).unwrap_or(false);
        let topic = topic.as_text().ok_or(MessageError::BadField("topic"))?;
        Ok(MessageRecord {
            id: id
                .as_binary()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(MessageError::BadField("id"))?,
            qos: qos.as_int().and_then(Qos::from_int).ok_or(MessageError::BadField("qos"))?,
            from: sender(from)?,
            retain: flag(Atom::Retain),
            dup: flag(Atom::Dup),
            topic: topic.to_owned(),
            payload: payload_bytes(payload, plain)?,
            timestamp_ms: timestamp.as_int().ok_or(MessageError::BadField("timestamp"))?,
            publisher: headers::publisher(headers),
            properties: headers::properties(headers, plain),
        })
    }

    /// The payload in its plain form. `share_client_address` false hides where the publisher
    /// connected from (W-55).
    pub fn encode(&self, share_client_address: bool) -> Bytes {
        let mut out = Encoder::with_capacity(self.size_hint());
        out.tuple(10);
        out.atom(Atom::Message);
        out.binary(&self.id);
        out.int(i64::from(self.qos.as_u8()));
        // A sender known by an atom goes out as text: the remote may not know the atom (W-53).
        out.text(self.from.as_str());
        out.map(2);
        out.atom(Atom::Dup);
        out.atom(Atom::from(self.dup));
        out.atom(Atom::Retain);
        out.atom(Atom::from(self.retain));
        headers::encode(&mut out, &self.publisher, &self.properties, share_client_address);
        out.text(&self.topic);
        out.binary(&self.payload);
        out.int(self.timestamp_ms);
        out.map(0);
        out.finish()
    }

    /// As [`MessageRecord::encode`], compressed when that is smaller (W-50).
    pub fn encode_compressed(&self, share_client_address: bool) -> Bytes {
        compress_when_smaller(self.encode(share_client_address))
    }

    fn size_hint(&self) -> usize {
        self.payload.len().saturating_add(self.topic.len()).saturating_add(512)
    }
}

fn sender(from: &Term<'_>) -> Result<Sender, MessageError> {
    match from {
        Term::Binary(bytes) => Ok(Sender::Client(String::from_utf8_lossy(bytes).into_owned())),
        Term::Atom(atom) => Ok(Sender::Internal(atom.as_str().to_owned())),
        _ => Err(MessageError::BadField("from")),
    }
}

/// A binary shares the buffer; nested lists of bytes and binaries are gathered (W-54).
fn payload_bytes(term: &Term<'_>, plain: &Bytes) -> Result<Bytes, MessageError> {
    match term {
        Term::Binary(bytes) => Ok(plain.slice_ref(bytes)),
        Term::ByteList(bytes) => Ok(plain.slice_ref(bytes)),
        Term::List(_) => {
            let mut gathered = BytesMut::new();
            gather(term, &mut gathered)?;
            Ok(gathered.freeze())
        }
        _ => Err(MessageError::BadField("payload")),
    }
}

fn gather(term: &Term<'_>, into: &mut BytesMut) -> Result<(), MessageError> {
    match term {
        Term::Binary(bytes) | Term::ByteList(bytes) => into.extend_from_slice(bytes),
        Term::Int(value) => {
            let byte = u8::try_from(*value).map_err(|_| MessageError::BadField("payload"))?;
            into.extend_from_slice(&[byte]);
        }
        Term::List(parts) => {
            for part in parts {
                gather(part, into)?;
            }
        }
        _ => return Err(MessageError::BadField("payload")),
    }
    Ok(())
}
