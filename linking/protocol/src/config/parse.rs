//! From a JSON object to a [`LinkConfig`], all violations collected (1.1…1.3).

use super::fields::Fields;
use super::redact::{drop_redacted, keep_stored_secrets};
use super::{
    BufferConfig, BufferMode, DispatchStrategy, HopBufferMode, LinkConfig, Overflow, ResourceOpts,
    Reveal, Scheme, Secret, ServerName, Servers, Span, SslConfig, TcpOpts, TlsVersion, TopicList,
    ValidationError, Verify,
};
use crate::binding::InboundRule;
use serde_json::{Map, Value, json};

/// Fields of answers that a client may send back; they are ignored.
const READ_ONLY: [&str; 10] = [
    "status",
    "node_status",
    "replication_status",
    "reason",
    "advice",
    "since",
    "warnings",
    "revision",
    "paused",
    "metrics",
];
/// Most connections of one pool. EMQX has no limit; a typing error must not cost every descriptor.
const POOL_SIZE_MAX: u32 = 1024;
const NAME_BYTES_MAX: usize = 254;
const HEALTH_CHECK_MS: std::ops::RangeInclusive<u64> = 1..=3_600_000;

/// What parsing needs to know besides the text.
#[derive(Debug, Clone, Copy)]
pub struct ParseContext<'a> {
    /// Name of this cluster: the default client id, and a name no link may have (C-3).
    pub local_cluster: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// REST create: the name rules of C-2 too.
    Create,
    /// REST update: the name comes from the path.
    Update,
    /// Configuration file: strict, but a scheme without TLS is a warning.
    File,
    /// Our own replicated state: unknown fields are those of a newer version.
    Stored,
}

/// Reads the body of a create. Redacted secrets are dropped.
///
/// # Errors
/// All violations; the text of the answer is [`super::all_errors_text`] with `PathBase::Create`.
pub fn parse_create(
    body: &Value,
    context: ParseContext<'_>,
) -> Result<LinkConfig, Vec<ValidationError>> {
    let mut body = body.clone();
    drop_redacted(&mut body);
    parse(&body, context, Strictness::Create)
}

/// Reads the body of an update. The path's name wins (C-4), redacted secrets keep the stored
/// value, the hidden counter stays what it is (C-12).
///
/// # Errors
/// All violations; the text of the answer is [`super::first_error_text`] with `PathBase::Update`.
pub fn parse_update(
    body: &Value,
    stored: &LinkConfig,
    context: ParseContext<'_>,
) -> Result<LinkConfig, Vec<ValidationError>> {
    let mut body = body.clone();
    let old = stored.to_json(Reveal::Stored);
    keep_stored_secrets(&mut body, &old);
    if let Value::Object(fields) = &mut body {
        prefer_changed_limits(fields, &old);
        fields.insert("name".into(), stored.name.clone().into());
        fields.insert("ps_actor_incarnation".into(), stored.ps_actor_incarnation.into());
    }
    parse(&body, context, Strictness::Update)
}

/// Reads a link of the configuration file or the environment.
///
/// # Errors
/// All violations, for `PathBase::Saving`.
pub fn parse_file(
    link: &Value,
    context: ParseContext<'_>,
) -> Result<LinkConfig, Vec<ValidationError>> {
    let mut link = link.clone();
    drop_redacted(&mut link);
    parse(&link, context, Strictness::File)
}

/// Reads what [`LinkConfig::to_json`] with [`Reveal::Stored`] wrote.
///
/// # Errors
/// All violations: the text was not written by us, or the rules became stricter.
pub fn parse_stored(
    link: &Value,
    context: ParseContext<'_>,
) -> Result<LinkConfig, Vec<ValidationError>> {
    parse(link, context, Strictness::Stored)
}

/// `resource_opts.request_ttl` and `buffer.max_age` are one thing under two names, as are
/// `max_buffer_bytes` and `disk_max_bytes`. A client that reads, changes one and writes both back
/// means the one it changed.
fn prefer_changed_limits(fields: &mut Map<String, Value>, old: &Value) {
    let pairs = [
        (["request_ttl", "request_timeout"], "max_age"),
        (["max_buffer_bytes", "max_queue_bytes"], "disk_max_bytes"),
    ];
    for (names, ours) in pairs {
        let given = names.iter().find_map(|name| fields.get("resource_opts")?.get(*name)).cloned();
        let changed = given.is_some_and(|given| {
            Some(&given) != old["resource_opts"].get(names.first().copied().unwrap_or_default())
        });
        if let (true, Some(Value::Object(buffer))) = (changed, fields.get_mut("buffer"))
            && buffer.get(ours) == old["buffer"].get(ours)
        {
            buffer.remove(ours);
        }
    }
}

fn parse(
    value: &Value,
    context: ParseContext<'_>,
    strictness: Strictness,
) -> Result<LinkConfig, Vec<ValidationError>> {
    let Value::Object(object) = value else {
        return Err(vec![ValidationError::reason("bad_value_for_struct").at(&[])]);
    };
    let mut errors = Vec::new();
    let link = read_link(&mut Fields::root(object, &mut errors), context, strictness);
    match link {
        Some(link) if errors.is_empty() => Ok(link),
        _ => Err(errors),
    }
}

/// Reads every field before it answers, so that every violation is found.
fn read_link(
    fields: &mut Fields<'_, '_>,
    context: ParseContext<'_>,
    strictness: Strictness,
) -> Option<LinkConfig> {
    let name = read_name(fields, context, strictness);
    let enable = fields.flag("enable").unwrap_or(true);
    let server = read_server(fields);
    let clientid = fields.text_not_empty("clientid");
    let username = fields.text_not_empty("username");
    let password = fields.text_not_empty("password").map(Secret::new);
    let ssl = fields.object("ssl", read_ssl).unwrap_or_default();
    let topics = read_topics(fields);
    let pool_size = fields.int32("pool_size", 1..=POOL_SIZE_MAX, "pos_integer()").unwrap_or(8);
    let retry_interval = fields.span("retry_interval").unwrap_or_else(|| Span::from_ms(15_000));
    let max_inflight =
        fields.int32("max_inflight", 0..=u32::MAX, "non_neg_integer()").unwrap_or(32);
    let tcp_opts = fields.object("tcp_opts", read_tcp_opts);
    let mut buffer = BufferConfig::default();
    let resource_opts = fields
        .object("resource_opts", |inner| read_resource_opts(inner, &mut buffer))
        .unwrap_or_default();
    fields.object("buffer", |inner| read_buffer(inner, &mut buffer));
    let inbound = fields.object("inbound", read_inbound).unwrap_or_default();
    let share_client_address = fields.flag("share_client_address").unwrap_or(true);
    let ps_actor_incarnation = fields
        .integer("ps_actor_incarnation", 0..=i64::MAX.unsigned_abs(), "non_neg_integer()")
        .unwrap_or(0);
    if strictness != Strictness::Stored {
        fields.report_unknown(&READ_ONLY);
    }
    if matches!(strictness, Strictness::Create | Strictness::Update)
        && let Some(server) = &server
        && server.scheme() == Some(Scheme::Mqtts)
        && !ssl.enable
    {
        let body = json!({ "reason": "mqtts_requires_ssl_enable", "value": server.as_text() });
        fields.fail("server", ValidationError::new(body));
    }
    Some(LinkConfig {
        name: name?,
        enable,
        server: server?,
        clientid: clientid.unwrap_or_else(|| context.local_cluster.to_owned()),
        username,
        password,
        ssl,
        topics: topics?,
        pool_size,
        retry_interval,
        max_inflight,
        tcp_opts,
        resource_opts,
        buffer,
        inbound,
        share_client_address,
        ps_actor_incarnation,
    })
}

fn read_name(
    fields: &mut Fields<'_, '_>,
    context: ParseContext<'_>,
    strictness: Strictness,
) -> Option<String> {
    if fields.value("name").is_none() {
        fields.required("name");
        return None;
    }
    let name = fields.text("name")?;
    let broken = match strictness {
        Strictness::Create => broken_rule_of_create(&name),
        _ => is_unusable(&name).then(|| "invalid_link_name".to_owned()),
    };
    if let Some(reason) = broken {
        let error = ValidationError::reason(reason);
        match strictness {
            Strictness::Create => fields.fail_without_path(error),
            _ => fields.fail("name", error),
        }
        return None;
    }
    if name == context.local_cluster {
        fields.fail("name", ValidationError::reason("cluster_link_to_self"));
        return None;
    }
    Some(name)
}

/// C-2, in its order and words.
fn broken_rule_of_create(name: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() {
        return Some("Name cannot be empty string".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Some("Name length must be less than 255".to_owned());
    }
    let good_start = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if good_start && name.bytes().all(|byte| word(byte) || byte == b'-') {
        return None;
    }
    Some(format!(
        "Invalid name format. Letters, digits, '-' and '_' are allowed, with a letter or digit first. Got: {}",
        crate::reason::bounded(name)
    ))
}

/// The name becomes a topic level (C-2, "everywhere").
fn is_unusable(name: &str) -> bool {
    name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control())
}

fn read_server(fields: &mut Fields<'_, '_>) -> Option<Servers> {
    if fields.value("server").is_none() {
        fields.required("server");
        return None;
    }
    let text = fields.text("server")?;
    Servers::parse(&text).map_err(|error| fields.fail("server", error)).ok()
}

fn read_topics(fields: &mut Fields<'_, '_>) -> Option<TopicList> {
    if fields.value("topics").is_none() {
        fields.required("topics");
        return None;
    }
    let texts = fields.texts("topics")?;
    TopicList::new(&texts).map_err(|error| fields.fail("topics", error)).ok()
}

fn read_ssl(fields: &mut Fields<'_, '_>) -> SslConfig {
    let defaults = SslConfig::default();
    let mut ignored = Map::new();
    for (name, default) in super::ssl::ignored_defaults() {
        // Kept only when it differs, so that writing back what was read changes nothing.
        if let Some(value) = fields.value(name).filter(|value| Some(*value) != default.as_ref()) {
            ignored.insert(name.to_owned(), value.clone());
        }
    }
    SslConfig {
        enable: fields.flag("enable").unwrap_or(defaults.enable),
        cacertfile: fields.text_not_empty("cacertfile"),
        certfile: fields.text_not_empty("certfile"),
        keyfile: fields.text_not_empty("keyfile").map(Secret::new),
        password: fields.text_not_empty("password").map(Secret::new),
        verify: fields
            .choice("verify", &[("verify_peer", Verify::Peer), ("verify_none", Verify::None)])
            .unwrap_or(defaults.verify),
        server_name_indication: match fields.text_not_empty("server_name_indication") {
            None => ServerName::FromServer,
            Some(name) if name == "disable" => ServerName::Disable,
            Some(name) => ServerName::Name(name),
        },
        depth: fields.int32("depth", 0..=255, "non_neg_integer()").unwrap_or(defaults.depth),
        versions: read_versions(fields).unwrap_or(defaults.versions),
        ignored,
    }
}

fn read_versions(fields: &mut Fields<'_, '_>) -> Option<Vec<TlsVersion>> {
    let texts = match fields.value("versions")? {
        Value::String(list) => list.split(',').map(|text| text.trim().to_owned()).collect(),
        _ => fields.texts("versions")?,
    };
    let versions = texts.iter().map(|text| match text.as_str() {
        "tlsv1.3" => Some(TlsVersion::V1_3),
        "tlsv1.2" => Some(TlsVersion::V1_2),
        _ => None,
    });
    match versions.collect::<Option<Vec<_>>>() {
        Some(versions) if !versions.is_empty() => Some(versions),
        _ => {
            fields.fail("versions", ValidationError::reason("not_a_enum_symbol"));
            None
        }
    }
}

fn read_tcp_opts(fields: &mut Fields<'_, '_>) -> TcpOpts {
    TcpOpts {
        active_n: fields.int32("active_n", 1..=u32::MAX, "pos_integer()"),
        nodelay: fields.flag("nodelay"),
        sndbuf: fields.size("sndbuf"),
        recbuf: fields.size("recbuf"),
        buffer: fields.size("buffer"),
        keepalive: fields.flag("keepalive"),
        delay_send: fields.flag("delay_send"),
    }
}

/// Reads the hop's options; the two limits of the buffer go to `buffer`.
fn read_resource_opts(fields: &mut Fields<'_, '_>, buffer: &mut BufferConfig) -> ResourceOpts {
    let defaults = ResourceOpts::default();
    let health_check_interval = read_health_check_interval(fields);
    read_legacy_limits(fields, buffer);
    // Deprecated: accepted and ignored (1.3).
    fields.value("auto_restart_interval");
    fields.value("enable_queue");
    ResourceOpts {
        worker_pool_size: fields
            .int32("worker_pool_size", 1..=1024, "1..1024")
            .unwrap_or(defaults.worker_pool_size),
        dispatch_strategy: fields
            .choice(
                "dispatch_strategy",
                &[
                    ("per_clientid", DispatchStrategy::PerClientId),
                    ("random", DispatchStrategy::Random),
                ],
            )
            .unwrap_or(defaults.dispatch_strategy),
        health_check_interval: health_check_interval.unwrap_or(defaults.health_check_interval),
        health_check_interval_jitter: fields
            .span("health_check_interval_jitter")
            .unwrap_or(defaults.health_check_interval_jitter),
        health_check_timeout: fields
            .span_or_infinity("health_check_timeout")
            .unwrap_or(defaults.health_check_timeout),
        start_timeout: fields.span("start_timeout").unwrap_or(defaults.start_timeout),
        inflight_window: ["async_inflight_window", "inflight_window"]
            .into_iter()
            .filter_map(|name| fields.int32(name, 1..=u32::MAX, "pos_integer()"))
            .last()
            .unwrap_or(defaults.inflight_window),
        buffer_mode: fields
            .choice(
                "buffer_mode",
                &[
                    ("memory_only", HopBufferMode::MemoryOnly),
                    ("volatile_offload", HopBufferMode::VolatileOffload),
                ],
            )
            .unwrap_or(defaults.buffer_mode),
        buffer_seg_bytes: fields.size("buffer_seg_bytes"),
        resume_interval: fields.span("resume_interval"),
        metrics_flush_interval: fields.span("metrics_flush_interval"),
    }
}

fn read_health_check_interval(fields: &mut Fields<'_, '_>) -> Option<Span> {
    let health_check_interval = fields.span("health_check_interval");
    if let Some(span) = &health_check_interval
        && !HEALTH_CHECK_MS.contains(&span.as_ms())
    {
        let text = format!(
            "Health Check Interval ({}ms) is out of range (1ms to 3600000ms)",
            span.as_ms()
        );
        fields.fail("health_check_interval", ValidationError::reason(text));
    }
    health_check_interval
}

/// The limits of the buffer under the names of the reference (LINK-SPEC 0.1).
fn read_legacy_limits(fields: &mut Fields<'_, '_>, buffer: &mut BufferConfig) {
    for name in ["request_timeout", "request_ttl"] {
        if let Some(age) = fields.span_or_infinity(name) {
            buffer.max_age = age;
        }
    }
    for name in ["max_queue_bytes", "max_buffer_bytes"] {
        if let Some(size) = fields.size(name) {
            buffer.disk_max_bytes = size;
        }
    }
}

fn read_buffer(fields: &mut Fields<'_, '_>, buffer: &mut BufferConfig) {
    let modes = [("disk", BufferMode::Disk), ("memory", BufferMode::Memory)];
    if let Some(mode) = fields.choice("mode", &modes) {
        buffer.mode = mode;
    }
    if let Some(size) = fields.size("disk_max_bytes") {
        buffer.disk_max_bytes = size;
    }
    if let Some(size) = fields.size("memory_max_bytes") {
        buffer.memory_max_bytes = size;
    }
    if let Some(age) = fields.span_or_infinity("max_age") {
        buffer.max_age = age;
    }
    let policies = [
        ("drop_oldest", Overflow::DropOldest),
        ("drop_newest", Overflow::DropNewest),
        ("reject_qos1", Overflow::RejectQos1),
    ];
    if let Some(policy) = fields.choice("overflow", &policies) {
        buffer.overflow = policy;
    }
}

fn read_inbound(fields: &mut Fields<'_, '_>) -> InboundRule {
    InboundRule {
        clientid_prefix: fields.text_not_empty("clientid_prefix"),
        username: fields.text_not_empty("username"),
        cert_cn: fields.text_not_empty("cert_cn"),
    }
}
