//! Refusals: `{"code", "message"}` with an HTTP status (LINK-SPEC 4.1).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::ports::{NoQuorum, NotChanged, NotMade};

/// What the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Seconds to wait, for 429 and 503.
    pub(crate) retry_after_s: Option<u64>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let retry_after_s = (status == 503).then_some(1);
        Self { status, code, message: message.into(), retry_after_s }
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BAD_REQUEST", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "SERVICE_UNAVAILABLE", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "INTERNAL_ERROR", message)
    }
}

impl From<NoQuorum> for ApiError {
    fn from(_: NoQuorum) -> Self {
        let message = "This node has no contact with a majority of the cluster; nothing was \
                       changed. Try again, or ask another node.";
        Self::new(503, "SERVICE_UNAVAILABLE", message)
    }
}

impl From<NotMade> for ApiError {
    fn from(why: NotMade) -> Self {
        match why {
            NotMade::NoQuorum => NoQuorum.into(),
            NotMade::DiskFull => Self::new(
                507,
                "INSUFFICIENT_STORAGE",
                "The disk of the cluster's leader is full; nothing was changed. Free some space \
                 there; reads and traffic go on meanwhile.",
            ),
            NotMade::Open => Self::unavailable(
                "The leader was lost before it answered; whether the change was made is open. Read \
                 it, and try again if it is not there.",
            ),
        }
    }
}

impl From<NotChanged> for ApiError {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::Refused(sentence) => Self::new(409, "CONFLICT", sentence),
            NotChanged::NotMade(why) => why.into(),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status == 401 {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"spanmq\""));
        }
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.json(json!({ "code": self.code, "message": self.message }))
    }
}
