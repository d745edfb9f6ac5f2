//! MQTT packets as the test client writes and reads them.

use anyhow::{Context, bail};

/// Protocol level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    V311,
    #[default]
    V5,
}

/// One property of MQTT 5.0 §2.2.2.2 with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    Byte(u8, u8),
    Two(u8, u16),
    Four(u8, u32),
    Variable(u8, u32),
    Binary(u8, Vec<u8>),
    Text(u8, String),
    User(String, String),
}

impl Property {
    /// Identifier of the property.
    #[must_use]
    pub fn id(&self) -> u8 {
        match self {
            Self::Byte(id, _)
            | Self::Two(id, _)
            | Self::Four(id, _)
            | Self::Variable(id, _)
            | Self::Binary(id, _)
            | Self::Text(id, _) => *id,
            Self::User(..) => 0x26,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.id());
        match self {
            Self::Byte(_, value) => out.push(*value),
            Self::Two(_, value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Four(_, value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Variable(_, value) => variable(out, *value as usize),
            Self::Binary(_, value) => binary(out, value),
            Self::Text(_, value) => binary(out, value.as_bytes()),
            Self::User(key, value) => {
                binary(out, key.as_bytes());
                binary(out, value.as_bytes());
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> anyhow::Result<Self> {
        let id = input.byte()?;
        Ok(match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Self::Byte(id, input.byte()?),
            0x13 | 0x21 | 0x22 | 0x23 => Self::Two(id, input.two()?),
            0x02 | 0x11 | 0x18 | 0x27 => Self::Four(id, input.four()?),
            0x0b => Self::Variable(id, u32::try_from(input.variable()?)?),
            0x09 | 0x16 => Self::Binary(id, input.binary()?.to_vec()),
            0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f => Self::Text(id, input.text()?),
            0x26 => Self::User(input.text()?, input.text()?),
            other => bail!("the server sent property 0x{other:02x}, which does not exist"),
        })
    }
}

/// Properties in the order in which they came.
pub type Properties = Vec<Property>;

/// A packet from the server, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    ConnAck {
        session_present: bool,
        code: u8,
        properties: Properties,
    },
    Publish {
        dup: bool,
        qos: u8,
        retain: bool,
        topic: String,
        id: u16,
        properties: Properties,
        payload: Vec<u8>,
    },
    /// PUBACK 4, PUBREC 5, PUBREL 6, PUBCOMP 7.
    Ack {
        kind: u8,
        id: u16,
        code: u8,
        properties: Properties,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
        properties: Properties,
    },
    UnsubAck {
        id: u16,
        codes: Vec<u8>,
        properties: Properties,
    },
    PingResp,
    Disconnect {
        code: u8,
        properties: Properties,
    },
    Auth {
        code: u8,
        properties: Properties,
    },
}

impl Packet {
    /// Reads the body of a packet whose first byte was `first`.
    ///
    /// # Errors
    /// When the server broke the specification.
    pub fn read(first: u8, body: &[u8], version: Version) -> anyhow::Result<Self> {
        let mut input = Reader { rest: body };
        let packet = Self::parse(first, &mut input, version)
            .with_context(|| format!("packet type {} of {} bytes", first >> 4, body.len()))?;
        anyhow::ensure!(input.rest.is_empty(), "{} bytes too many in {packet:?}", input.rest.len());
        Ok(packet)
    }

    fn parse(first: u8, input: &mut Reader<'_>, version: Version) -> anyhow::Result<Self> {
        let v5 = version == Version::V5;
        let flags = first & 0x0f;
        let kind = first >> 4;
        let expected = if kind == 6 { 2 } else { 0 };
        anyhow::ensure!(kind == 3 || flags == expected, "reserved flags {flags:#x}");
        Ok(match kind {
            2 => {
                let (flags, code) = (input.byte()?, input.byte()?);
                anyhow::ensure!(flags <= 1, "reserved CONNACK flags {flags:#x}");
                let properties = input.properties(v5)?;
                Self::ConnAck { session_present: flags == 1, code, properties }
            }
            3 => {
                let qos = flags >> 1 & 3;
                let topic = input.text()?;
                let id = if qos > 0 { input.two()? } else { 0 };
                let properties = input.properties(v5)?;
                let payload = input.all().to_vec();
                let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
                Self::Publish { dup, qos, retain, topic, id, properties, payload }
            }
            4..=7 => {
                let id = input.two()?;
                let (code, properties) = input.optional_code(v5)?;
                Self::Ack { kind, id, code, properties }
            }
            9 => Self::SubAck {
                id: input.two()?,
                properties: input.properties(v5)?,
                codes: input.all().to_vec(),
            },
            11 => Self::UnsubAck {
                id: input.two()?,
                properties: input.properties(v5)?,
                codes: input.all().to_vec(),
            },
            13 => Self::PingResp,
            14 if v5 => {
                let (code, properties) = input.optional_code(true)?;
                Self::Disconnect { code, properties }
            }
            15 if v5 => {
                let (code, properties) = input.optional_code(true)?;
                Self::Auth { code, properties }
            }
            other => bail!("a server must not send packet type {other}"),
        })
    }
}

/// Appends a packet: first byte, remaining length, body.
pub fn frame(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    variable(out, body.len());
    out.extend_from_slice(body);
}

/// Appends a variable byte integer.
pub fn variable(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Appends bytes with their two-byte length.
///
/// # Panics
/// When there are more than 65,535: a mistake of the test.
pub fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("a test string fits two bytes of length");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a property block with its length.
pub fn properties(out: &mut Vec<u8>, list: &[Property]) {
    let mut block = Vec::new();
    list.iter().for_each(|property| property.write(&mut block));
    variable(out, block.len());
    out.extend_from_slice(&block);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).context("cut off")?;
        self.rest = rest;
        Ok(head)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn two(&mut self) -> anyhow::Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn four(&mut self) -> anyhow::Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn variable(&mut self) -> anyhow::Result<usize> {
        let mut value = 0;
        for shift in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a variable byte integer of more than four bytes")
    }

    fn binary(&mut self) -> anyhow::Result<&'a [u8]> {
        let length = self.two()?;
        self.take(length.into())
    }

    fn text(&mut self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.binary()?.to_vec())?)
    }

    fn properties(&mut self, v5: bool) -> anyhow::Result<Properties> {
        if !v5 {
            return Ok(Properties::new());
        }
        let length = self.variable()?;
        let mut block = Reader { rest: self.take(length)? };
        let mut list = Properties::new();
        while !block.rest.is_empty() {
            list.push(Property::read(&mut block)?);
        }
        Ok(list)
    }

    /// Reason code and properties that may both be left out (MQTT 5.0 §3.4.2.1).
    fn optional_code(&mut self, v5: bool) -> anyhow::Result<(u8, Properties)> {
        if !v5 || self.rest.is_empty() {
            return Ok((0, Properties::new()));
        }
        let code = self.byte()?;
        let properties =
            if self.rest.is_empty() { Properties::new() } else { self.properties(true)? };
        Ok((code, properties))
    }
}
