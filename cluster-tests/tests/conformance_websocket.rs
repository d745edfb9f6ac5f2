//! MQTT over WebSocket (MQTT 5.0 §6; 3.1.1 §6).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Connect, Version};
use cluster_tests::harness::{Lease, NodeOptions, SharedNode};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

static NODE: LazyLock<SharedNode> = LazyLock::new(|| {
    let options = NodeOptions {
        flags: vec!["--dev".to_owned()],
        config: Some("listeners.ws.default { bind = \"127.0.0.1:0\" }\n".to_owned()),
        ..NodeOptions::default()
    };
    SharedNode::start(env!("CARGO_TARGET_TMPDIR"), "websocket", options, &[])
});

/// A WebSocket after its upgrade; frames are written and read one by one.
struct Socket {
    stream: TcpStream,
}

impl Socket {
    fn request(node: &Lease, path: &str, headers: &str) -> anyhow::Result<(Self, String)> {
        let address = node.addresses().mqtt.get("ws:default").context("no listener ws:default")?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte)? == 0 {
                break;
            }
            answer.push(byte[0]);
        }
        Ok((Self { stream }, String::from_utf8(answer)?))
    }

    fn open(node: &Lease) -> anyhow::Result<Self> {
        let (socket, answer) = Self::request(node, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Ok(socket)
    }

    fn connected(node: &Lease, version: Version, id: &str) -> anyhow::Result<Self> {
        let mut socket = Self::open(node)?;
        socket.send(true, BINARY, &hello(version, id))?;
        socket.expect(&connack_start(version))?;
        Ok(socket)
    }

    /// A masked frame.
    fn send(&mut self, last: bool, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![u8::from(last) << 7 | opcode];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => out.push(0x80 | length),
            _ => {
                out.push(0x80 | 126);
                out.extend(u16::try_from(payload.len())?.to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        Ok(self.stream.write_all(&out)?)
    }

    /// Opcode and payload of the next frame; none when the connection has ended.
    fn frame(&mut self) -> anyhow::Result<Option<(u8, Vec<u8>)>> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                anyhow::bail!("nothing came")
            }
            Err(_) => return Ok(None),
        }
        anyhow::ensure!(head[1] & 0x80 == 0, "a server does not mask");
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut long = [0; 2];
            self.stream.read_exact(&mut long)?;
            length = u16::from_be_bytes(long).into();
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok(Some((head[0] & 0x0f, payload)))
    }

    /// The next bytes of MQTT begin with `start`, and all frames are binary.
    fn expect(&mut self, start: &[u8]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        while bytes.len() < start.len() {
            let (opcode, payload) = self.frame()?.context("closed")?;
            anyhow::ensure!(opcode == BINARY, "frame of type {opcode}");
            bytes.extend(payload);
        }
        anyhow::ensure!(bytes.starts_with(start), "{bytes:02x?} instead of {start:02x?}");
        Ok(())
    }

    /// The server ends the connection and says nothing more in MQTT.
    fn expect_close(&mut self) -> anyhow::Result<()> {
        while let Some((opcode, payload)) = self.frame()? {
            anyhow::ensure!(opcode == CLOSE, "frame of type {opcode}: {payload:02x?}");
        }
        Ok(())
    }
}

fn hello(version: Version, id: &str) -> Vec<u8> {
    Connect { version, ..Connect::new(&format!("{id}-{version:?}")) }.encode()
}

fn connack_start(version: Version) -> Vec<u8> {
    if version == Version::V5 { vec![0x20] } else { vec![0x20, 2, 0, 0] }
}

fn node() -> Lease {
    NODE.lease()
}

// [MQTT-6.0.0-4] [MQTT311-6.0.0-4]
#[test]
fn the_upgrade_selects_subprotocol_mqtt() -> anyhow::Result<()> {
    let node = node();
    for offered in ["mqtt", "mqtt, other", "other, mqtt"] {
        let header = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let (_, answer) = Socket::request(&node, "/mqtt", &header)?;
        let lower = answer.to_ascii_lowercase();
        assert!(lower.starts_with("http/1.1 101"), "{offered}: {answer}");
        assert!(lower.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{offered}: {answer}");
        // RFC 6455 §1.3 computes this one.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    }
    for (path, header) in [("/other", "Sec-WebSocket-Protocol: mqtt\r\n"), ("/mqtt", "")] {
        let (_, answer) = Socket::request(&node, path, header)?;
        assert!(!answer.starts_with("HTTP/1.1 101"), "{path}: {answer}");
    }
    Ok(())
}

// [MQTT-6.0.0-2] [MQTT311-6.0.0-2]
#[test]
fn packets_and_frames_need_not_be_aligned() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        // Each byte in a frame of its own.
        let mut socket = Socket::open(&node)?;
        for byte in hello(version, "bytes") {
            socket.send(true, BINARY, &[byte])?;
        }
        socket.expect(&connack_start(version))?;
        // Several packets and the start of one in a frame, its end in the next.
        socket.send(true, BINARY, &[0xc0, 0, 0xc0, 0, 0xc0])?;
        socket.expect(&[0xd0, 0, 0xd0, 0])?;
        socket.send(true, BINARY, &[0])?;
        socket.expect(&[0xd0, 0])?;
        // A fragmented message with a ping in the middle, which is answered.
        socket.send(false, BINARY, &[0xc0])?;
        socket.send(true, PING, b"hi")?;
        assert_eq!(socket.frame()?, Some((PONG, b"hi".to_vec())));
        socket.send(true, CONTINUATION, &[0])?;
        socket.expect(&[0xd0, 0])?;
        // CONNECT and what follows it in one frame of more than 125 bytes.
        let mut socket = Socket::open(&node)?;
        let mut bytes = hello(version, &"x".repeat(150));
        bytes.extend([0xc0, 0]);
        socket.send(true, BINARY, &bytes)?;
        socket.expect(&connack_start(version))?;
    }
    Ok(())
}

// [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
#[test]
fn frames_that_are_not_binary_end_the_connection() -> anyhow::Result<()> {
    let node = node();
    for version in VERSIONS {
        let mut socket = Socket::connected(&node, version, "text")?;
        socket.send(true, TEXT, &[0xc0, 0])?;
        socket.expect_close()?;
        let mut socket = Socket::open(&node)?;
        socket.send(true, TEXT, &hello(version, "text-first"))?;
        socket.expect_close()?;
        // An opcode that RFC 6455 keeps for later.
        let mut socket = Socket::connected(&node, version, "reserved")?;
        socket.send(true, 3, &[0xc0, 0])?;
        socket.expect_close()?;
    }
    Ok(())
}
