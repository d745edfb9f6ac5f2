//! The machine words and their sentences.

macro_rules! words {
    ($($variant:ident = $word:literal, $sentence:literal;)*) => {
        /// One cause. The word is stable; scripts and tests compare it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ReasonWord { $(#[doc = $sentence] $variant),* }

        impl ReasonWord {
            pub const ALL: &'static [ReasonWord] = &[$(ReasonWord::$variant),*];

            /// The machine word.
            pub const fn as_str(self) -> &'static str {
                match self { $(ReasonWord::$variant => $word),* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(ReasonWord::$variant => $sentence),* }
            }
        }
    };
}

words! {
    NameNotFound = "name_not_found", "The host name of the remote cluster cannot be resolved.";
    ConnectionRefused = "connection_refused", "The remote host refuses TCP connections on this port.";
    ConnectTimeout = "connect_timeout", "The remote did not answer the connection attempt in time.";
    Unreachable = "unreachable", "There is no network path to the remote host.";
    ConnectionLost = "connection_lost", "The connection to the remote broke.";
    KeepAliveTimeout = "keep_alive_timeout", "The remote stopped answering pings.";
    TlsUntrusted = "tls_untrusted", "The certificate of the remote is not signed by a trusted authority.";
    TlsNameMismatch = "tls_name_mismatch", "The certificate of the remote is for another host name.";
    TlsExpired = "tls_expired", "The certificate of the remote is expired or not yet valid.";
    TlsClientCertificate = "tls_client_certificate", "The remote asks for a client certificate, or refuses ours.";
    TlsFailed = "tls_failed", "The TLS handshake failed.";
    NotTls = "not_tls", "The remote port does not speak TLS.";
    LocalTlsFiles = "local_tls_files", "A certificate or key file of the link cannot be read.";
    SecretUnreadable = "secret_unreadable", "The password file of the link cannot be read.";
    LoginRefused = "login_refused", "The remote refuses the user name or password.";
    ClientIdRefused = "client_id_refused", "The remote refuses the client id of the link.";
    Banned = "banned", "The remote has banned this client or address.";
    PeerNotMqtt5 = "peer_not_mqtt5", "The remote port does not speak MQTT 5.";
    ServerBusy = "server_busy", "The remote is busy or shutting down.";
    ConnectRefused = "connect_refused", "The remote refuses the MQTT connection.";
    AclDenied = "acl_denied", "The remote's access rules forbid the link's control topics.";
    RespSubscriptionDenied = "resp_subscription_denied", "The remote refuses the subscription to the answer topic.";
    UnknownCluster = "unknown_cluster", "The remote has no link for the name of this cluster.";
    BadRemoteClusterName = "bad_remote_cluster_link_name", "The remote cluster has another name than this link.";
    LinkDisabledAtRemote = "cluster_link_disabled", "The remote has a link for this cluster, but it is disabled.";
    Refused = "handshake_refused", "The remote refuses the link handshake.";
    HandshakeTimeout = "handshake_timeout", "The remote did not answer the link handshake within 5 seconds.";
    ProtocolError = "protocol_error", "The remote sent something that is not the link protocol.";
    RemoteProtocolError = "remote_protocol_error", "The remote closed the connection for a link protocol error.";
    BatchRefused = "batch_refused", "The remote refuses a batch of routes.";
    BatchTimeout = "batch_timeout", "The remote did not acknowledge a batch of routes in time.";
    ClientIdConflict = "clientid_conflict", "Another client uses the client id of this link at the remote.";
    QuotaExceeded = "quota_exceeded", "The remote's quota for this link is used up.";
    PacketTooLarge = "packet_too_large", "A message is larger than the remote accepts.";
    UnackedTooLong = "unacked_too_long", "The remote left a forwarded message unacknowledged for too long.";
    BufferFull = "buffer_full", "The buffer of the link is full.";
    BufferUnusable = "buffer_unusable", "The buffer of the link cannot be opened on this node; QoS 1 and 2 messages for it are refused.";
    ClockSkew = "clock_skew", "The clocks of this node and of the remote differ.";
    SessionEnded = "session_ended", "The remote ended the connection.";
    PeerNotBound = "peer_not_bound", "The remote's identity is not fixed: the first client that spoke for it holds its name.";
    IdentityMismatch = "identity_mismatch", "A client without the right to it speaks for the remote's name.";
    VerifyNone = "tls_verify_none", "The certificate of the remote is not verified.";
    SyncOverflow = "sync_overflow", "Too many route changes piled up while the remote was away; starting over.";
    NoQuorum = "no_quorum", "This cluster has no quorum and cannot store what the remote sends.";
    NodeUnreachable = "node_unreachable", "This node did not answer.";
    Disabled = "disabled", "The link is disabled here.";
    Paused = "paused", "The link is paused here: messages are buffered, not sent.";
    Starting = "starting", "The link is starting.";
}

impl ReasonWord {
    /// Whether retrying sooner or later may help without anybody acting. The others are logged as
    /// warnings, because a person must change something.
    pub const fn heals_by_itself(self) -> bool {
        use ReasonWord as W;
        matches!(
            self,
            W::ConnectionRefused
                | W::ConnectTimeout
                | W::Unreachable
                | W::ConnectionLost
                | W::KeepAliveTimeout
                | W::ServerBusy
                | W::HandshakeTimeout
                | W::BatchTimeout
                | W::UnackedTooLong
                | W::SessionEnded
                | W::SyncOverflow
                | W::NoQuorum
                | W::NodeUnreachable
                | W::Starting
        )
    }

    /// The remote answered, and somebody must change something there or here.
    pub const fn is_refusal(self) -> bool {
        use ReasonWord as W;
        matches!(
            self,
            W::UnknownCluster
                | W::BadRemoteClusterName
                | W::LinkDisabledAtRemote
                | W::Refused
                | W::AclDenied
                | W::RespSubscriptionDenied
                | W::LoginRefused
                | W::ClientIdRefused
                | W::Banned
                | W::PeerNotMqtt5
                | W::ConnectRefused
                | W::BatchRefused
                | W::QuotaExceeded
        )
    }

    /// The reason behind a CONNACK refusal.
    pub const fn from_connack(code: u8) -> ReasonWord {
        match code {
            0x84 | 0x01 => ReasonWord::PeerNotMqtt5,
            0x85 | 0x02 => ReasonWord::ClientIdRefused,
            0x86 | 0x04 | 0x8c => ReasonWord::LoginRefused,
            0x87 | 0x05 => ReasonWord::LoginRefused,
            0x88 | 0x89 | 0x03 => ReasonWord::ServerBusy,
            0x8a => ReasonWord::Banned,
            0x97 | 0x9f => ReasonWord::QuotaExceeded,
            _ => ReasonWord::ConnectRefused,
        }
    }

    /// The reason behind a DISCONNECT from the remote.
    pub const fn from_disconnect(code: u8) -> ReasonWord {
        match code {
            0x81..=0x83 => ReasonWord::RemoteProtocolError,
            0x87 => ReasonWord::AclDenied,
            0x88 | 0x89 | 0x8b => ReasonWord::ServerBusy,
            0x8d => ReasonWord::KeepAliveTimeout,
            0x8e => ReasonWord::ClientIdConflict,
            0x95 => ReasonWord::PacketTooLarge,
            0x97 | 0x9f | 0x96 => ReasonWord::QuotaExceeded,
            _ => ReasonWord::SessionEnded,
        }
    }

    /// The reason behind an acknowledgement of 0x80 or more.
    pub const fn from_ack(code: u8) -> ReasonWord {
        match code {
            0x87 => ReasonWord::AclDenied,
            0x95 => ReasonWord::PacketTooLarge,
            0x97 => ReasonWord::QuotaExceeded,
            _ => ReasonWord::BatchRefused,
        }
    }
}
