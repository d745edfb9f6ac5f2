//! Management API and web UI.

use std::time::Duration;

use crate::declare::settings;
use crate::scalars::bind;
use crate::types::{BindAddr, ByteSize};
use spanmq_link_protocol::config::Secret;

use super::ServerTls;

settings! {
    /// Management API and web UI.
    pub struct DashboardConfig {
        /// Where they listen.
        "listeners" => listeners: DashboardListeners = DashboardListeners::default(),
        /// Life of a login since its last use.
        "token_expired_time" => token_expired_time: Duration = Duration::from_secs(3_600),
        /// Name of the first user.
        "default_username" => default_username: String = "admin".into(),
        /// Password of the first user, literal or `file://PATH`; absent = a random one, printed once (D-4).
        "default_password" => default_password: Option<Secret> = None,
        /// Largest request body (SECURITY A2).
        "max_body_size" => max_body_size: ByteSize = ByteSize(1 << 20),
    }
}

settings! {
    /// Where API and web UI listen.
    pub struct DashboardListeners {
        /// Plain HTTP.
        "http" => http: HttpListener = HttpListener::default(),
        /// HTTPS; opened when configured.
        "https" => https: Option<HttpsListener> = None,
    }
}

settings! {
    /// Plain HTTP; on loopback, unless `insecure` is set (SECURITY A2).
    pub struct HttpListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on loopback.
        "bind" => bind: BindAddr = bind([127, 0, 0, 1], 18_083),
    }
}

settings! {
    /// HTTPS.
    pub struct HttpsListener {
        /// Off = not opened.
        "enable" => enable: bool = true,
        /// Address to listen on; a bare port listens on all addresses.
        "bind" => bind: BindAddr = bind([0, 0, 0, 0], 18_084),
        /// Certificates and TLS rules.
        "ssl_options" => ssl_options: ServerTls = ServerTls::default(),
    }
}
