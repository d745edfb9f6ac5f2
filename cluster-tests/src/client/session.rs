//! One connection of the test client.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::packet::{self, Packet, Properties, Property, Version};

/// Longest wait for an answer that must come; generous, because machines are slow at times.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What a CONNECT says. `Connect::new("id")` is a clean start without credentials.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    pub version: Version,
    pub client_id: String,
    pub resume: bool,
    pub keep_alive_s: u16,
    pub username: Option<String>,
    pub password: Option<Vec<u8>>,
    pub properties: Properties,
    pub will: Option<Will>,
}

/// Will of a CONNECT.
#[derive(Debug, Clone, Default)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: Properties,
}

impl Connect {
    #[must_use]
    pub fn new(client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), ..Self::default() }
    }

    /// A session that outlives its connection: kept from an earlier one, for an hour after this.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.resume = true;
        if self.version == Version::V5 {
            self.properties.push(Property::Four(0x11, 3_600));
        }
        self
    }

    #[must_use]
    pub fn v311(mut self) -> Self {
        self.version = Version::V311;
        self
    }

    #[must_use]
    pub fn login(mut self, username: &str, password: &str) -> Self {
        self.username = Some(username.to_owned());
        self.password = Some(password.as_bytes().to_vec());
        self
    }

    #[must_use]
    pub fn property(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    #[must_use]
    pub fn will(mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> Self {
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        self.will = Some(Will { topic, payload, qos, retain, properties: Vec::new() });
        self
    }

    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let v5 = self.version == Version::V5;
        let mut body = Vec::new();
        packet::binary(&mut body, b"MQTT");
        body.push(if v5 { 5 } else { 4 });
        let mut flags = u8::from(!self.resume) << 1;
        flags |= u8::from(self.username.is_some()) << 7 | u8::from(self.password.is_some()) << 6;
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        body.push(flags);
        body.extend_from_slice(&self.keep_alive_s.to_be_bytes());
        if v5 {
            packet::properties(&mut body, &self.properties);
        }
        packet::binary(&mut body, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            if v5 {
                packet::properties(&mut body, &will.properties);
            }
            packet::binary(&mut body, will.topic.as_bytes());
            packet::binary(&mut body, &will.payload);
        }
        for text in [self.username.as_deref().map(str::as_bytes), self.password.as_deref()] {
            text.into_iter().for_each(|text| packet::binary(&mut body, text));
        }
        let mut out = Vec::new();
        packet::frame(&mut out, 0x10, &body);
        out
    }
}

/// An open connection. Packets that come while another answer is awaited are kept in order.
pub struct Client {
    stream: TcpStream,
    version: Version,
    input: Vec<u8>,
    waiting: VecDeque<Packet>,
    next_id: u16,
    largest: usize,
}

impl Client {
    /// Opens a TCP connection and sends nothing.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(port: u16, version: Version) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("nobody listens")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            version,
            input: Vec::new(),
            waiting: VecDeque::new(),
            next_id: 0,
            largest: 0,
        })
    }

    /// Connects and gives the CONNACK, whatever its code.
    ///
    /// # Errors
    /// When the connection ends before a CONNACK.
    pub fn try_connect(port: u16, connect: &Connect) -> anyhow::Result<(Self, Packet)> {
        let mut client = Self::open(port, connect.version)?;
        client.send(&connect.encode())?;
        let answer =
            client.receive(ANSWER_LIMIT)?.context("the connection ended before CONNACK")?;
        Ok((client, answer))
    }

    /// Connects; any refusal is an error. Gives whether the session was present.
    ///
    /// # Errors
    /// When refused.
    pub fn connect(port: u16, connect: &Connect) -> anyhow::Result<(Self, bool)> {
        match Self::try_connect(port, connect)? {
            (client, Packet::ConnAck { session_present, code: 0, .. }) => {
                Ok((client, session_present))
            }
            (_, other) => bail!("CONNECT answered by {other:?}"),
        }
    }

    /// Connects as `client_id` with a clean start of MQTT 5.0.
    ///
    /// # Errors
    /// When refused.
    pub fn simple(port: u16, client_id: &str) -> anyhow::Result<Self> {
        Ok(Self::connect(port, &Connect::new(client_id))?.0)
    }

    /// Version that this connection speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes of the largest packet that came so far.
    #[must_use]
    pub fn largest_packet(&self) -> usize {
        self.largest
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("the connection has ended")
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn send_packet(&mut self, first: u8, body: &[u8]) -> anyhow::Result<()> {
        let mut out = Vec::with_capacity(body.len() + 5);
        packet::frame(&mut out, first, body);
        self.send(&out)
    }

    fn id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// Subscribes and gives the reason codes of the SUBACK.
    ///
    /// # Errors
    /// When no SUBACK comes.
    pub fn subscribe_with(
        &mut self,
        filters: &[(&str, u8)],
        properties: &[Property],
    ) -> anyhow::Result<Vec<u8>> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            packet::properties(&mut body, properties);
        }
        for (filter, options) in filters {
            packet::binary(&mut body, filter.as_bytes());
            body.push(*options);
        }
        self.send_packet(0x82, &body)?;
        match self.answer(|p| matches!(p, Packet::SubAck { id: got, .. } if *got == id))? {
            Packet::SubAck { codes, .. } => Ok(codes),
            other => bail!("unreachable: {other:?}"),
        }
    }

    /// Subscribes to one filter; a refusal is an error.
    ///
    /// # Errors
    /// When refused, or when no SUBACK comes.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> anyhow::Result<()> {
        let codes = self.subscribe_with(&[(filter, qos)], &[])?;
        anyhow::ensure!(codes == [qos], "SUBACK for {filter}: {codes:02x?}");
        Ok(())
    }

    /// Unsubscribes and waits for the UNSUBACK.
    ///
    /// # Errors
    /// When none comes.
    pub fn unsubscribe(&mut self, filter: &str) -> anyhow::Result<()> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == Version::V5 {
            body.push(0);
        }
        packet::binary(&mut body, filter.as_bytes());
        self.send_packet(0xa2, &body)?;
        self.answer(|p| matches!(p, Packet::UnsubAck { id: got, .. } if *got == id))?;
        Ok(())
    }

    /// Sends PUBLISH without waiting; gives the packet id (0 at QoS 0).
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn send_publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
        properties: &[Property],
    ) -> anyhow::Result<u16> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 8);
        packet::binary(&mut body, topic.as_bytes());
        let id = if qos > 0 { self.id() } else { 0 };
        if qos > 0 {
            body.extend_from_slice(&id.to_be_bytes());
        }
        if self.version == Version::V5 {
            packet::properties(&mut body, properties);
        }
        body.extend_from_slice(payload);
        self.send_packet(0x30 | qos << 1 | u8::from(retain), &body)?;
        Ok(id)
    }

    /// Publishes and goes through the whole acknowledgement; gives the reason code.
    ///
    /// # Errors
    /// When the connection ends or no answer comes in time.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> anyhow::Result<u8> {
        let id = self.send_publish(topic, payload, qos, false, &[])?;
        self.finish_publish(id, qos)
    }

    /// As [`Client::publish`], with the retain flag.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish_retained(&mut self, topic: &str, payload: &[u8], qos: u8) -> anyhow::Result<u8> {
        let id = self.send_publish(topic, payload, qos, true, &[])?;
        self.finish_publish(id, qos)
    }

    /// Waits for PUBACK, or goes through PUBREC, PUBREL, PUBCOMP; gives the first reason code.
    ///
    /// # Errors
    /// When the connection ends or no answer comes in time.
    pub fn finish_publish(&mut self, id: u16, qos: u8) -> anyhow::Result<u8> {
        if qos == 0 {
            return Ok(0);
        }
        let first = if qos == 1 { 4 } else { 5 };
        let code = self.ack_code(first, id)?;
        if qos == 2 && code < 0x80 {
            self.send_packet(0x62, &id.to_be_bytes())?;
            self.ack_code(7, id)?;
        }
        Ok(code)
    }

    /// Reason code of the next packet of `kind` (PUBACK 4 … PUBCOMP 7) for `id`.
    ///
    /// # Errors
    /// When none comes in time, or the connection ended.
    pub fn ack_code(&mut self, kind: u8, id: u16) -> anyhow::Result<u8> {
        let wanted =
            |p: &Packet| matches!(p, Packet::Ack { kind: k, id: i, .. } if (*k, *i) == (kind, id));
        match self.answer(wanted)? {
            Packet::Ack { code, .. } => Ok(code),
            other => bail!("unreachable: {other:?}"),
        }
    }

    /// The first packet, kept or new, that `wanted` accepts; others stay kept.
    ///
    /// # Errors
    /// When none comes in time, or the connection ended.
    pub fn answer(&mut self, wanted: impl Fn(&Packet) -> bool) -> anyhow::Result<Packet> {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).context("just found");
        }
        let end = Instant::now() + ANSWER_LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.read_packet(left)?.context("the connection ended before the answer")? {
                packet if wanted(&packet) => return Ok(packet),
                packet => self.waiting.push_back(packet),
            }
        }
    }

    /// The next packet; none when the server closed the connection.
    ///
    /// # Errors
    /// When nothing came within `limit`, or what came is no packet.
    pub fn receive(&mut self, limit: Duration) -> anyhow::Result<Option<Packet>> {
        match self.waiting.pop_front() {
            Some(packet) => Ok(Some(packet)),
            None => self.read_packet(limit),
        }
    }

    /// The next application message, acknowledged; QoS 2 through PUBCOMP.
    ///
    /// # Errors
    /// When none came in time, or the connection ended.
    pub fn message(&mut self) -> anyhow::Result<Packet> {
        let packet = self.answer(|p| matches!(p, Packet::Publish { .. }))?;
        if let Packet::Publish { qos, id, .. } = packet {
            match qos {
                1 => self.send_packet(0x40, &id.to_be_bytes())?,
                2 => {
                    self.send_packet(0x50, &id.to_be_bytes())?;
                    self.answer(|p| matches!(p, Packet::Ack { kind: 6, id: i, .. } if *i == id))?;
                    self.send_packet(0x70, &id.to_be_bytes())?;
                }
                _ => {}
            }
        }
        Ok(packet)
    }

    /// Payload of the next application message, acknowledged.
    ///
    /// # Errors
    /// As [`Client::message`].
    pub fn payload(&mut self) -> anyhow::Result<Vec<u8>> {
        match self.message()? {
            Packet::Publish { payload, .. } => Ok(payload),
            other => bail!("unreachable: {other:?}"),
        }
    }

    /// Shows that nothing more is on its way: a PINGREQ is answered before any PUBLISH comes.
    ///
    /// # Errors
    /// When a message comes, or the connection ended.
    pub fn expect_silence(&mut self) -> anyhow::Result<()> {
        self.send_packet(0xc0, &[])?;
        let answered = self.answer(|p| matches!(p, Packet::PingResp | Packet::Publish { .. }))?;
        anyhow::ensure!(answered == Packet::PingResp, "unexpected {answered:?}");
        Ok(())
    }

    /// Acknowledges and gives what is sent to us until nothing comes between two PINGREQs and their
    /// answers. Two: what an acknowledgement made room for may follow the answer to a PINGREQ that
    /// was read together with it.
    ///
    /// # Errors
    /// When the connection ended.
    pub fn payloads_until_silence(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let (mut payloads, mut silent) = (Vec::new(), 0);
        while silent < 2 {
            silent += 1;
            self.send_packet(0xc0, &[])?;
            let awaited = |p: &Packet| matches!(p, Packet::PingResp | Packet::Publish { .. });
            while let Packet::Publish { qos, id, payload, .. } = self.answer(awaited)? {
                if qos == 1 {
                    self.send_packet(0x40, &id.to_be_bytes())?;
                }
                payloads.push(payload);
                silent = 0;
            }
        }
        Ok(payloads)
    }

    /// Waits until the server closes; gives what it still sent.
    ///
    /// # Errors
    /// When it does not close within `limit`.
    pub fn expect_close(&mut self, limit: Duration) -> anyhow::Result<Vec<Packet>> {
        let end = Instant::now() + limit;
        let mut last = Vec::new();
        while let Some(packet) = self.receive(end.saturating_duration_since(Instant::now()))? {
            last.push(packet);
        }
        Ok(last)
    }

    fn read_packet(&mut self, limit: Duration) -> anyhow::Result<Option<Packet>> {
        let end = Instant::now() + limit;
        loop {
            if let Some((first, header, whole)) = self.header()? {
                self.largest = self.largest.max(whole);
                let body: Vec<u8> = self.input.drain(..whole).skip(header).collect();
                return Packet::read(first, &body, self.version).map(Some);
            }
            let left = end.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.ended(),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    anyhow::ensure!(Instant::now() < end, "nothing came within {limit:?}");
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.ended(),
            }
        }
    }

    fn ended(&self) -> anyhow::Result<Option<Packet>> {
        anyhow::ensure!(self.input.is_empty(), "the server closed in the middle of a packet");
        Ok(None)
    }

    /// First byte, size of header, size of header and body, when all of it is there.
    fn header(&self) -> anyhow::Result<Option<(u8, usize, usize)>> {
        let mut length = 0;
        for at in 1..5 {
            let Some(byte) = self.input.get(at) else { return Ok(None) };
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            if byte & 0x80 == 0 {
                let whole = at + 1 + length;
                return Ok((self.input.len() >= whole).then_some((self.input[0], at + 1, whole)));
            }
        }
        bail!("the server sent a length of more than four bytes")
    }

    /// DISCONNECT with normal reason, then close.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn disconnect(mut self) -> anyhow::Result<()> {
        self.send_packet(0xe0, &[])?;
        self.stream.shutdown(Shutdown::Write)?;
        Ok(())
    }
}
