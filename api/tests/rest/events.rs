//! `/events`: what changes, as server-sent events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::rig::Rig;

/// A stream of a caller, and its status line.
fn open(rig: &Rig, credentials: &str) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(rig.apis[0].address.unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode(credentials);
    write!(
        stream,
        "GET /api/v5/events HTTP/1.1\r\nhost: x\r\nauthorization: Basic {basic}\r\n\r\n"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    (reader, status)
}

/// The next event of a topic.
fn next(reader: &mut BufReader<TcpStream>, topic: &str) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if line.trim_end() == format!("event: {topic}") {
            line.clear();
            reader.read_line(&mut line).unwrap();
            return serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        }
    }
}

#[test]
fn changes_are_told_to_whoever_listens_and_to_nobody_else() {
    let rig = Rig::start();
    let (_, refused) = open(&rig, "nobody:wrong");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let (mut reader, status) = open(&rig, "viewer:viewer-secret");
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    let cluster = next(&mut reader, "cluster");
    assert_eq!(
        (&cluster["quorum"], &cluster["nodes"][0]["role"]),
        (&json!(true), &json!("leader"))
    );
    let link = json!({ "name": "eu", "server": "127.0.0.1:1", "topics": ["t"] });
    rig.admin().post("/cluster/links", &link).expect(201);
    loop {
        let links = next(&mut reader, "links");
        if let Some(link) = links.as_array().and_then(|links| links.first()) {
            assert_eq!(link["name"], "eu");
            break;
        }
    }
    rig.admin().delete("/cluster/links/link/eu").expect(204);
    while next(&mut reader, "links") != json!([]) {}
}
