//! The HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpServer, error, web};

use crate::error::ApiError;
use crate::ports::Node;
use crate::{auth, health, links, nodes};

/// Largest body (SECURITY A2).
const BODY_BYTES_MAX: usize = 1 << 20;

/// How the API is served.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where it binds; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Worker threads. Default: 2.
    pub workers: usize,
    /// `api.links_style = "emqx"`.
    pub links_style_emqx: bool,
}

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) config: ApiConfig,
}

/// A running server.
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Api {
    /// Finishes running requests, at most for a second, and ends.
    pub async fn stop(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.handle.stop(true)).await;
    }
}

/// Binds and serves; the server runs on its own threads, its control on the current actix system.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(config: ApiConfig, node: Arc<dyn Node>) -> std::io::Result<Api> {
    let (bind, workers) = (config.bind, config.workers.max(1));
    let shared = web::Data::new(Shared { node, config });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .app_data(json_config())
            .wrap(from_fn(auth::guard))
            .service(
                web::scope("/api/v5")
                    .configure(health::routes)
                    .configure(nodes::routes)
                    .configure(links::routes),
            )
            .default_service(web::to(unknown))
    })
    .workers(workers)
    .disable_signals()
    .bind(bind)?;
    let address = server.addrs().first().copied().unwrap_or(bind);
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Api { address, handle })
}

async fn unknown(request: HttpRequest) -> Result<String, ApiError> {
    Err(ApiError::not_found(format!("No such endpoint: {}", request.path())))
}

fn json_config() -> web::JsonConfig {
    web::JsonConfig::default().limit(BODY_BYTES_MAX).error_handler(|error, _| {
        let refusal = match &error {
            error::JsonPayloadError::ContentType => ApiError::new(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "content-type: application/json is required",
            ),
            error::JsonPayloadError::OverflowKnownLength { .. }
            | error::JsonPayloadError::Overflow { .. } => {
                ApiError::new(413, "PAYLOAD_TOO_LARGE", "The body has more than 1 MiB")
            }
            other => ApiError::bad_request(format!("The body is not valid JSON: {other}")),
        };
        refusal.into()
    })
}
