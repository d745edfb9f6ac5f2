//! Who may connect and do what: users and rules from files, checked by `spanmq-access`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use spanmq_access::{
    Acl, Action, ClientInfo, Decision, HashScheme, ImportKind, Permission, SaltPosition, User,
    UserIdType, UserStore, import_csv, import_json,
};
use spanmq_config::{Authenticator, BootstrapType, Config, HashName};
use spanmq_mqtt::ports::{
    self, Authenticate, Authenticated, Authorize, BoxFuture, Client, Credentials,
};
use spanmq_raft::RaftNode;

/// Principal of everybody who did not prove who he is: they cannot be told apart (A6).
const ANONYMOUS: &str = "anonymous";
/// CONNACK code: bad user name or password.
const BAD_LOGIN: u8 = 0x86;

/// The checks of one node.
pub(crate) struct Access {
    users: Vec<Users>,
    allow_anonymous: bool,
    acl: ArcSwap<Acl>,
}

struct Users {
    store: Arc<UserStore>,
    by_client_id: bool,
}

impl Access {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// The file, the line and what is wrong; the node must not start then (SECURITY A8).
    pub(crate) fn load(config: &Config) -> anyhow::Result<Arc<Self>> {
        let enabled = config.authentication.iter().filter(|a| a.enable);
        let users = enabled.map(load_users).collect::<anyhow::Result<_>>()?;
        Ok(Arc::new(Self {
            users,
            allow_anonymous: config.allow_anonymous || config.dev,
            acl: ArcSwap::from_pointee(load_acl(config)?),
        }))
    }

    /// Reads the rule files again; gives the number of rules.
    ///
    /// # Errors
    /// As [`Access::load`]; the former rules hold then.
    pub(crate) fn reload(&self, config: &Config) -> anyhow::Result<usize> {
        let acl = load_acl(config)?;
        let rules = acl.rule_count();
        self.acl.store(Arc::new(acl));
        Ok(rules)
    }

    /// What the rules say.
    pub(crate) fn check(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision {
        self.acl.load().check(client, action, topic)
    }

    /// `replicated` is the user of that name that was made over REST, if there is one; users of
    /// the files come first.
    fn decide(&self, credentials: &Credentials, replicated: Option<&User>) -> Authenticated {
        if let (Some(name), None) = (&credentials.cert_cn, &credentials.password) {
            // A certificate proves its own name only; rules go by the user name.
            let other = credentials.username.as_ref().is_some_and(|username| username != name);
            return match other && !credentials.username_is_proved {
                true => Authenticated::Denied(BAD_LOGIN),
                false => allowed(format!("cert:{name}"), false),
            };
        }
        let (username, password) =
            (credentials.username.as_deref(), credentials.password.as_deref());
        if password.is_none() {
            return self.without_login();
        }
        for users in &self.users {
            let id = match users.by_client_id {
                true => Some(&credentials.client_id),
                false => credentials.username.as_ref(),
            };
            let Some(id) = id else { continue };
            let found = users.store.get(id).is_some();
            match users.store.authenticate(&credentials.client_id, username, password) {
                Ok(user) => return allowed(format!("user:{id}"), user.is_superuser),
                Err(_) if found => return Authenticated::Denied(BAD_LOGIN),
                Err(_) => {}
            }
        }
        match replicated {
            Some(user) if password.is_some_and(|password| user.password.verify(password)) => {
                allowed(format!("user:{}", user.user_id), user.is_superuser)
            }
            Some(_) => Authenticated::Denied(BAD_LOGIN),
            None if self.users.is_empty() => self.without_login(),
            None => Authenticated::Denied(BAD_LOGIN),
        }
    }

    fn without_login(&self) -> Authenticated {
        match self.allow_anonymous {
            true => allowed(ANONYMOUS.to_owned(), false),
            false => Authenticated::Denied(BAD_LOGIN),
        }
    }
}

fn allowed(principal: String, is_superuser: bool) -> Authenticated {
    Authenticated::Allowed { principal: principal.into(), is_superuser }
}

/// The port of the broker.
pub(crate) struct AccessPort {
    pub(crate) access: Arc<Access>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) raft: RaftNode,
}

impl Authenticate for AccessPort {
    /// Password hashes cost milliseconds by design: they are checked off the workers.
    fn authenticate(&self, credentials: Credentials) -> BoxFuture<Authenticated> {
        let access = self.access.clone();
        let replicated = credentials
            .username
            .as_deref()
            .and_then(|name| spanmq_api::mqtt_user(&self.raft.state(), name));
        let nobody = access.users.is_empty() && replicated.is_none();
        if credentials.password.is_none() || nobody {
            let decided = access.decide(&credentials, None);
            return Box::pin(std::future::ready(decided));
        }
        let checking =
            self.runtime.spawn_blocking(move || access.decide(&credentials, replicated.as_ref()));
        // A check that failed by itself denies (A3).
        Box::pin(async move { checking.await.unwrap_or(Authenticated::Denied(0x88)) })
    }
}

impl Authorize for AccessPort {
    fn allows(&self, client: &Client, action: ports::Action, topic: &str) -> bool {
        let info = ClientInfo {
            client_id: client.client_id.clone(),
            username: client.username.clone(),
            peer_ip: client.peer.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip()),
            cert_common_name: client.cert_cn.clone(),
            client_attrs: std::collections::BTreeMap::new(),
            listener: client.listener.clone(),
            zone: client.zone.clone(),
            is_superuser: client.is_superuser,
        };
        let action = match action {
            ports::Action::Publish { qos, retain } => Action::Publish { qos: qos as u8, retain },
            ports::Action::Subscribe { qos } => Action::Subscribe { qos: qos as u8 },
        };
        self.access.check(&info, action, topic).is_allowed()
    }
}

/// `--dev` without rules allows everything but the reserved topics (D-5).
fn load_acl(config: &Config) -> anyhow::Result<Acl> {
    let allow = config.authorization.no_match == spanmq_config::NoMatch::Allow || config.dev;
    let no_match = if allow { Permission::Allow } else { Permission::Deny };
    let mut acl: Option<Acl> = None;
    let sources = config.authorization.sources.iter().filter(|source| source.enable);
    for path in sources.filter_map(|source| source.path.as_deref()) {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("{name}: the rule file cannot be read: {error}"))?;
        let rules = Acl::parse(&name, &text)?;
        match &mut acl {
            Some(acl) => acl.append(rules),
            None => acl = Some(rules),
        }
    }
    let configured = config.authorization.no_match == spanmq_config::NoMatch::Allow;
    Ok(match acl {
        // Rules that somebody wrote decide by themselves, also with --dev.
        Some(acl) if !configured => acl.with_no_match(Permission::Deny),
        Some(acl) => acl.with_no_match(Permission::Allow),
        None => Acl::without_rules(no_match),
    })
}

fn load_users(authenticator: &Authenticator) -> anyhow::Result<Users> {
    let by_client_id = authenticator.user_id_type == spanmq_config::UserIdType::Clientid;
    let user_id_type = if by_client_id { UserIdType::ClientId } else { UserIdType::Username };
    let scheme = scheme(authenticator);
    let mut store = UserStore::new(user_id_type, &scheme)?;
    if let Some(path) = &authenticator.bootstrap_file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("{name}: the user file cannot be read: {error}"))?;
        let kind = match authenticator.bootstrap_type {
            BootstrapType::Plain => ImportKind::Plain,
            BootstrapType::Hash => ImportKind::Hash,
        };
        let salts = rand::random::<[u8; 16]>;
        let users = match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            true => import_json(&text, kind, &scheme, salts),
            false => import_csv(&text, kind, &scheme, salts),
        };
        let users = users.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        store.bootstrap(users);
    }
    Ok(Users { store: Arc::new(store), by_client_id })
}

/// New passwords are argon2id; other schemes are for hashes that were made elsewhere.
fn scheme(authenticator: &Authenticator) -> HashScheme {
    use spanmq_access::{DigestName, MacName};
    let algorithm = &authenticator.password_hash_algorithm;
    let salt_position = match algorithm.salt_position {
        spanmq_config::SaltPosition::Prefix => SaltPosition::Prefix,
        spanmq_config::SaltPosition::Suffix => SaltPosition::Suffix,
        spanmq_config::SaltPosition::Disable => SaltPosition::Disable,
    };
    let digest = |name| HashScheme::Digest { name, salt_position };
    if authenticator.bootstrap_type == BootstrapType::Plain {
        return HashScheme::Argon2id;
    }
    match algorithm.name {
        HashName::Argon2id => HashScheme::Argon2id,
        HashName::Plain => HashScheme::Plain,
        HashName::Md5 => digest(DigestName::Md5),
        HashName::Sha => digest(DigestName::Sha),
        HashName::Sha256 => digest(DigestName::Sha256),
        HashName::Sha512 => digest(DigestName::Sha512),
        HashName::Bcrypt => HashScheme::Bcrypt { salt_rounds: algorithm.salt_rounds },
        HashName::Pbkdf2 => HashScheme::Pbkdf2 {
            mac: match algorithm.mac_fun {
                spanmq_config::MacFun::Md5 => MacName::Md5,
                spanmq_config::MacFun::Sha => MacName::Sha,
                spanmq_config::MacFun::Sha224 => MacName::Sha224,
                spanmq_config::MacFun::Sha256 => MacName::Sha256,
                spanmq_config::MacFun::Sha384 => MacName::Sha384,
                spanmq_config::MacFun::Sha512 => MacName::Sha512,
            },
            iterations: algorithm.iterations,
            dk_length: algorithm.dk_length_bytes,
        },
    }
}

/// The keys of `api_key.bootstrap_file`, as records for the replicated state.
///
/// # Errors
/// The file, the line and what is wrong; contents are never shown.
pub(crate) fn api_keys(config: &Config) -> anyhow::Result<Vec<spanmq_access::ApiKey>> {
    let Some(path) = &config.api_key.bootstrap_file else { return Ok(Vec::new()) };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{name}: the API key file cannot be read: {error}"))?;
    spanmq_access::parse_api_keys(&text, rand::random::<[u8; 16]>)
        .map_err(|error| anyhow::anyhow!("{name}: {error}"))
}
