//! Who asks, and may they (LINK-SPEC ).

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use base64::Engine as _;
use spanmq_access::{ApiKey, Role};
use spanmq_state::AccessKind;

use crate::error::{ApiError, ApiResult};
use crate::server::Shared;

/// The caller, once known.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Key or user name.
    pub(crate) name: String,
}

/// Paths that answer without credentials.
const OPEN: &[&str] = &["/api/v5/livez", "/api/v5/readyz"];

/// Lets only those through who may.
pub(crate) async fn guard(
    shared: web::Data<Shared>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if !OPEN.contains(&request.path()) {
        let caller = authenticate(&shared, &request)?;
        request.extensions_mut().insert(caller);
    }
    next.call(request).await
}

fn authenticate(shared: &Shared, request: &ServiceRequest) -> ApiResult<Caller> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let missing =
        || ApiError::new(401, "AUTHORIZATION_HEADER_ERROR", "Support authorization: basic");
    let encoded = header.and_then(|h| h.strip_prefix("Basic ")).ok_or_else(missing)?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim());
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(missing)?;
    let (name, secret) = text.split_once(':').ok_or_else(missing)?;
    let key = find_key(shared, name)
        .filter(|key| key.secret.verify(secret))
        .ok_or_else(|| ApiError::new(401, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret"))?;
    allow(&key, request.method(), request.path())?;
    Ok(Caller { name: name.to_owned() })
}

fn find_key(shared: &Shared, name: &str) -> Option<ApiKey> {
    let mut found = None;
    shared.node.read(&mut |state| {
        found = state
            .access()
            .get(AccessKind::ApiKey, name)
            .and_then(|record| ApiKey::from_record(record.record.reveal()).ok());
    });
    found
}

/// `administrator` all, `viewer` GET only, `publisher` only the publish endpoints.
fn allow(key: &ApiKey, method: &Method, path: &str) -> ApiResult<()> {
    let publishes = path.starts_with("/api/v5/publish");
    let links = path.starts_with("/api/v5/cluster");
    let role = match key.role {
        Role::Administrator => true,
        Role::Viewer => method == Method::GET,
        Role::Publisher => publishes,
    };
    let scope = !links || key.has_scope("cluster_operations");
    if role && scope {
        return Ok(());
    }
    let message = format!("The role {} or the scopes of this key do not allow it", key.role);
    Err(ApiError::new(403, "UNAUTHORIZED_ROLE", message))
}
