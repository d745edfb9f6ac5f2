//! From a [`LinkConfig`] to JSON: defaults filled in, absent optional fields omitted.

use super::ssl::{ignored_defaults, is_pem};
use super::{
    BufferConfig, BufferMode, DispatchStrategy, HopBufferMode, LinkConfig, Overflow, REDACTED,
    ResourceOpts, Secret, ServerName, SslConfig, TcpOpts, Verify,
};
use crate::binding::InboundRule;
use serde_json::{Map, Value, json};

/// Who reads the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// People and programs outside: secrets show as `******`.
    Redacted,
    /// Our own replicated state: everything. Never for answers or logs.
    Stored,
}

impl LinkConfig {
    /// The link object of R-4, without status.
    pub fn to_json(&self, reveal: Reveal) -> Value {
        let mut out = Map::new();
        out.insert("name".into(), json!(self.name));
        out.insert("enable".into(), json!(self.enable));
        out.insert("server".into(), json!(self.server.as_text()));
        out.insert("clientid".into(), json!(self.clientid));
        put(&mut out, "username", self.username.as_ref());
        put(&mut out, "password", self.password.as_ref().map(|p| password(p, reveal)));
        let topics: Vec<&str> = self.topics.iter().map(|filter| filter.as_str()).collect();
        out.insert("topics".into(), json!(topics));
        out.insert("ssl".into(), ssl(&self.ssl, reveal));
        out.insert("pool_size".into(), json!(self.pool_size));
        out.insert("retry_interval".into(), json!(self.retry_interval.as_text()));
        out.insert("max_inflight".into(), json!(self.max_inflight));
        put(&mut out, "tcp_opts", self.tcp_opts.as_ref().map(tcp_opts));
        out.insert("resource_opts".into(), resource_opts(&self.resource_opts, &self.buffer));
        out.insert("buffer".into(), buffer(&self.buffer));
        if !self.inbound.is_empty() {
            out.insert("inbound".into(), inbound(&self.inbound));
        }
        out.insert("share_client_address".into(), json!(self.share_client_address));
        out.insert("ps_actor_incarnation".into(), json!(self.ps_actor_incarnation));
        Value::Object(out)
    }
}

fn put<T: serde::Serialize>(out: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        out.insert(name.to_owned(), json!(value));
    }
}

fn password(secret: &Secret, reveal: Reveal) -> &str {
    match reveal {
        Reveal::Stored => secret.reveal(),
        Reveal::Redacted if secret.is_file_reference() => secret.reveal(),
        Reveal::Redacted => REDACTED,
    }
}

fn key(secret: &Secret, reveal: Reveal) -> &str {
    match reveal {
        Reveal::Redacted if is_pem(secret.reveal()) => REDACTED,
        _ => secret.reveal(),
    }
}

fn ssl(ssl: &SslConfig, reveal: Reveal) -> Value {
    let mut out = Map::new();
    out.insert("enable".into(), json!(ssl.enable));
    let verify = match ssl.verify {
        Verify::Peer => "verify_peer",
        Verify::None => "verify_none",
    };
    out.insert("verify".into(), json!(verify));
    put(&mut out, "cacertfile", ssl.cacertfile.as_ref());
    put(&mut out, "certfile", ssl.certfile.as_ref());
    put(&mut out, "keyfile", ssl.keyfile.as_ref().map(|secret| key(secret, reveal)));
    put(&mut out, "password", ssl.password.as_ref().map(|secret| password(secret, reveal)));
    let name = match &ssl.server_name_indication {
        ServerName::FromServer => None,
        ServerName::Name(name) => Some(name.as_str()),
        ServerName::Disable => Some("disable"),
    };
    put(&mut out, "server_name_indication", name);
    out.insert("depth".into(), json!(ssl.depth));
    let versions: Vec<&str> = ssl.versions.iter().map(|version| version.as_str()).collect();
    out.insert("versions".into(), json!(versions));
    for (name, default) in ignored_defaults() {
        put(&mut out, name, ssl.ignored.get(name).cloned().or(default));
    }
    Value::Object(out)
}

fn tcp_opts(opts: &TcpOpts) -> Value {
    let mut out = Map::new();
    put(&mut out, "active_n", opts.active_n);
    put(&mut out, "nodelay", opts.nodelay);
    put(&mut out, "sndbuf", opts.sndbuf.as_ref().map(|size| size.as_text()));
    put(&mut out, "recbuf", opts.recbuf.as_ref().map(|size| size.as_text()));
    put(&mut out, "buffer", opts.buffer.as_ref().map(|size| size.as_text()));
    put(&mut out, "keepalive", opts.keepalive);
    put(&mut out, "delay_send", opts.delay_send);
    Value::Object(out)
}

fn resource_opts(opts: &ResourceOpts, buffer: &BufferConfig) -> Value {
    let mode = match opts.buffer_mode {
        HopBufferMode::MemoryOnly => "memory_only",
        HopBufferMode::VolatileOffload => "volatile_offload",
    };
    let dispatch = match opts.dispatch_strategy {
        DispatchStrategy::PerClientId => "per_clientid",
        DispatchStrategy::Random => "random",
    };
    let mut out = Map::new();
    out.insert("buffer_mode".into(), json!(mode));
    out.insert("worker_pool_size".into(), json!(opts.worker_pool_size));
    out.insert("dispatch_strategy".into(), json!(dispatch));
    for (name, text) in [
        ("health_check_interval", opts.health_check_interval.as_text()),
        ("health_check_interval_jitter", opts.health_check_interval_jitter.as_text()),
        ("health_check_timeout", opts.health_check_timeout.as_text()),
        ("start_timeout", opts.start_timeout.as_text()),
        ("request_ttl", buffer.max_age.as_text()),
    ] {
        out.insert(name.into(), json!(text));
    }
    out.insert("inflight_window".into(), json!(opts.inflight_window));
    out.insert("max_buffer_bytes".into(), json!(buffer.disk_max_bytes.as_text()));
    put(&mut out, "buffer_seg_bytes", opts.buffer_seg_bytes.as_ref().map(|size| size.as_text()));
    put(&mut out, "resume_interval", opts.resume_interval.as_ref().map(|span| span.as_text()));
    let flush = opts.metrics_flush_interval.as_ref();
    put(&mut out, "metrics_flush_interval", flush.map(|span| span.as_text()));
    Value::Object(out)
}

fn buffer(buffer: &BufferConfig) -> Value {
    let mode = match buffer.mode {
        BufferMode::Disk => "disk",
        BufferMode::Memory => "memory",
    };
    let overflow = match buffer.overflow {
        Overflow::DropOldest => "drop_oldest",
        Overflow::DropNewest => "drop_newest",
        Overflow::RejectQos1 => "reject_qos1",
    };
    json!({
        "mode": mode,
        "disk_max_bytes": buffer.disk_max_bytes.as_text(),
        "memory_max_bytes": buffer.memory_max_bytes.as_text(),
        "max_age": buffer.max_age.as_text(),
        "overflow": overflow,
    })
}

fn inbound(rule: &InboundRule) -> Value {
    let mut out = Map::new();
    put(&mut out, "clientid_prefix", rule.clientid_prefix.as_ref());
    put(&mut out, "username", rule.username.as_ref());
    put(&mut out, "cert_cn", rule.cert_cn.as_ref());
    Value::Object(out)
}
