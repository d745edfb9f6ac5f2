//! rumqttc, a client library of another project; its two versions are two sets of types.

use std::time::Duration;

use anyhow::Context;
use rumqttc::v5::mqttbytes::v5 as five;
use rumqttc::{mqttbytes::v4 as four, v5};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::node;

const WAIT: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Version {
    V311,
    V5,
}

/// What of a client's life a scenario waits for.
#[derive(Debug, PartialEq)]
enum Seen {
    Connected { session_present: bool },
    Subscribed { granted: Option<u8> },
    Acknowledged,
    Message { topic: String, payload: Vec<u8>, qos: u8, retain: bool },
}

enum Side {
    Three(rumqttc::AsyncClient),
    Five(v5::AsyncClient),
}

/// One client; its connection is a task.
struct Peer {
    side: Side,
    seen: UnboundedReceiver<Seen>,
    /// Messages that came while something else was awaited.
    messages: Vec<Seen>,
    task: JoinHandle<()>,
    session_present: bool,
}

#[derive(Default)]
struct Options<'a> {
    persistent: bool,
    will: Option<(&'a str, &'a str)>,
}

impl Peer {
    async fn connect(
        port: u16,
        version: Version,
        name: &str,
        options: Options<'_>,
    ) -> anyhow::Result<Self> {
        let id = format!("rumqttc-{version:?}-{name}");
        let (tell, seen) = unbounded_channel();
        let (side, task) = match version {
            Version::V311 => start_three(id, port, &options, tell),
            Version::V5 => start_five(id, port, &options, tell),
        };
        let mut peer = Self { side, seen, messages: Vec::new(), task, session_present: false };
        let connected = peer.wait(|seen| matches!(seen, Seen::Connected { .. })).await;
        let session_present = Seen::Connected { session_present: true };
        peer.session_present =
            connected.with_context(|| format!("{name} is not let in"))? == session_present;
        Ok(peer)
    }

    async fn wait(&mut self, wanted: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        loop {
            let seen = tokio::time::timeout(WAIT, self.seen.recv()).await.context("in time")?;
            match seen.context("the connection has ended")? {
                seen if wanted(&seen) => return Ok(seen),
                message @ Seen::Message { .. } => self.messages.push(message),
                _ => {}
            }
        }
    }

    async fn subscribe(&mut self, filter: &str, qos: u8) -> anyhow::Result<()> {
        match &self.side {
            Side::Three(client) => client.subscribe(filter, three_qos(qos)).await?,
            Side::Five(client) => client.subscribe(filter, five_qos(qos)).await?,
        }
        let answer = self.wait(|seen| matches!(seen, Seen::Subscribed { .. })).await?;
        anyhow::ensure!(answer == Seen::Subscribed { granted: Some(qos) }, "{filter}: {answer:?}");
        Ok(())
    }

    async fn publish(&mut self, topic: &str, text: &str, qos: u8) -> anyhow::Result<()> {
        self.send(topic, text, qos, false).await
    }

    async fn send(&mut self, topic: &str, text: &str, qos: u8, retain: bool) -> anyhow::Result<()> {
        match &self.side {
            Side::Three(client) => client.publish(topic, three_qos(qos), retain, text).await?,
            Side::Five(client) => {
                client.publish(topic, five_qos(qos), retain, text.to_owned()).await?;
            }
        }
        if qos > 0 {
            self.wait(|seen| *seen == Seen::Acknowledged).await?;
        }
        Ok(())
    }

    /// Topic, payload, QoS and retain flag of the next message.
    async fn message(&mut self) -> anyhow::Result<(String, String, u8, bool)> {
        let message = if self.messages.is_empty() {
            self.wait(|seen| matches!(seen, Seen::Message { .. })).await?
        } else {
            self.messages.remove(0)
        };
        let Seen::Message { topic, payload, qos, retain } = message else {
            anyhow::bail!("unreachable: {message:?}")
        };
        Ok((topic, String::from_utf8(payload)?, qos, retain))
    }

    async fn text(&mut self) -> anyhow::Result<String> {
        Ok(self.message().await?.1)
    }

    /// DISCONNECT, and the end of the connection.
    async fn stop(self) -> anyhow::Result<()> {
        match &self.side {
            Side::Three(client) => client.disconnect().await?,
            Side::Five(client) => client.disconnect().await?,
        }
        tokio::time::timeout(WAIT, self.task).await.context("the end of the connection")??;
        Ok(())
    }

    /// Ends the connection without DISCONNECT.
    async fn cut(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn start_three(
    id: String,
    port: u16,
    options: &Options<'_>,
    tell: UnboundedSender<Seen>,
) -> (Side, JoinHandle<()>) {
    let mut connect = rumqttc::MqttOptions::new(id, "127.0.0.1", port);
    connect.set_keep_alive(KEEP_ALIVE).set_clean_session(!options.persistent);
    if let Some((topic, text)) = options.will {
        connect.set_last_will(rumqttc::LastWill::new(topic, text, three_qos(1), false));
    }
    let (client, mut events) = rumqttc::AsyncClient::new(connect, 16);
    let task = tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let rumqttc::Event::Incoming(packet) = event {
                three(packet).into_iter().for_each(|seen| drop(tell.send(seen)));
            }
        }
    });
    (Side::Three(client), task)
}

fn start_five(
    id: String,
    port: u16,
    options: &Options<'_>,
    tell: UnboundedSender<Seen>,
) -> (Side, JoinHandle<()>) {
    let mut connect = v5::MqttOptions::new(id, "127.0.0.1", port);
    connect.set_keep_alive(KEEP_ALIVE).set_clean_start(!options.persistent);
    if options.persistent {
        connect.set_session_expiry_interval(Some(600));
    }
    if let Some((topic, text)) = options.will {
        connect.set_last_will(five::LastWill::new(topic, text, five_qos(1), false, None));
    }
    let (client, mut events) = v5::AsyncClient::new(connect, 16);
    let task = tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let v5::Event::Incoming(packet) = event {
                self::five(packet).into_iter().for_each(|seen| drop(tell.send(seen)));
            }
        }
    });
    (Side::Five(client), task)
}

fn three(packet: four::Packet) -> Option<Seen> {
    Some(match packet {
        four::Packet::ConnAck(ack) => Seen::Connected { session_present: ack.session_present },
        four::Packet::SubAck(ack) => Seen::Subscribed {
            granted: match ack.return_codes.as_slice() {
                [four::SubscribeReasonCode::Success(qos)] => Some(*qos as u8),
                _ => None,
            },
        },
        four::Packet::PubAck(_) | four::Packet::PubComp(_) => Seen::Acknowledged,
        four::Packet::Publish(message) => Seen::Message {
            topic: message.topic,
            payload: message.payload.to_vec(),
            qos: message.qos as u8,
            retain: message.retain,
        },
        _ => return None,
    })
}

fn five(packet: five::Packet) -> Option<Seen> {
    Some(match packet {
        five::Packet::ConnAck(ack) => Seen::Connected { session_present: ack.session_present },
        five::Packet::SubAck(ack) => Seen::Subscribed {
            granted: match ack.return_codes.as_slice() {
                [five::SubscribeReasonCode::Success(qos)] => Some(*qos as u8),
                _ => None,
            },
        },
        five::Packet::PubAck(_) | five::Packet::PubComp(_) => Seen::Acknowledged,
        five::Packet::Publish(message) => Seen::Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.to_vec(),
            qos: message.qos as u8,
            retain: message.retain,
        },
        _ => return None,
    })
}

fn three_qos(qos: u8) -> rumqttc::QoS {
    rumqttc::qos(qos).expect("0 to 2")
}

fn five_qos(qos: u8) -> v5::mqttbytes::QoS {
    v5::mqttbytes::qos(qos).expect("0 to 2")
}

/// The scenarios of one version, one after another.
async fn everything(port: u16, version: Version) -> anyhow::Result<()> {
    let peer = |name: &'static str| Peer::connect(port, version, name, Options::default());
    let prefix = format!("rumqttc/{version:?}");
    let (mut one, mut two) = (peer("one").await?, peer("two").await?);
    every_qos(&prefix, &mut one, &mut two).await.context("every QoS")?;
    retained(&prefix, &mut one, &mut two).await.context("retained messages")?;
    shared(&prefix, &mut one, &mut two, peer("three").await?).await.context("a shared group")?;

    let topic = format!("{prefix}/will");
    one.subscribe(&topic, 1).await?;
    let options = Options { will: Some((&topic, "gone")), ..Options::default() };
    Peer::connect(port, version, "mortal", options).await?.cut().await;
    anyhow::ensure!(one.text().await? == "gone");

    let topic = format!("{prefix}/kept");
    let kept = || Options { persistent: true, ..Options::default() };
    let mut keeper = Peer::connect(port, version, "keeper", kept()).await?;
    anyhow::ensure!(!keeper.session_present);
    keeper.subscribe(&topic, 2).await?;
    keeper.stop().await?;
    for number in 0..20 {
        two.publish(&topic, &number.to_string(), 2).await?;
    }
    let mut keeper = Peer::connect(port, version, "keeper", kept()).await?;
    anyhow::ensure!(keeper.session_present);
    for number in 0..20 {
        anyhow::ensure!(keeper.text().await? == number.to_string());
    }
    keeper.stop().await?;
    one.stop().await?;
    two.stop().await
}

async fn every_qos(prefix: &str, one: &mut Peer, two: &mut Peer) -> anyhow::Result<()> {
    for granted in 0..=2 {
        let topic = format!("{prefix}/qos/{granted}");
        one.subscribe(&topic, granted).await?;
        for sent in 0..=2 {
            two.publish(&topic, "text", sent).await?;
            let expected = (topic.clone(), "text".to_owned(), sent.min(granted), false);
            let got = one.message().await?;
            anyhow::ensure!(got == expected, "{got:?}, not {expected:?}");
        }
    }
    Ok(())
}

async fn retained(prefix: &str, one: &mut Peer, two: &mut Peer) -> anyhow::Result<()> {
    let topic = format!("{prefix}/state");
    two.send(&topic, "on", 1, true).await?;
    one.subscribe(&topic, 1).await?;
    let got = one.message().await?;
    anyhow::ensure!(got == (topic.clone(), "on".to_owned(), 1, true), "{got:?}");
    two.send(&topic, "", 1, true).await?;
    anyhow::ensure!(one.text().await?.is_empty());
    one.subscribe(&topic, 1).await?;
    two.publish(&topic, "live", 1).await?;
    let got = one.message().await?;
    anyhow::ensure!(got == (topic, "live".to_owned(), 1, false), "{got:?}");
    Ok(())
}

async fn shared(
    prefix: &str,
    one: &mut Peer,
    two: &mut Peer,
    mut publisher: Peer,
) -> anyhow::Result<()> {
    let filter = format!("$share/group/{prefix}/job/+");
    one.subscribe(&filter, 1).await?;
    two.subscribe(&filter, 1).await?;
    for number in 10..30 {
        publisher.publish(&format!("{prefix}/job/1"), &number.to_string(), 1).await?;
    }
    let mut shares = [Vec::new(), Vec::new()];
    while shares[0].len() + shares[1].len() < 20 {
        let (member, text) = tokio::select! {
            text = one.text() => (0, text),
            text = two.text() => (1, text),
        };
        shares[member].push(text.with_context(|| format!("after {shares:?}"))?);
    }
    anyhow::ensure!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");
    let mut got = shares.concat();
    got.sort();
    let all: Vec<_> = (10..30).map(|number| number.to_string()).collect();
    anyhow::ensure!(got == all, "{got:?}");
    publisher.stop().await
}

#[tokio::test]
async fn rumqttc_does_everything_in_3_1_1() -> anyhow::Result<()> {
    let port = node().mqtt_port();
    everything(port, Version::V311).await
}

#[tokio::test]
async fn rumqttc_does_everything_in_5_0() -> anyhow::Result<()> {
    let port = node().mqtt_port();
    everything(port, Version::V5).await
}
