//! JSON bodies of the REST API, shared with tests. Pure.
//!
//! Requests refuse unknown fields; passwords and secrets in them are a redacting type, so a request
//! can be logged. Answers leave absent fields out instead of writing null (LINK-SPEC R-4).

mod access;
mod clients;
mod links;
mod messages;
mod operations;
mod secret;

pub use access::*;
pub use clients::*;
pub use links::*;
pub use messages::*;
pub use operations::*;
pub use secret::Secret;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every refusal (LINK-SPEC 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// For programs, such as `NOT_FOUND`.
    pub code: String,
    /// For people: what, where, and what to do. For a schema violation of a link, JSON text.
    pub message: String,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the list goes on.
    pub meta: PageMeta,
}

/// Where a list goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageMeta {
    /// Rows asked for.
    pub limit: usize,
    /// Whether there is more.
    pub hasnext: bool,
    /// Pass it as `cursor` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Nodes that did not answer: their rows are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}
