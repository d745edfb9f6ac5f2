//! Bytes to packets and back. Every type of ntex-mqtt stays inside this module.
//!
//! Decides what a well-formed packet is; what a packet *means* is decided elsewhere. A frame is
//! cut by its fixed header (limit checked first, SECURITY-REQUIREMENTS L1), checked byte by byte,
//! and only then given to the library.

mod bad;
mod check;
mod decode;
mod encode;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod packet;
mod property;
mod publish;
mod reader;

pub(crate) use bad::BadPacket;
pub(crate) use decode::{Frame, cut, decode, peek_version};
pub(crate) use encode::{ConnAck, Encoder};
pub(crate) use packet::*;
pub(crate) use publish::{PublishIn, PublishOut, parse as parse_publish, push_varint};

/// The protocol of one connection; MQTT 3.1 is refused while sniffing, so two are left.
pub(crate) use spanmq_session::ProtocolVersion as Version;

/// Packet types, the upper half of the first byte.
pub(crate) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const DISCONNECT: u8 = 14;
    pub(crate) const AUTH: u8 = 15;
}
