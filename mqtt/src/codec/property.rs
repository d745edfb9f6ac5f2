//! The property table of MQTT 5.0 §2.2.2.2: which property has which type and may stand where.

use super::bad::BadPacket;
use super::reader::Reader;

/// Where a property list stands. One bit each, so that a property names all its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    pub(crate) const CONNECT: Self = Self(1);
    pub(crate) const WILL: Self = Self(1 << 1);
    pub(crate) const PUBLISH: Self = Self(1 << 2);
    pub(crate) const ACK: Self = Self(1 << 3);
    pub(crate) const SUBSCRIBE: Self = Self(1 << 4);
    pub(crate) const UNSUBSCRIBE: Self = Self(1 << 5);
    pub(crate) const DISCONNECT: Self = Self(1 << 6);
    pub(crate) const AUTH: Self = Self(1 << 7);
}

/// The value of one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Var(u32),
    Binary(&'a [u8]),
    Text(&'a str),
    Pair(&'a str, &'a str),
}

impl Value<'_> {
    /// Bytes on the wire, but for those of a variable byte integer, whose form is not known here.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Byte(_) | Self::Var(_) => 1,
            Self::Two(_) => 2,
            Self::Four(_) => 4,
            Self::Binary(bytes) => 2 + bytes.len(),
            Self::Text(text) => 2 + text.len(),
            Self::Pair(key, value) => 4 + key.len() + value.len(),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// A byte that is 0 or 1.
    Flag,
    Two,
    Four,
    Var,
    Binary,
    Text,
    Pair,
}

pub(crate) const USER: u8 = 0x26;

/// Kind and places of each property that a *client* may send.
fn lookup(id: u8) -> Option<(Kind, u16)> {
    const MSG: u16 = Place::PUBLISH.0 | Place::WILL.0;
    let everywhere = u16::MAX;
    Some(match id {
        0x01 => (Kind::Flag, MSG),
        0x02 => (Kind::Four, MSG),
        0x03 | 0x08 => (Kind::Text, MSG),
        0x09 => (Kind::Binary, MSG),
        0x0B => (Kind::Var, Place::SUBSCRIBE.0),
        0x11 => (Kind::Four, Place::CONNECT.0 | Place::DISCONNECT.0),
        0x15 => (Kind::Text, Place::CONNECT.0 | Place::AUTH.0),
        0x16 => (Kind::Binary, Place::CONNECT.0 | Place::AUTH.0),
        0x17 | 0x19 => (Kind::Flag, Place::CONNECT.0),
        0x18 => (Kind::Four, Place::WILL.0),
        0x1F => (Kind::Text, Place::ACK.0 | Place::DISCONNECT.0 | Place::AUTH.0),
        0x21 | 0x22 => (Kind::Two, Place::CONNECT.0),
        0x23 => (Kind::Two, Place::PUBLISH.0),
        USER => (Kind::Pair, everywhere),
        0x27 => (Kind::Four, Place::CONNECT.0),
        _ => return None,
    })
}

/// Properties whose value 0 is a protocol error: subscription id, receive maximum, maximum
/// packet size (MQTT 5.0 §3.1.2.11, §3.8.2.1.2).
fn zero_is_refused(id: u8) -> bool {
    matches!(id, 0x0B | 0x21 | 0x27)
}

/// Reads one property list and hands each property to `visit`.
///
/// # Errors
/// A property that is unknown, misplaced, repeated, truncated or out of range.
pub(crate) fn properties<'a>(
    reader: &mut Reader<'a>,
    place: Place,
    mut visit: impl FnMut(u8, Value<'a>) -> Result<(), BadPacket>,
) -> Result<(), BadPacket> {
    let len = reader.varint()?;
    if len == 0 {
        return Ok(());
    }
    let mut list = Reader::new(reader.take(len as usize)?);
    let mut seen = 0u64;
    while !list.is_empty() {
        let id = list.u8()?;
        let (kind, places) = lookup(id).ok_or(BadPacket::Malformed("unknown property"))?;
        if places & place.0 == 0 {
            return Err(BadPacket::Protocol("a property is not allowed in this packet"));
        }
        if id != USER && seen & (1 << id) != 0 {
            return Err(BadPacket::Protocol("a property is repeated"));
        }
        seen |= 1 << id;
        let value = value(&mut list, kind)?;
        if zero_is_refused(id) && matches!(value, Value::Two(0) | Value::Four(0) | Value::Var(0)) {
            return Err(BadPacket::Protocol("a property must not be 0"));
        }
        visit(id, value)?;
    }
    Ok(())
}

fn value<'a>(list: &mut Reader<'a>, kind: Kind) -> Result<Value<'a>, BadPacket> {
    Ok(match kind {
        Kind::Flag => match list.u8()? {
            flag @ (0 | 1) => Value::Byte(flag),
            _ => return Err(BadPacket::Protocol("a flag property is neither 0 nor 1")),
        },
        Kind::Two => Value::Two(list.u16()?),
        Kind::Four => Value::Four(list.u32()?),
        Kind::Var => Value::Var(list.varint()?),
        Kind::Binary => Value::Binary(list.binary()?),
        Kind::Text => Value::Text(list.string()?),
        Kind::Pair => Value::Pair(list.string()?, list.string()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], place: Place) -> Result<(), BadPacket> {
        properties(&mut Reader::new(bytes), place, |_, _| Ok(()))
    }

    #[test]
    fn a_repeated_property_is_a_protocol_error_but_user_properties_repeat() {
        assert!(matches!(
            check(&[4, 0x01, 0, 0x01, 0], Place::PUBLISH),
            Err(BadPacket::Protocol(_))
        ));
        let user = [14, USER, 0, 1, b'k', 0, 1, b'v', USER, 0, 1, b'k', 0, 1, b'v'];
        assert_eq!(check(&user, Place::PUBLISH), Ok(()));
    }

    #[test]
    fn a_truncated_or_misplaced_property_is_refused() {
        assert!(check(&[3, 0x02, 0, 0], Place::PUBLISH).is_err());
        assert!(check(&[9, 0x01], Place::PUBLISH).is_err());
        assert!(check(&[2, 0x01, 0], Place::CONNECT).is_err());
        assert!(check(&[2, 0x7e, 0], Place::CONNECT).is_err());
        assert!(check(&[3, 0x21, 0, 0], Place::CONNECT).is_err());
    }
}
