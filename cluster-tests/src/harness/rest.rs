//! The REST client of the harness: blocking, never retries, keeps status and body of every answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// Status, body and headers we look at.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub etag: Option<String>,
    /// The node said that it could not ask the leader, and showed what it has.
    pub stale: bool,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none, with status and body.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("{}: {}", self.status, self.text))
    }

    /// The body as JSON when the status is `status`.
    ///
    /// # Errors
    /// When the status is another one.
    pub fn expect(&self, status: u16) -> anyhow::Result<Value> {
        anyhow::ensure!(
            self.status == status,
            "{} instead of {status}: {}",
            self.status,
            self.text
        );
        if self.text.is_empty() { Ok(Value::Null) } else { self.json() }
    }
}

/// One node's REST API with one key.
#[derive(Clone)]
pub struct Rest {
    base: String,
    authorization: String,
    agent: ureq::Agent,
}

impl Rest {
    #[must_use]
    pub fn new(address: SocketAddr, key: &str, secret: &str) -> Self {
        Self::within(address, key, secret, Duration::from_secs(15))
    }

    /// As [`Rest::new`], with a limit for each answer.
    #[must_use]
    pub fn within(address: SocketAddr, key: &str, secret: &str, limit: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .build();
        Self {
            base: format!("http://{address}/api/v5"),
            authorization: format!("Basic {}", base64(format!("{key}:{secret}").as_bytes())),
            agent: agent.into(),
        }
    }

    /// # Errors
    /// When no answer came; an HTTP error status is an answer.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        answer(self.agent.get(url).header("authorization", &self.authorization).call()?)
    }

    /// # Errors
    /// As [`Rest::get`].
    pub fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        answer(self.agent.delete(url).header("authorization", &self.authorization).call()?)
    }

    /// # Errors
    /// As [`Rest::get`].
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self.agent.post(format!("{}{path}", self.base));
        answer(request.header("authorization", &self.authorization).send_json(body)?)
    }

    /// # Errors
    /// As [`Rest::get`].
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self.agent.put(format!("{}{path}", self.base));
        answer(request.header("authorization", &self.authorization).send_json(body)?)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> anyhow::Result<Answer> {
    let etag = response.headers().get("etag").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let stale = response.headers().contains_key("x-spanmq-stale");
    Ok(Answer { status, text: response.body_mut().read_to_string()?, etag, stale })
}

/// Standard base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
