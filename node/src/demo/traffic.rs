//! Devices that publish in us-east, services that listen in eu-west: rumqttc, a client that we did
//! not write. Sessions are persistent, so that a killed node must not cost a message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use parking_lot::Mutex;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};

use super::clusters::Clusters;

const DEVICES: usize = 3;
/// Publishes that wait inside of a client while its node is away.
const WAITING_MAX: usize = 10_000;

#[derive(Default)]
struct Shared {
    published: AtomicU64,
    /// (device, number) of what was acknowledged.
    acknowledged: Mutex<HashSet<(u8, u64)>>,
    /// What arrived, how often.
    arrived: Mutex<HashMap<(u8, u64), u32>>,
    latencies_us: Mutex<Vec<u64>>,
    publishing: AtomicBool,
    listening: AtomicBool,
}

/// Numbers of this moment.
pub(super) struct Counters {
    pub(super) published: u64,
    pub(super) acknowledged: u64,
    pub(super) crossed: u64,
    pub(super) duplicates: u64,
    /// Acknowledged, but not there (yet).
    pub(super) missing: u64,
    /// Since the last look, in microseconds, sorted.
    pub(super) latencies_us: Vec<u64>,
}

impl Counters {
    pub(super) fn lost(&self) -> u64 {
        self.missing
    }
}

pub(super) struct Traffic {
    shared: Arc<Shared>,
    devices: Vec<JoinHandle<()>>,
    service: Option<JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(clusters: &Clusters, rate: u32) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.publishing.store(true, Ordering::Relaxed);
        shared.listening.store(true, Ordering::Relaxed);
        let (client, connection) = connect("service", clusters.port(1, 2));
        client.subscribe("fleet/+/position", QoS::AtLeastOnce)?;
        let service = spawn("service", {
            let shared = shared.clone();
            move || listen(&shared, connection)
        })?;
        wait_for_route(clusters)?;
        let mut devices = Vec::new();
        for device in 0..DEVICES {
            let (client, connection) =
                connect(&format!("device-{device}"), clusters.port(0, device));
            let pause = Duration::from_secs_f64(DEVICES as f64 / f64::from(rate));
            let number = u8::try_from(device).unwrap_or(0);
            let sending = shared.clone();
            devices.push(spawn("device", move || publish(&sending, &client, number, pause))?);
            let acks = shared.clone();
            devices.push(spawn("device-acks", move || acknowledge(&acks, connection, number))?);
        }
        Ok(Self { shared, devices, service: Some(service) })
    }

    pub(super) fn counters(&self) -> Counters {
        let shared = &self.shared;
        let acknowledged = shared.acknowledged.lock();
        let arrived = shared.arrived.lock();
        let mut latencies_us = std::mem::take(&mut *shared.latencies_us.lock());
        latencies_us.sort_unstable();
        Counters {
            published: shared.published.load(Ordering::Relaxed),
            acknowledged: acknowledged.len() as u64,
            crossed: arrived.len() as u64,
            duplicates: arrived.values().map(|count| u64::from(count - 1)).sum(),
            missing: acknowledged.iter().filter(|key| !arrived.contains_key(*key)).count() as u64,
            latencies_us,
        }
    }

    /// Stops publishing, waits until everything acknowledged has arrived, at most `limit`.
    pub(super) fn finish(mut self, limit: Duration) -> Counters {
        self.shared.publishing.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut counters = self.counters();
        while (counters.missing > 0 || counters.acknowledged < counters.published)
            && start.elapsed() < limit
        {
            std::thread::sleep(Duration::from_millis(50));
            counters = self.counters();
        }
        self.shared.listening.store(false, Ordering::Relaxed);
        for thread in self.devices.drain(..).chain(self.service.take()) {
            let _ = thread.join();
        }
        counters
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.context("the system refuses a thread")
}

fn connect(client_id: &str, port: u16) -> (Client, Connection) {
    let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_clean_start(false);
    options.set_keep_alive(Duration::from_secs(5));
    let properties =
        ConnectProperties { session_expiry_interval: Some(3_600), ..ConnectProperties::new() };
    options.set_connect_properties(properties);
    Client::new(options, WAITING_MAX)
}

/// The first message shall cross: wait until the subscription is known on the other side. It is
/// there within the 10 ms in which changes are gathered, plus a round trip.
fn wait_for_route(clusters: &Clusters) -> anyhow::Result<()> {
    clusters.wait_for_routes(1)
}

fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn publish(shared: &Shared, client: &Client, device: u8, pause: Duration) {
    let mut due = Instant::now();
    for number in 0.. {
        if !shared.publishing.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause;
        let payload = format!("{device} {number} {}", micros());
        let topic = format!("fleet/truck-{device}/position");
        if client.publish(topic, QoS::AtLeastOnce, false, payload).is_err() {
            return;
        }
        shared.published.fetch_add(1, Ordering::Relaxed);
    }
}

/// rumqttc acknowledges in the order of publishing, so the n-th PUBACK belongs to number n.
fn acknowledge(shared: &Shared, mut connection: Connection, device: u8) {
    let mut open: HashMap<u16, u64> = HashMap::new();
    let mut next = 0;
    for event in connection.iter() {
        match event {
            Ok(Event::Outgoing(rumqttc::Outgoing::Publish(id))) => {
                // A repeat after a reconnect keeps its id.
                open.entry(id).or_insert_with(|| {
                    next += 1;
                    next - 1
                });
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                if let Some(number) = open.remove(&ack.pkid) {
                    shared.acknowledged.lock().insert((device, number));
                }
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        let done = !shared.listening.load(Ordering::Relaxed);
        if done {
            return;
        }
    }
}

fn listen(shared: &Shared, mut connection: Connection) {
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::Publish(publish))) => arrived(shared, &publish.payload),
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        if !shared.listening.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn arrived(shared: &Shared, payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    let mut words = text.split(' ');
    let mut word = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (Some(device), Some(number), Some(sent)) = (word(), word(), word()) else { return };
    let key = (u8::try_from(device).unwrap_or(u8::MAX), number);
    *shared.arrived.lock().entry(key).or_default() += 1;
    shared.latencies_us.lock().push(micros().saturating_sub(sent));
}
