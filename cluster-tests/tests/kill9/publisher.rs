//! A publisher that keeps its promises: it repeats what was not acknowledged, in order, with the
//! same packet ids, after each reconnect (MQTT 5.0 §4.4).

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use cluster_tests::client::{Client, Connect, Packet, Version, binary};

use crate::load::{Load, Next, next};

/// Messages on their way at once.
const WINDOW: usize = 8;
/// Between two messages; keeps what the absent subscribers miss below their limit.
const PACE: Duration = Duration::from_millis(4);
const PACKET_ID_NOT_FOUND: u8 = 0x92;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Publisher {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    connect: Connect,
    next: u64,
    window: VecDeque<OnItsWay>,
}

struct OnItsWay {
    number: u64,
    /// PUBREC came, so PUBREL is to be repeated instead.
    released: bool,
    /// Sent again after a reconnect.
    repeated: bool,
}

/// How a connection ended.
enum End {
    Finished,
    Lost,
}

impl Publisher {
    pub(crate) fn new(version: Version, qos: u8) -> Self {
        let id = format!("publisher-{version:?}-{qos}");
        Self {
            topic: format!("kill9/{version:?}/{qos}"),
            qos,
            connect: Connect { version, ..Connect::new(&id) }.persistent(),
            next: 0,
            window: VecDeque::new(),
        }
    }

    /// Publishes until told to stop; gives topic and number of messages, all acknowledged.
    pub(crate) fn run(mut self, load: &Load) -> anyhow::Result<(String, u64)> {
        let mut again = false;
        loop {
            let mut client = load.connect(&self.connect, again)?;
            again = true;
            if self.repeat(&mut client, load).is_err() {
                continue;
            }
            match self.talk(&mut client, load).with_context(|| self.connect.client_id.clone())? {
                End::Finished => return Ok((self.topic, self.next)),
                End::Lost => load.go_on()?,
            }
        }
    }

    /// An error is a lost connection.
    fn repeat(&mut self, client: &mut Client, load: &Load) -> anyhow::Result<()> {
        self.window.iter_mut().for_each(|message| message.repeated = true);
        for message in &self.window {
            load.resent.fetch_add(1, Ordering::Relaxed);
            if message.released {
                client.ack(6, packet_id(message.number))?;
            } else {
                self.send(client, message.number, true)?;
            }
        }
        Ok(())
    }

    fn talk(&mut self, client: &mut Client, load: &Load) -> anyhow::Result<End> {
        loop {
            let stopping = load.stop.load(Ordering::Relaxed);
            if stopping && self.window.is_empty() {
                return Ok(End::Finished);
            }
            let may_send = !stopping && self.window.len() < WINDOW;
            if may_send {
                let number = self.next;
                self.next += 1;
                self.window.push_back(OnItsWay { number, released: false, repeated: false });
                if self.send(client, number, false).is_err() {
                    return Ok(End::Lost);
                }
            }
            match next(client, if may_send { PACE } else { ANSWER_LIMIT })? {
                Next::Packet(packet) => {
                    if self.answered(client, load, &packet)?.is_err() {
                        return Ok(End::Lost);
                    }
                }
                Next::Nothing => ensure!(may_send, "no acknowledgement in {ANSWER_LIMIT:?}"),
                Next::Ended => return Ok(End::Lost),
            }
        }
    }

    /// The inner error is a lost connection.
    fn answered(
        &mut self,
        client: &mut Client,
        load: &Load,
        packet: &Packet,
    ) -> anyhow::Result<anyhow::Result<()>> {
        let Packet::Ack { kind, id, code, .. } = *packet else {
            anyhow::bail!("unexpected {packet:?}")
        };
        let place = self.window.iter().position(|message| packet_id(message.number) == id);
        // The PUBREL before the kill was the last the server needed; it forgot the id since
        // (MQTT 5.0 §4.3.3: no error while recovering).
        let forgotten = kind == 7
            && code == PACKET_ID_NOT_FOUND
            && place.is_some_and(|place| self.window[place].repeated);
        ensure!(code == 0 || forgotten, "refused: {packet:?}");
        match (kind, place) {
            (4, Some(place)) if self.qos == 1 => {
                self.window.remove(place);
                load.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            (5, Some(place)) if self.qos == 2 => {
                self.window[place].released = true;
                return Ok(client.ack(6, id));
            }
            (7, Some(place)) if self.window[place].released => {
                self.window.remove(place);
                load.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            _ => anyhow::bail!("nobody asked for {packet:?}"),
        }
        Ok(Ok(()))
    }

    /// PUBLISH with the number and some filling, so that packets have all sizes.
    fn send(&self, client: &mut Client, number: u64, dup: bool) -> anyhow::Result<()> {
        let mut body = Vec::new();
        binary(&mut body, self.topic.as_bytes());
        body.extend_from_slice(&packet_id(number).to_be_bytes());
        if self.connect.version == Version::V5 {
            body.push(0);
        }
        body.extend_from_slice(&number.to_be_bytes());
        body.resize(body.len() + (number * 37 % 400) as usize, b'.');
        client.send_packet(0x30 | u8::from(dup) << 3 | self.qos << 1, &body)
    }
}

/// Never 0, and no two on their way share one.
fn packet_id(number: u64) -> u16 {
    (number % 65_535) as u16 + 1
}
