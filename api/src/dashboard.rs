//! The web UI: the built files of `dashboard/dist`, embedded, so that cargo alone builds the
//! product. Every path that is no file of it belongs to the page's own routing.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::server::BASE;

#[derive(RustEmbed)]
#[folder = "../dashboard/dist"]
struct Files;

/// No other origin, no inline script, no frame around us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Whether a path is the web UI's: everything outside of `/api/`.
pub(crate) fn is_page(path: &str) -> bool {
    !path.starts_with("/api/") && path != BASE
}

/// Answers what no endpoint answered.
pub(crate) async fn page_or_unknown(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.path();
    if !is_page(path) || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::not_found(format!("No such endpoint: {path}")));
    }
    let name = path.trim_start_matches('/');
    let (name, file) = match Files::get(name) {
        Some(file) => (name, file),
        None => {
            let missing = || ApiError::not_found("This build has no web UI");
            ("index.html", Files::get("index.html").ok_or_else(missing)?)
        }
    };
    let hash = Sha256::digest(&file.data);
    let etag: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{etag}\"");
    let known = request.headers().get(header::IF_NONE_MATCH);
    let unchanged = known.is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CONTENT_TYPE, content_type(name)))
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header(("content-security-policy", CONTENT_SECURITY_POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("referrer-policy", "no-referrer"));
    Ok(if unchanged { response.finish() } else { response.body(file.data.into_owned()) })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, test, web};

    #[actix_web::test]
    async fn every_path_outside_of_the_api_is_the_page_and_nothing_else_is() {
        let app = test::init_service(App::new().default_service(web::to(page_or_unknown))).await;
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/cluster-linking/eu.west", "text/html; charset=utf-8"),
            ("/assets/app.js", "text/javascript; charset=utf-8"),
        ] {
            let request = test::TestRequest::get().uri(path).to_request();
            let response = test::call_service(&app, request).await;
            assert_eq!(response.status(), 200, "{path}");
            let found = response.headers().get("content-type").unwrap().to_str();
            assert_eq!(found.unwrap(), kind, "{path}");
            assert!(response.headers().contains_key("content-security-policy"));
        }
        let request = test::TestRequest::get().uri("/api/v5/nothing").to_request();
        assert_eq!(test::call_service(&app, request).await.status(), 404);
    }
}
