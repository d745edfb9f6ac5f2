//! HTTP with JSON, and just enough MQTT 3.1.1 to be a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub headers: Vec<(String, String)>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// the message is JSON text.
    pub fn inner(&self) -> Value {
        serde_json::from_str(&self.message()).unwrap_or_else(|_| panic!("no inner JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{answer:?}");
        assert!(!answer.message().is_empty(), "{answer:?}");
        answer
    }
}

/// A caller of one node's API.
#[derive(Clone)]
pub struct Http {
    pub address: SocketAddr,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self { address, authorization: None, agent: agent.into() }
    }

    pub fn with(&self, authorization: &str) -> Self {
        Self { authorization: Some(authorization.to_owned()), ..self.clone() }
    }

    pub fn basic(&self, key: &str, secret: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{key}:{secret}"));
        self.with(&format!("Basic {pair}"))
    }

    pub fn bearer(&self, token: &str) -> Self {
        self.with(&format!("Bearer {token}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &[])
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &[])
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.call(method, path, Some(body.to_string()), &[("content-type", "application/json")])
    }

    pub fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/v5{path}", self.address));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.agent.run(request.body(body.unwrap_or_default()).unwrap());
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap_or("").to_owned();
        let headers = answer.headers().iter().map(|(name, v)| (name.to_string(), text(v)));
        let headers = headers.collect();
        let status = answer.status().as_u16();
        Answer { status, text: answer.body_mut().read_to_string().unwrap(), headers }
    }
}

/// A 3.1.1 client with a clean session.
pub struct Mqtt(TcpStream);

impl Mqtt {
    pub fn connect(address: SocketAddr, id: &str, username: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let flags = if username.is_some() { 0x82 } else { 0x02 };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
        put(&mut body, id);
        if let Some(name) = username {
            put(&mut body, name);
        }
        let mut client = Self(stream);
        client.send(0x10, &body);
        assert_eq!(client.read(), (0x20, vec![0, 0]));
        client
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 1];
        put(&mut body, filter);
        body.push(qos);
        self.send(0x82, &body);
        assert_eq!(self.read(), (0x90, vec![0, 1, qos]));
    }

    /// Topic and payload of the next QoS 0 message.
    pub fn receive(&mut self) -> (String, Vec<u8>) {
        let (first, body) = self.read();
        assert_eq!(first & 0xf6, 0x30, "no QoS 0 PUBLISH");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        (topic, body[2 + length..].to_vec())
    }

    /// Whether the broker closes the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 16]), Ok(0) | Err(_))
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        assert!(body.len() < 128);
        self.0.write_all(&[&[first, body.len() as u8], body].concat()).unwrap();
    }

    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert!(head[1] < 128);
        let mut body = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut body).unwrap();
        (head[0], body)
    }
}

fn put(into: &mut Vec<u8>, text: &str) {
    into.extend((text.len() as u16).to_be_bytes());
    into.extend(text.as_bytes());
}
