//! Request bodies: JSON of limited length, checked against their type, with the path of the first
//! fault. What a changing request brought is kept, redacted, for the audit log.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::audit::AuditBody;
use crate::error::ApiError;

/// A checked body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = match is_json(request) {
            true => Ok(web::Bytes::from_request(request, payload)),
            false => Err(unsupported()),
        };
        let request = request.clone();
        Box::pin(async move {
            let bytes = bytes?.await.map_err(|error| too_large_or_broken(&error))?;
            let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
                ApiError::bad_request(format!("The body is not valid JSON: {error}"))
            })?;
            request.extensions_mut().insert(AuditBody::of(&value));
            checked(value).map(Self)
        })
    }
}

/// A client that sends no content type at all means JSON, as with EMQX.
fn is_json(request: &HttpRequest) -> bool {
    let kind = request.content_type();
    kind.is_empty() || kind == "application/json" || kind.ends_with("+json")
}

fn unsupported() -> ApiError {
    ApiError::new(415, "UNSUPPORTED_MEDIA_TYPE", "content-type: application/json is required")
}

fn too_large_or_broken(error: &actix_web::Error) -> ApiError {
    match error.as_response_error().status_code().as_u16() {
        413 => ApiError::new(
            413,
            "PAYLOAD_TOO_LARGE",
            "The body is larger than `dashboard.max_body_size` allows (default: 1 MiB)",
        ),
        _ => ApiError::bad_request(format!("The body cannot be read: {error}")),
    }
}

/// # Errors
/// 400 with the path of the field that does not fit.
fn checked<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { "The body".to_owned() } else { format!("Field {path}") };
        ApiError::bad_request(format!("{place}: {}", error.inner()))
    })
}
