//! A client that writes and reads raw packets, so that nothing is hidden or repaired.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// One packet as it came: first byte and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Packet id of anything but CONNACK and PUBLISH.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }

    /// Reason code of a v5 acknowledgement; 0 when left out.
    pub fn code(&self) -> u8 {
        self.body.get(2).copied().unwrap_or(0)
    }
}

/// A PUBLISH taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    pub id: u16,
    pub properties: Vec<u8>,
    pub payload: Vec<u8>,
}

pub struct Client<S = TcpStream> {
    stream: S,
    v5: bool,
    buffer: Vec<u8>,
}

impl Client {
    pub fn dial(address: SocketAddr, v5: bool) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, v5)
    }

    /// A 3.1.1 client with a clean session.
    pub fn v3(address: SocketAddr, id: &str) -> Self {
        let mut client = Self::dial(address, false);
        assert_eq!(client.connect(&Connect::new(id)).body, [0, 0]);
        client
    }

    /// A 5.0 client with a clean start and no session after it.
    pub fn v5(address: SocketAddr, id: &str) -> Self {
        let mut client = Self::dial(address, true);
        assert_eq!(client.connect(&Connect::new(id)).body[..2], [0, 0]);
        client
    }

    pub fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }
}

/// What a CONNECT says.
#[derive(Debug, Clone)]
pub struct Connect {
    pub id: String,
    pub clean: bool,
    pub keep_alive: u16,
    pub username: Option<String>,
    /// Topic, payload, QoS, retain.
    pub will: Option<(String, Vec<u8>, u8, bool)>,
    pub will_properties: Vec<u8>,
    pub properties: Vec<u8>,
}

impl Connect {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            clean: true,
            keep_alive: 60,
            username: None,
            will: None,
            will_properties: Vec::new(),
            properties: Vec::new(),
        }
    }

    pub fn resume(id: &str, expiry_s: u32) -> Self {
        let mut properties = vec![0x11];
        properties.extend(expiry_s.to_be_bytes());
        Self { clean: false, properties, ..Self::new(id) }
    }

    pub fn user(mut self, name: &str) -> Self {
        self.username = Some(name.into());
        self
    }

    pub fn will(mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> Self {
        self.will = Some((topic.into(), payload.into(), qos, retain));
        self
    }

    fn body(&self, v5: bool) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT".to_vec();
        let mut flags = u8::from(self.clean) << 1 | u8::from(self.username.is_some()) << 7;
        if let Some((_, _, qos, retain)) = &self.will {
            flags |= 4 | qos << 3 | u8::from(*retain) << 5;
        }
        body.extend([if v5 { 5 } else { 4 }, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if v5 {
            put_list(&self.properties, &mut body);
        }
        put(self.id.as_bytes(), &mut body);
        if let Some((topic, payload, _, _)) = &self.will {
            if v5 {
                put_list(&self.will_properties, &mut body);
            }
            put(topic.as_bytes(), &mut body);
            put(payload, &mut body);
        }
        if let Some(name) = &self.username {
            put(name.as_bytes(), &mut body);
        }
        body
    }
}

pub fn put(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    into.extend(bytes);
}

fn put_list(list: &[u8], into: &mut Vec<u8>) {
    put_varint(list.len(), into);
    into.extend(list);
}

pub fn put_varint(mut value: usize, into: &mut Vec<u8>) {
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            into.push(byte);
            return;
        }
        into.push(byte | 0x80);
    }
}

fn take_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    put_varint(body.len(), &mut bytes);
    bytes.extend(body);
    bytes
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S, v5: bool) -> Self {
        Self { stream, v5, buffer: Vec::new() }
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn packet(&mut self, first: u8, body: &[u8]) {
        self.send(&packet(first, body));
    }

    pub fn connect(&mut self, connect: &Connect) -> Raw {
        let body = connect.body(self.v5);
        self.packet(0x10, &body);
        let connack = self.read();
        assert_eq!(connack.kind(), 2, "{connack:?}");
        connack
    }

    /// Subscribes to one filter; yields the code.
    pub fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.send_subscribe(1, &[(filter, options)], &[]);
        let suback = self.read();
        assert_eq!((suback.kind(), suback.id()), (9, 1), "{suback:?}");
        *suback.body.last().unwrap()
    }

    pub fn send_subscribe(&mut self, id: u16, filters: &[(&str, u8)], properties: &[u8]) {
        let mut body = id.to_be_bytes().to_vec();
        if self.v5 {
            put_list(properties, &mut body);
        }
        for (filter, options) in filters {
            put(filter.as_bytes(), &mut body);
            body.push(*options);
        }
        self.packet(0x82, &body);
    }

    pub fn unsubscribe(&mut self, filter: &str) -> Raw {
        let mut body = vec![0, 9];
        if self.v5 {
            body.push(0);
        }
        put(filter.as_bytes(), &mut body);
        self.packet(0xa2, &body);
        self.read()
    }

    /// `flags`: DUP, QoS and retain as in the first byte.
    pub fn publish(&mut self, flags: u8, topic: &str, id: u16, payload: &[u8]) {
        self.publish_with(flags, topic, id, &[], payload);
    }

    pub fn publish_with(&mut self, flags: u8, topic: &str, id: u16, list: &[u8], payload: &[u8]) {
        let mut body = Vec::new();
        put(topic.as_bytes(), &mut body);
        if flags & 6 != 0 {
            body.extend(id.to_be_bytes());
        }
        if self.v5 {
            put_list(list, &mut body);
        }
        body.extend(payload);
        self.packet(0x30 | flags, &body);
    }

    pub fn ack(&mut self, kind: u8, id: u16) {
        let flags = if kind == 6 { 2 } else { 0 };
        self.packet(kind << 4 | flags, &id.to_be_bytes());
    }

    fn next_in_buffer(&mut self) -> Option<Raw> {
        let (len, digits) = take_varint(self.buffer.get(1..)?)?;
        let total = 1 + digits + len;
        if self.buffer.len() < total {
            return None;
        }
        let bytes: Vec<u8> = self.buffer.drain(..total).collect();
        Some(Raw { first: bytes[0], body: bytes[1 + digits..].to_vec() })
    }

    /// The next packet; `None` at the end of the stream.
    pub fn try_read(&mut self) -> std::io::Result<Option<Raw>> {
        loop {
            if let Some(raw) = self.next_in_buffer() {
                return Ok(Some(raw));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                len => self.buffer.extend(&chunk[..len]),
            }
        }
    }

    pub fn read(&mut self) -> Raw {
        self.try_read().unwrap().expect("the broker has closed the connection")
    }

    pub fn read_kind(&mut self, kind: u8) -> Raw {
        let raw = self.read();
        assert_eq!(raw.kind(), kind, "{raw:?}");
        raw
    }

    pub fn read_publish(&mut self) -> Publish {
        let raw = self.read_kind(3);
        self.parse_publish(&raw)
    }

    pub fn parse_publish(&self, raw: &Raw) -> Publish {
        let body = &raw.body;
        let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + len].to_vec()).unwrap();
        let qos = raw.first >> 1 & 3;
        let mut at = 2 + len;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([body[at], body[at + 1]]);
            at += 2;
        }
        let mut properties = Vec::new();
        if self.v5 {
            let (len, digits) = take_varint(&body[at..]).unwrap();
            properties = body[at + digits..at + digits + len].to_vec();
            at += digits + len;
        }
        Publish {
            dup: raw.first & 8 != 0,
            qos,
            retain: raw.first & 1 != 0,
            topic,
            id,
            properties,
            payload: body[at..].to_vec(),
        }
    }

    /// Asserts that nothing but this PINGRESP comes: whatever was on its way arrived before it.
    pub fn assert_silent(&mut self) {
        self.send(&[0xc0, 0]);
        let raw = self.read();
        assert_eq!(raw.first, 0xd0, "{raw:?}");
    }

    /// Reads to the end; yields the code of a DISCONNECT, if one came.
    pub fn closed(&mut self) -> Option<u8> {
        let mut code = None;
        loop {
            match self.try_read() {
                Ok(Some(raw)) if raw.kind() == 14 => {
                    code = Some(raw.body.first().copied().unwrap_or(0));
                }
                Ok(Some(_)) => {}
                Ok(None) => return code,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return code,
                Err(error) => panic!("the broker did not close the connection: {error}"),
            }
        }
    }
}
