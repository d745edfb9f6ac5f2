//! A client's connection as the workloads use it: short limits, nothing retried silently, every
//! step written down.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos::arena::Arena;
use crate::chaos::history::{Kind, Op};
use crate::client::{Client, Connect, Packet};

/// How long a client waits for a CONNACK, an acknowledgement or a PINGRESP.
pub(super) const PATIENCE: Duration = Duration::from_millis(2_500);

/// What came of waiting.
pub(super) enum Next {
    Packet(Packet),
    Nothing,
    /// The connection is gone.
    Ended,
}

/// Waits for a packet.
pub(super) fn next(client: &mut Client, limit: Duration) -> Next {
    let begun = Instant::now();
    match client.receive(limit) {
        Ok(Some(packet)) => Next::Packet(packet),
        Err(_) if begun.elapsed() >= limit => Next::Nothing,
        Ok(None) | Err(_) => Next::Ended,
    }
}

/// Connects to a place and writes down how it went; gives whether the session was present.
pub(super) fn connect(
    arena: &Arena,
    connect: &Connect,
    place: usize,
    persistent: bool,
) -> Option<(Client, bool)> {
    let (proc, node) = (connect.client_id.as_str(), arena.name(place));
    let note =
        |kind: Kind, value: Value| arena.recorder.add(kind, proc, Op::Connect, "", value, node);
    note(Kind::Invoke, Value::Null);
    let port = arena.grid.mqtt_port(place);
    let opened = Client::open(port, connect.version)
        .and_then(|mut client| client.send(&connect.encode()).map(|()| client));
    let Ok(mut client) = opened else {
        note(Kind::Info, Value::Null);
        return None;
    };
    match next(&mut client, PATIENCE) {
        Next::Packet(Packet::ConnAck { session_present, code: 0, .. }) => {
            note(Kind::Ok, json!({"present": session_present, "persistent": persistent}));
            Some((client, session_present))
        }
        Next::Packet(Packet::ConnAck { code, .. }) => {
            note(Kind::Fail, json!({"code": code}));
            None
        }
        _ => {
            note(Kind::Info, Value::Null);
            None
        }
    }
}

/// Writes down that a connection is gone or given up.
pub(super) fn gone(arena: &Arena, proc: &str, place: usize) {
    arena.recorder.add(Kind::Info, proc, Op::Disconnect, "", Value::Null, arena.name(place));
}

/// Whether a plain client gets through a place: connect, ping, and away.
pub(crate) fn ping(port: u16, client_id: &str) -> bool {
    let connect = Connect::new(client_id);
    let Ok(mut client) = Client::open(port, connect.version) else { return false };
    client.send(&connect.encode()).is_ok()
        && matches!(next(&mut client, PATIENCE), Next::Packet(Packet::ConnAck { code: 0, .. }))
        && client.disconnect().is_ok()
}
