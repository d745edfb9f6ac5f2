//! Reads the primitive types of MQTT (5.0 §1.5) from raw bytes without ever panicking.

use super::bad::BadPacket;

/// A cursor over the body of one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that was not read yet: the payload of a PUBLISH.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], BadPacket> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or(BadPacket::Malformed("truncated"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BadPacket> {
        let (&[byte], rest) =
            self.rest.split_first_chunk::<1>().ok_or(BadPacket::Malformed("truncated"))?;
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BadPacket> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<2>().ok_or(BadPacket::Malformed("truncated"))?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadPacket> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<4>().ok_or(BadPacket::Malformed("truncated"))?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    pub(crate) fn varint(&mut self) -> Result<u32, BadPacket> {
        match varint(self.rest)? {
            Some((value, len)) => {
                self.take(len)?;
                Ok(value)
            }
            None => Err(BadPacket::Malformed("truncated")),
        }
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], BadPacket> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
    pub(crate) fn string(&mut self) -> Result<&'a str, BadPacket> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| BadPacket::Malformed("a string is not UTF-8"))?;
        if text.as_bytes().contains(&0) {
            return Err(BadPacket::Malformed("a string contains U+0000"));
        }
        Ok(text)
    }

    /// A packet identifier, which is never zero [MQTT-2.2.1-3].
    pub(crate) fn packet_id(&mut self) -> Result<std::num::NonZeroU16, BadPacket> {
        std::num::NonZeroU16::new(self.u16()?).ok_or(BadPacket::Protocol("packet id 0"))
    }

    pub(crate) fn finish(self) -> Result<(), BadPacket> {
        if self.rest.is_empty() { Ok(()) } else { Err(BadPacket::Malformed("trailing bytes")) }
    }
}

/// Reads a variable byte integer; `None` while its last byte has not arrived.
///
/// # Errors
/// [`BadPacket::Malformed`] for a fifth byte or for a form longer than needed.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, BadPacket> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(BadPacket::Malformed("a length is not in its shortest form"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        return Err(BadPacket::Malformed("a length has more than four bytes"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_four_bytes_is_read_and_a_fifth_is_refused() {
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0x7f]), Ok(Some((268_435_455, 4))));
        assert_eq!(varint(&[0xff, 0xff, 0xff]), Ok(None));
        assert!(varint(&[0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(varint(&[0x80, 0x00]).is_err());
    }

    #[test]
    fn a_string_with_a_null_character_is_refused() {
        assert!(Reader::new(b"\x00\x03a\x00b").string().is_err());
        assert_eq!(Reader::new(b"\x00\x02ab").string(), Ok("ab"));
        assert!(Reader::new(b"\x00\x02\xff\xfe").string().is_err());
    }
}
