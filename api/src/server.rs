//! The HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tokio::sync::Semaphore;

use crate::access::{LocalLogins, Passwords};
use crate::auth;
use crate::dashboard;
use crate::error::ApiError;
use crate::live::Live;
use crate::openapi;
use crate::ports::Node;

/// Under which everything is.
pub(crate) const BASE: &str = "/api/v5";

/// Callers that wait for this node to catch up.
const CATCHING_UP_MAX: usize = 4;
const CATCH_UP_LIMIT: Duration = Duration::from_secs(1);

/// How the API is served.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where plain HTTP binds, if it is on; port 0 takes a free one.
    pub bind: Option<SocketAddr>,
    /// Worker threads. Default: 2.
    pub workers: usize,
    /// `api.links_style = "emqx"`.
    pub links_style_emqx: bool,
    /// Life of a login since its last use (`dashboard.token_expired_time`). Default: 60 min.
    pub token_life: Duration,
    /// Bytes of a request body (SECURITY A2). Default: 1 MiB.
    pub body_bytes_max: usize,
    /// The configuration file is the truth about links: changes are refused (409,
    /// `cluster.links_source = file`). Default: no.
    pub links_are_of_the_file: bool,
    /// HTTPS beside plain HTTP. Default: none.
    pub https: Option<HttpsConfig>,
}

/// The HTTPS listener.
#[derive(Debug, Clone)]
pub struct HttpsConfig {
    /// Where it binds.
    pub bind: SocketAddr,
    /// Certificates and rules.
    pub tls: Arc<rustls::ServerConfig>,
    /// Longest time for the TLS handshake.
    pub handshake_timeout: Duration,
}

impl ApiConfig {
    /// With defaults.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        let token_life = Duration::from_secs(3_600);
        Self {
            bind: Some(bind),
            workers: 2,
            links_style_emqx: false,
            token_life,
            body_bytes_max: 1 << 20,
            links_are_of_the_file: false,
            https: None,
        }
    }
}

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) config: ApiConfig,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) local_logins: LocalLogins,
    pub(crate) started: Instant,
    pub(crate) live: Live,
    catching_up: Semaphore,
}

impl Shared {
    /// Waits until this node has applied what the leader had: a key or login that is not known here
    /// may have been made on another node a moment ago. False: nothing new is to be expected. Few
    /// may wait at a time, because strangers can ask for it.
    pub(crate) async fn catch_up(&self) -> bool {
        let Ok(_turn) = self.catching_up.try_acquire() else { return false };
        let barrier = tokio::time::timeout(CATCH_UP_LIMIT, self.node.barrier());
        matches!(barrier.await, Ok(Ok(())))
    }
}

/// A running server.
pub struct Api {
    /// Plain HTTP, if it is on.
    pub address: Option<SocketAddr>,
    /// HTTPS, if it is on.
    pub https_address: Option<SocketAddr>,
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
    let (bind, https, workers) = (config.bind, config.https.clone(), config.workers.max(1));
    let body_bytes_max = config.body_bytes_max;
    let shared = web::Data::new(Shared {
        node,
        config,
        passwords: Arc::default(),
        local_logins: LocalLogins::default(),
        started: Instant::now(),
        live: Live::default(),
        catching_up: Semaphore::new(CATCHING_UP_MAX),
    });
    let server =
        HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(body_bytes_max))
                .app_data(web::QueryConfig::default().error_handler(|error, _| {
                    ApiError::bad_request(format!("Query: {error}")).into()
                }))
                .wrap(from_fn(auth::guard))
                .service(web::scope(BASE).configure(|config| {
                    openapi::table().install(config);
                    #[cfg(feature = "testing")]
                    crate::debug::install(config);
                }))
                .default_service(web::to(dashboard::page_or_unknown))
        })
        .workers(workers)
        .disable_signals();
    let server = match bind {
        Some(bind) => server.bind(bind)?,
        None => server,
    };
    let address = server.addrs().first().copied();
    let server = match &https {
        Some(https) => server
            .tls_handshake_timeout(https.handshake_timeout)
            .bind_rustls_0_23(https.bind, (*https.tls).clone())?,
        None => server,
    };
    let https_address = https.and_then(|_| server.addrs().last().copied());
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Api { address, https_address, handle })
}

/// Wall clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
