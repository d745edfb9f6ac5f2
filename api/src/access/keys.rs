//! `/api_key`: keys of programs (LINK-SPEC ).

use std::time::{Duration, SystemTime};

use actix_web::{HttpResponse, web};
use spanmq_access::{ApiKey, ApiSecretHash, Secret};
use spanmq_api_model::{ApiKeyView, ChangeApiKey, NewApiKey};
use spanmq_state::{AccessKind, Millis, Revision};

use super::{random_text, role, role_name};
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::question::rfc3339;
use crate::records::StoredKey;
use crate::server::{Shared, now_ms};
use crate::table::{Table, op};

///
const KEYS_MAX: usize = 100;

pub(super) fn endpoints(table: &mut Table) {
    table.get("/api_key", op("access", "Lists the API keys.").list::<ApiKeyView>(200), list);
    table.post(
        "/api_key",
        op("access", "Makes an API key; its secret is shown only in this answer.")
            .body::<NewApiKey>()
            .json::<ApiKeyView>(200)
            .fails(&[409, 503]),
        add,
    );
    table.get(
        "/api_key/{name}",
        op("access", "Shows an API key.").json::<ApiKeyView>(200).fails(&[404]),
        one,
    );
    table.put(
        "/api_key/{name}",
        op("access", "Changes an API key.")
            .body::<ChangeApiKey>()
            .json::<ApiKeyView>(200)
            .fails(&[404, 409, 503]),
        change,
    );
    table.delete(
        "/api_key/{name}",
        op("access", "Removes an API key.").empty(204).fails(&[404, 503]),
        remove,
    );
}

fn all(shared: &Shared) -> Vec<(StoredKey, Revision)> {
    let mut keys = Vec::new();
    shared.node.read(&mut |state| keys = StoredKey::all(state));
    keys
}

fn get(shared: &Shared, name: &str) -> ApiResult<(StoredKey, Revision)> {
    let found = all(shared).into_iter().find(|(key, _)| key.name == name);
    found.ok_or_else(|| ApiError::not_found(format!("API key not found: {name}")))
}

fn view(key: &StoredKey, secret: Option<&Secret>) -> ApiKeyView {
    ApiKeyView {
        name: key.name.clone(),
        api_key: key.key.key.clone(),
        api_secret: secret.map(|secret| secret.expose().to_owned()),
        desc: key.desc.clone(),
        enable: key.enable,
        expired: key.expires_ms.is_some_and(|end| end <= now_ms()),
        expired_at: key.expires_ms.map_or_else(|| "infinity".to_owned(), time),
        created_at: key.created_ms.map(time),
        role: role_name(key.key.role),
        scopes: key.key.scopes.clone(),
    }
}

fn time(ms: Millis) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

async fn list(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(all(&shared).iter().map(|(key, _)| view(key, None)).collect::<Vec<_>>())
}

async fn one(shared: web::Data<Shared>, name: web::Path<String>) -> ApiResult<HttpResponse> {
    Ok(HttpResponse::Ok().json(view(&get(&shared, &name)?.0, None)))
}

async fn add(shared: web::Data<Shared>, body: Body<NewApiKey>) -> ApiResult<HttpResponse> {
    let new = body.0;
    check_name(&new.name)?;
    check_scopes(new.scopes.as_deref())?;
    let expires_ms = end(new.expired_at.as_deref())?;
    let keys = all(&shared);
    if keys.iter().any(|(key, _)| key.name == new.name) {
        let message = format!("An API key {:?} exists already", new.name);
        return Err(ApiError::new(409, "ALREADY_EXISTS", message));
    }
    if keys.len() >= KEYS_MAX {
        return Err(ApiError::bad_request(format!("There are {KEYS_MAX} API keys already")));
    }
    let secret = Secret::new(random_text(32));
    let stored = StoredKey {
        name: new.name,
        desc: new.desc,
        enable: new.enable,
        expires_ms,
        created_ms: Some(now_ms()),
        key: ApiKey {
            key: random_text(12),
            secret: ApiSecretHash::new(&secret, rand::random()),
            role: role(new.role),
            scopes: new.scopes,
        },
    };
    let (id, record) = (stored.key.key.clone(), stored.to_record());
    super::create(&*shared.node, AccessKind::ApiKey, id, record).await?;
    Ok(HttpResponse::Ok().json(view(&stored, Some(&secret))))
}

fn check_name(name: &str) -> ApiResult<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        return Ok(());
    }
    Err(ApiError::bad_request("name: use 1 to 64 letters, digits, '_', '-'"))
}

fn check_scopes(scopes: Option<&[String]>) -> ApiResult<()> {
    let unknown = scopes.unwrap_or_default().iter().find(|scope| !crate::auth::is_scope(scope));
    match unknown {
        Some(scope) => Err(ApiError::bad_request(format!("scopes: {scope:?} is not known"))),
        None => Ok(()),
    }
}

fn end(text: Option<&str>) -> ApiResult<Option<Millis>> {
    let Some(text) = text.filter(|text| !matches!(*text, "infinity" | "undefined" | "")) else {
        return Ok(None);
    };
    let at = humantime::parse_rfc3339_weak(text).map_err(|_| {
        ApiError::bad_request(
            "expired_at: use RFC 3339 in UTC as 2030-01-31T00:00:00Z, or infinity",
        )
    })?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

async fn change(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    body: Body<ChangeApiKey>,
) -> ApiResult<HttpResponse> {
    let (mut key, revision) = get(&shared, &name)?;
    let ChangeApiKey { desc, enable, expired_at, role: new_role } = body.0;
    key.desc = desc.unwrap_or(key.desc);
    key.enable = enable.unwrap_or(key.enable);
    if expired_at.is_some() {
        key.expires_ms = end(expired_at.as_deref())?;
    }
    key.key.role = new_role.map_or(key.key.role, role);
    let (id, record) = (key.key.key.clone(), key.to_record());
    super::put(&*shared.node, AccessKind::ApiKey, id, record, Some(revision)).await?;
    Ok(HttpResponse::Ok().json(view(&key, None)))
}

async fn remove(shared: web::Data<Shared>, name: web::Path<String>) -> ApiResult<HttpResponse> {
    let (key, _) = get(&shared, &name)?;
    super::delete(&*shared.node, AccessKind::ApiKey, key.key.key).await?;
    Ok(HttpResponse::NoContent().finish())
}
