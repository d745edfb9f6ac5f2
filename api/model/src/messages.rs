//! Publishing over REST, and retained messages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How a payload is written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadEncoding {
    /// As text.
    #[default]
    Plain,
    /// Base64, for bytes.
    Base64,
}

/// One message to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Topic name.
    pub topic: String,
    /// The payload.
    #[serde(default)]
    pub payload: String,
    /// How the payload is written.
    #[serde(default)]
    pub payload_encoding: PayloadEncoding,
    /// 0, 1 or 2.
    #[serde(default)]
    #[schema(maximum = 2)]
    pub qos: u8,
    /// Whether it becomes the topic's retained message.
    #[serde(default)]
    pub retain: bool,
    /// Shown to rules and links as the publisher. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clientid: Option<String>,
    /// MQTT 5 properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<PublishProperties>,
}

/// MQTT 5 properties of a message (MQTT 5.0 §3.3.2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishProperties {
    /// 1: the payload is UTF-8 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1)]
    pub payload_format_indicator: Option<u8>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expiry_interval: Option<u32>,
    /// Topic name for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    /// As text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_data: Option<String>,
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Name and value pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_properties: Option<std::collections::BTreeMap<String, String>>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishResult {
    /// Its id in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// MQTT 5 code, when it was not simply taken: 16 = nobody wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<u8>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Which retained messages, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RetainedQuery {
    /// Only topics that this filter matches. Default: `#`.
    pub topic: Option<String>,
    /// About so many rows per page, 1 to 10,000. Default: 100.
    pub limit: Option<usize>,
    /// From the last page's `meta.cursor`.
    pub cursor: Option<String>,
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetainedMessage {
    /// Topic name.
    pub topic: String,
    /// Its id in the cluster.
    pub msgid: String,
    /// QoS of the publish.
    pub qos: u8,
    /// RFC 3339.
    pub publish_at: String,
    /// Client id of the publisher.
    pub from_clientid: String,
    /// User name of the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_username: Option<String>,
    /// RFC 3339, when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_at: Option<String>,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// Base64; only in the answer about one topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}
