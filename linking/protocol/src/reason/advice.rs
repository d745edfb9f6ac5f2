//! What to do about a reason, with lines to paste at the other side.

use super::{Reason, ReasonWord};
use serde_json::json;

/// What the advice texts need to know about the link.
#[derive(Debug, Clone, Copy)]
pub struct AdviceContext<'a> {
    /// Name of this cluster.
    pub local_cluster: &'a str,
    /// Name of the link, which is the name of the remote cluster.
    pub remote_cluster: &'a str,
    /// Client id prefix of the link.
    pub clientid: &'a str,
    pub server: &'a str,
    /// Principal that holds the remote's name now, for [`ReasonWord::PeerNotBound`].
    pub holder: Option<&'a crate::binding::Principal>,
    /// What the client ids begin with that speak for the remote now.
    pub holder_prefix: Option<&'a str>,
}

impl Reason {
    /// What to do, in plain words; empty when nothing needs to be done.
    pub fn advice(&self, context: &AdviceContext<'_>) -> String {
        use ReasonWord as W;
        let AdviceContext { local_cluster, remote_cluster, clientid, server, .. } = *context;
        match self.word {
            W::NameNotFound => format!("Check the host in server = \"{server}\" and the name service of this node."),
            W::ConnectionRefused => format!("Check that an MQTT listener of {remote_cluster} runs at {server} and that the port is right."),
            W::ConnectTimeout | W::Unreachable => format!("Check routes and firewalls between this node and {server}."),
            W::TlsUntrusted => "Set ssl.cacertfile to the authority that signed the remote's certificate.".to_owned(),
            W::TlsNameMismatch => "Set ssl.server_name_indication to a name in the remote's certificate, or use that name in server.".to_owned(),
            W::TlsExpired => "Renew the remote's certificate, and compare the clocks of both sides.".to_owned(),
            W::TlsClientCertificate => "Set ssl.certfile and ssl.keyfile to a certificate that the remote trusts.".to_owned(),
            W::NotTls => "Use the TLS port of the remote, or set ssl.enable = false.".to_owned(),
            W::TlsFailed => "Compare TLS versions and ciphers of both sides; the detail names the alert.".to_owned(),
            W::LocalTlsFiles => "Check that the ssl files of the link exist on every node and are readable.".to_owned(),
            W::SecretUnreadable => "Check that the file named by password = \"file://…\" exists on every node and is readable.".to_owned(),
            W::LoginRefused => format!("Check username and password of the link; the remote must know them for client ids beginning with {clientid}."),
            W::ClientIdRefused => "Choose another clientid for the link.".to_owned(),
            W::Banned => "Remove the ban at the remote.".to_owned(),
            W::PeerNotMqtt5 => "Point server to a listener that speaks MQTT 5.".to_owned(),
            W::ConnectRefused | W::BatchRefused | W::Refused => "See the detail, and the log of the remote.".to_owned(),
            W::AclDenied | W::RespSubscriptionDenied => format!("Add this line to the remote's acl.conf, above any rule that denies: {}", acl_rule(clientid)),
            W::UnknownCluster => format!("Create a link named \"{local_cluster}\" at {remote_cluster}; for example with this body: {}", counterpart_link(context)),
            W::BadRemoteClusterName => "Name this link exactly like cluster.name of the remote, or point server to the cluster that was meant.".to_owned(),
            W::LinkDisabledAtRemote => format!("Enable the link \"{local_cluster}\" at {remote_cluster}."),
            W::ClientIdConflict => format!("Two clusters use the client id prefix {clientid} at this remote: give each link its own clientid."),
            W::QuotaExceeded => "Raise the quota at the remote, or send less.".to_owned(),
            W::PacketTooLarge => "Raise the packet limit of the remote's listener, or publish smaller messages.".to_owned(),
            W::BufferFull => "Raise buffer.disk_max_bytes, or find out why the remote takes so long.".to_owned(),
            W::BufferUnusable => "See the detail: mend or move away the folder that it names; the link tries again every second.".to_owned(),
            W::ClockSkew => "Run a time service on the nodes of both clusters: message expiry across the link counts by both clocks.".to_owned(),
            W::ProtocolError | W::RemoteProtocolError => "Check that the remote is a compatible version; see the log of both sides.".to_owned(),
            W::PeerNotBound => format!("Add an inbound rule to the link: {}", inbound_rule(context)),
            W::IdentityMismatch => "Find out who this client is. If it is right, change the link's inbound rule.".to_owned(),
            W::VerifyNone => "Set ssl.verify = verify_peer and ssl.cacertfile.".to_owned(),
            W::NoQuorum => "Bring back enough nodes of this cluster.".to_owned(),
            W::NodeUnreachable => "Check this node and the cluster port.".to_owned(),
            W::Disabled => "Enable the link.".to_owned(),
            W::Paused => "Resume the link.".to_owned(),
            W::ConnectionLost | W::KeepAliveTimeout | W::ServerBusy | W::HandshakeTimeout | W::BatchTimeout | W::UnackedTooLong | W::SessionEnded | W::SyncOverflow | W::Starting => String::new(),
        }
    }
}

/// The rule for the remote's `acl.conf`. The prefix is escaped for the regular expression
/// and for the quoted text around it.
pub(super) fn acl_rule(clientid: &str) -> String {
    let mut pattern = String::with_capacity(clientid.len());
    for character in clientid.chars() {
        match character {
            // An escaped character of the pattern needs its backslash doubled in the text.
            '\\' => pattern.push_str("\\\\\\\\"),
            '"' => pattern.push_str("\\\""),
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => {
                pattern.push_str("\\\\");
                pattern.push(character);
            }
            other => pattern.push(other),
        }
    }
    format!("{{allow, {{clientid, {{re, \"^{pattern}\"}}}}, all, [\"$LINK/#\"]}}.")
}

/// The link that the remote needs, as a body for `POST /cluster/links` there. `server` is ours to
/// fill in: we do not know by which address the remote reaches us.
pub(super) fn counterpart_link(context: &AdviceContext<'_>) -> String {
    json!({
        "name": context.local_cluster,
        "enable": true,
        "server": "ADDRESS-OF-THIS-CLUSTER:1883",
        "clientid": format!("{}-", context.remote_cluster),
        "topics": [],
    })
    .to_string()
}

fn inbound_rule(context: &AdviceContext<'_>) -> String {
    use crate::binding::Principal;
    match context.holder {
        Some(Principal::User(name)) => json!({"inbound": {"username": name}}).to_string(),
        Some(Principal::Certificate(name)) => json!({"inbound": {"cert_cn": name}}).to_string(),
        _ => {
            let own = format!("{}-", context.remote_cluster);
            let prefix = context.holder_prefix.unwrap_or(&own);
            json!({"inbound": {"clientid_prefix": prefix}}).to_string()
        }
    }
}
