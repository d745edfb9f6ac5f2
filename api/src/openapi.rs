//! All endpoints in one table, and the OpenAPI 3.1 document made from it.

use actix_web::HttpResponse;

use crate::table::{Table, op};
use crate::{
    access, clients, health, links, live, messages, metrics, nodes, operations, prometheus,
};

/// Every endpoint; each worker makes its own.
pub(crate) fn table() -> Table {
    let mut table = Table::default();
    health::endpoints(&mut table);
    nodes::endpoints(&mut table);
    links::endpoints(&mut table);
    clients::endpoints(&mut table);
    messages::endpoints(&mut table);
    metrics::endpoints(&mut table);
    prometheus::endpoints(&mut table);
    operations::endpoints(&mut table);
    live::endpoints(&mut table);
    access::endpoints(&mut table);
    table.get("/openapi.json", op("health", "This document.").any_json(200), document);
    table
}

/// The document as it is checked in under `docs/openapi.json`.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = table().document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi_json())
}
