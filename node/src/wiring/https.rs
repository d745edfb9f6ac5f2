//! The HTTPS listener of the API, from the files that the configuration names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use spanmq_api::HttpsConfig;
use spanmq_config::{Config, TlsVersion};

/// None unless `dashboard.listeners.https` is on.
///
/// # Errors
/// The file that is missing or cannot be used.
pub(crate) fn config(config: &Config) -> anyhow::Result<Option<HttpsConfig>> {
    let Some(https) = config.dashboard.listeners.https.as_ref().filter(|https| https.enable) else {
        return Ok(None);
    };
    let missing = |field: &str| format!("dashboard.listeners.https.ssl_options.{field} is missing");
    let options = &https.ssl_options;
    let chain = options.certfile.as_deref().with_context(|| missing("certfile"))?;
    let key = options.keyfile.as_deref().with_context(|| missing("keyfile"))?;
    let versions: Vec<_> = options.versions.iter().map(version).collect();
    let tls = Arc::new(server(chain, key, &versions)?);
    let handshake_timeout = options.handshake_timeout;
    Ok(Some(HttpsConfig { bind: https.bind.0, tls, handshake_timeout }))
}

fn version(version: &TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    }
}

fn server(
    chain: &Path,
    key: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> anyhow::Result<ServerConfig> {
    let unusable = |file: &Path| format!("{}: no usable PEM", file.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .with_context(|| unusable(chain))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| unusable(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("dashboard.listeners.https: certificate and key cannot be used together")
}
