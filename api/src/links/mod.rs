//! `/cluster/links`: the EMQX dialect, and the document dialect of the user guide (LINK-SPEC 4.2,
//! 4.3). Both do the same; they differ in status words and in metrics.

mod events;
mod read;
mod write;

use actix_web::web;
use spanmq_link_protocol::status::Dialect;

use crate::server::Shared;

/// `/cluster/links/link/{x}` is always the EMQX dialect.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/cluster/links")
                .get(read::list)
                .post(write::create)
                .put(write::upsert_or_replace),
        )
        .service(
            web::resource("/cluster/links/link/{name}")
                .get(read::one_emqx)
                .put(write::update_emqx)
                .delete(write::delete),
        )
        .route("/cluster/links/link/{name}/metrics", web::get().to(read::metrics_emqx))
        .route("/cluster/links/link/{name}/events", web::get().to(events::events))
        .route("/cluster/links/link/{name}/pause", web::post().to(write::pause))
        .route("/cluster/links/link/{name}/resume", web::post().to(write::resume))
        .service(
            web::resource("/cluster/links/{name}")
                .get(read::one_document)
                .put(write::update_document)
                .delete(write::delete),
        )
        .route("/cluster/links/{name}/metrics", web::get().to(read::metrics_document));
}

/// `?style=emqx` and `?consistency=local`.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Options {
    style: Option<String>,
    consistency: Option<String>,
}

impl Options {
    /// Words of a shared or document path (R-10, D-3).
    fn dialect(&self, shared: &Shared) -> Dialect {
        let emqx = match self.style.as_deref() {
            Some(style) => style == "emqx",
            None => shared.config.links_style_emqx,
        };
        if emqx { Dialect::Emqx } else { Dialect::Guide }
    }

    fn is_local(&self) -> bool {
        self.consistency.as_deref() == Some("local")
    }
}
