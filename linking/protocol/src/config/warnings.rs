//! What is allowed, but probably not meant (C-5, C-11, 1.2, K1).

use super::{DurationOrInfinity, LinkConfig, Scheme, Verify};
use serde::Serialize;

/// One warning, for the log and the `warnings` array of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigWarning {
    /// Stable machine word.
    pub code: &'static str,
    pub message: String,
}

/// All warnings about one link.
pub fn warnings(link: &LinkConfig) -> Vec<ConfigWarning> {
    let mut found = Vec::new();
    let mut warn = |code, message: String| found.push(ConfigWarning { code, message });
    let probe = &link.resource_opts.health_check_interval;
    if let DurationOrInfinity::Finite(ttl) = &link.buffer.max_age
        && ttl.as_ms() <= probe.as_ms()
    {
        warn(
            "request_ttl_too_short",
            format!(
                "request_ttl ({}) is not longer than health_check_interval ({}): an outage expires the whole buffer before the first retry.",
                ttl.as_text(),
                probe.as_text()
            ),
        );
    }
    if link.ssl.enable && link.ssl.verify == Verify::None {
        warn(
            "tls_verify_none",
            "ssl.verify = verify_none: anybody on the way can read and change what this link carries. Set verify_peer and cacertfile.".to_owned(),
        );
    }
    if link.server.scheme() == Some(Scheme::Mqtts) && !link.ssl.enable {
        warn(
            "mqtts_requires_ssl_enable",
            "server begins with mqtts://, but ssl.enable is false: the connection is not encrypted.".to_owned(),
        );
    }
    let ignored: Vec<&str> = link.ssl.ignored.keys().map(String::as_str).collect();
    if link.ssl.enable && !ignored.is_empty() {
        warn(
            "ssl_fields_ignored",
            format!("These ssl fields have no effect here: {}.", ignored.join(", ")),
        );
    }
    found
}
