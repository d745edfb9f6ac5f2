//! The last state changes of a link on this node.

use actix_web::{HttpResponse, web};
use spanmq_api_model::LinkEvent;

use super::read::NOT_FOUND;
use crate::error::{ApiError, ApiResult};
use crate::question::rfc3339;
use crate::server::Shared;

pub(super) async fn events(
    shared: web::Data<Shared>,
    name: web::Path<String>,
) -> ApiResult<HttpResponse> {
    let linking = shared.node.linking();
    let (_, board, _) = linking.board(&name).ok_or_else(|| ApiError::not_found(NOT_FOUND))?;
    let row = |event: spanmq_linking::Event| LinkEvent {
        node: shared.node.name().to_string(),
        at: rfc3339(event.at),
        part: event.part.to_owned(),
        who: event.who,
        state: event.state.to_owned(),
        reason: event.reason.as_ref().map(|reason| reason.word.as_str().to_owned()),
        message: event.reason.as_ref().map(ToString::to_string),
    };
    Ok(HttpResponse::Ok().json(board.events().into_iter().map(row).collect::<Vec<_>>()))
}
