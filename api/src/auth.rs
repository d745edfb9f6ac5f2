//! Who asks, may they, and what is written down about it (LINK-SPEC, O-5).

use std::time::{Instant, SystemTime};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use base64::Engine as _;
use spanmq_access::{ApiKey, Role};
use spanmq_api_model::AuditEntry;

use crate::access::login;
use crate::audit::AuditBody;
use crate::dashboard;
use crate::error::{ApiError, ApiResult};
use crate::question::rfc3339;
use crate::records::StoredKey;
use crate::server::{BASE, Shared, now_ms};

/// The caller, once known.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Key or user name.
    pub(crate) name: String,
    /// Id of the login; none for an API key.
    pub(crate) login: Option<String>,
}

/// Paths that answer without credentials.
const OPEN: &[&str] = &["/livez", "/readyz", "/login"];
/// Paths that API keys may not use.
const USERS_ONLY: &[&str] = &["/users", "/api_key", "/logout"];
/// What a viewer may change all the same: its own login and password.
const OWN: &[&str] = &["/logout", "/users/"];

/// Lets only those through who may, and records what they change.
pub(crate) async fn guard(
    shared: web::Data<Shared>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let begun = Instant::now();
    let path = request.path().strip_prefix(BASE).unwrap_or(request.path()).to_owned();
    let recorded = is_recorded(request.method(), &path);
    let mut entry = recorded.then(|| entry(&shared, &request));
    let refuse = |entry: Option<AuditEntry>, refusal: ApiError| {
        if let Some(entry) = entry {
            finish(&shared, entry, refusal.status, begun);
        }
        Err(refusal.into())
    };
    // The web UI is no secret; what it shows comes from the API.
    if !OPEN.contains(&path.as_str()) && !dashboard::is_page(request.path()) {
        let identity = match identify(&shared, &request).await {
            Ok(identity) => identity,
            Err(refusal) => return refuse(entry, refusal),
        };
        if let Some(entry) = &mut entry {
            entry.source.clone_from(&identity.caller.name);
        }
        if let Err(refusal) = permit(&identity, request.method(), &path) {
            return refuse(entry, refusal);
        }
        if let Err(refusal) = follow(&shared, request.method(), &path).await {
            return refuse(entry, refusal);
        }
        request.extensions_mut().insert(identity.caller);
    }
    let response = next.call(request).await?;
    if let Some(mut entry) = entry {
        let body = response.request().extensions().get::<AuditBody>().cloned();
        entry.body = body.map(|body| body.0);
        // Who has just logged in is known now.
        if path == "/login" && response.status().is_success() {
            let name = entry.body.as_ref().and_then(|body| body["username"].as_str());
            entry.source = name.unwrap_or_default().to_owned();
        }
        finish(&shared, entry, response.status().as_u16(), begun);
    }
    Ok(response)
}

/// Messages are not changes of the configuration, and would push everything else out.
fn is_recorded(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !path.starts_with("/publish")
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn entry(shared: &Shared, request: &ServiceRequest) -> AuditEntry {
    AuditEntry {
        created_at: rfc3339(SystemTime::now()),
        node: shared.node.name().to_string(),
        source: String::new(),
        from: "rest_api".to_owned(),
        source_ip: request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default(),
        http_method: request.method().as_str().to_owned(),
        operation: request.path().chars().take(512).collect(),
        body: None,
        http_status_code: 0,
        operation_result: String::new(),
        duration_ms: 0,
    }
}

fn finish(shared: &Shared, mut entry: AuditEntry, status: u16, begun: Instant) {
    entry.http_status_code = status;
    entry.operation_result = if status < 400 { "success" } else { "failure" }.to_owned();
    entry.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.node.audit().record(entry);
}

/// Who it is; what they may is another question, so that a refusal is recorded with its name.
struct Identity {
    caller: Caller,
    role: Role,
    /// None for a login.
    key: Option<ApiKey>,
}

async fn identify(shared: &Shared, request: &ServiceRequest) -> ApiResult<Identity> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (kind, text) = header.and_then(|text| text.split_once(' ')).ok_or_else(no_header)?;
    if kind.eq_ignore_ascii_case("bearer") {
        let (caller, role) = login::check(shared, text.trim()).await?;
        return Ok(Identity { caller, role, key: None });
    }
    if !kind.eq_ignore_ascii_case("basic") {
        return Err(no_header());
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text.trim());
    let text =
        decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(no_header)?;
    let (name, secret) = text.split_once(':').ok_or_else(no_header)?;
    let mut stored = find_key(shared, name, secret);
    if stored.is_none() && shared.catch_up().await {
        stored = find_key(shared, name, secret);
    }
    let stored = stored
        .ok_or_else(|| ApiError::new(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret"))?;
    let (role, key) = (stored.key.role, Some(stored.key));
    Ok(Identity { caller: Caller { name: stored.name, login: None }, role, key })
}

fn permit(identity: &Identity, method: &Method, path: &str) -> ApiResult<()> {
    let Some(key) = &identity.key else { return may(identity.role, method, path) };
    if USERS_ONLY.iter().any(|start| is_below(path, start)) {
        let message = "This API Key don't have permission to access this resource";
        return Err(ApiError::new(401, "API_KEY_NOT_ALLOW", message));
    }
    may(identity.role, method, path)?;
    covers(key, path)
}

/// Records that this node must not show or change as they were a moment ago.
const FOLLOWED: &[&str] = &["/users", "/api_key", "/authentication"];

/// Waits until this node has applied what the leader had. Without a quorum nothing is changed, and
/// reads show what is known here.
async fn follow(shared: &Shared, method: &Method, path: &str) -> ApiResult<()> {
    if !FOLLOWED.iter().any(|start| is_below(path, start)) {
        return Ok(());
    }
    let followed = shared.node.barrier().await;
    if is_read(method) { Ok(()) } else { Ok(followed?) }
}

fn no_header() -> ApiError {
    let message = "Support authorization: basic/bearer";
    ApiError::new(401, "AUTHORIZATION_HEADER_ERROR", message)
}

fn find_key(shared: &Shared, name: &str, secret: &str) -> Option<StoredKey> {
    let mut found = None;
    shared.node.read(&mut |state| found = StoredKey::find(state, name));
    let now = now_ms();
    found.filter(|stored| {
        stored.key.secret.verify(secret)
            && stored.enable
            && stored.expires_ms.is_none_or(|end| end > now)
    })
}

/// `administrator` all, `viewer` GET only, `publisher` only the publish endpoints.
fn may(role: Role, method: &Method, path: &str) -> ApiResult<()> {
    let reads = is_read(method);
    let own = OWN.iter().any(|start| path.starts_with(start))
        && (path == "/logout" || path.ends_with("/change_pwd"));
    let allowed = match role {
        Role::Administrator => true,
        Role::Viewer => reads || own,
        Role::Publisher => is_below(path, "/publish"),
    };
    if allowed {
        return Ok(());
    }
    Err(ApiError::new(403, "UNAUTHORIZED_ROLE", format!("The role {role} does not allow it")))
}

/// Parts of the API that a key can be confined to.
const SCOPES: &[(&str, &[&str])] = &[
    ("cluster_operations", &["/cluster", "/nodes"]),
    ("monitoring", &["/status", "/metrics", "/stats", "/prometheus", "/alarms", "/features"]),
    ("connections", &["/clients", "/subscriptions", "/routes"]),
    ("publish", &["/publish", "/retainer"]),
    ("access_control", &["/authentication", "/authorization"]),
    ("audit", &["/audit"]),
];

pub(crate) fn is_scope(text: &str) -> bool {
    SCOPES.iter().any(|(scope, _)| *scope == text)
}

fn covers(key: &ApiKey, path: &str) -> ApiResult<()> {
    let belongs = |(_, starts): &&(&str, &[&str])| starts.iter().any(|s| is_below(path, s));
    let scope = SCOPES.iter().find(belongs).map(|(scope, _)| *scope);
    if key.scopes.is_none() || scope.is_some_and(|scope| key.has_scope(scope)) {
        return Ok(());
    }
    let needed = scope.unwrap_or("none: only keys without scopes may");
    let message = format!("The scopes of this key do not cover it; it needs {needed}");
    Err(ApiError::new(403, "UNAUTHORIZED_ROLE", message))
}

/// `start` itself or something under it, and not a longer word.
fn is_below(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_a4_says() {
        let table = [
            (Role::Administrator, Method::DELETE, "/users/ann", true),
            (Role::Viewer, Method::GET, "/cluster/links", true),
            (Role::Viewer, Method::POST, "/cluster/links", false),
            (Role::Viewer, Method::POST, "/logout", true),
            (Role::Viewer, Method::POST, "/users/ann/change_pwd", true),
            (Role::Viewer, Method::PUT, "/users/ann", false),
            (Role::Viewer, Method::POST, "/publish", false),
            (Role::Publisher, Method::POST, "/publish", true),
            (Role::Publisher, Method::POST, "/publish/bulk", true),
            (Role::Publisher, Method::POST, "/publisher", false),
            (Role::Publisher, Method::GET, "/nodes", false),
        ];
        for (role, method, path, allowed) in table {
            assert_eq!(may(role, &method, path).is_ok(), allowed, "{role} {method} {path}");
        }
    }

    #[test]
    fn a_key_with_scopes_reaches_only_these_a4() {
        let secret = spanmq_access::ApiSecretHash::new(&"s".into(), [0; 16]);
        let scopes = Some(vec!["cluster_operations".to_owned()]);
        let key = ApiKey { key: "k".into(), secret, role: Role::Administrator, scopes };
        assert!(covers(&key, "/cluster/links/link/x").is_ok());
        assert!(covers(&key, "/clients").is_err() && covers(&key, "/unheard/of").is_err());
        assert!(covers(&ApiKey { scopes: None, ..key }, "/unheard/of").is_ok());
    }
}
