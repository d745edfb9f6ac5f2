//! The last state changes of a link on all nodes.

use actix_web::{HttpResponse, web};

use super::read::{self, NOT_FOUND};
use crate::error::{ApiError, ApiResult};
use crate::question;
use crate::server::Shared;

/// Of each node the last 200, oldest first; clocks of nodes may differ.
pub(super) async fn events(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    read::get(&shared, &name).ok_or_else(|| ApiError::not_found(NOT_FOUND))?;
    let events = question::links::link_events(&*shared.node, &name).await;
    Ok(HttpResponse::Ok().json(events))
}
