//! Who may connect and what they may do.

use std::path::PathBuf;

use crate::declare::{choice, settings};

choice! {
    /// How a client proves itself.
    pub enum Mechanism {
        PasswordBased = "password_based",
    }
}

choice! {
    /// Where users are kept.
    pub enum AuthBackend {
        BuiltInDatabase = "built_in_database",
    }
}

choice! {
    /// Which field of CONNECT names the user.
    pub enum UserIdType {
        Username = "username",
        Clientid = "clientid",
    }
}

choice! {
    /// What the bootstrap file holds (LINK-SPEC A-8).
    pub enum BootstrapType {
        Plain = "plain",
        Hash = "hash",
    }
}

choice! {
    /// How passwords are stored.
    pub enum HashName {
        Argon2id = "argon2id",
        Pbkdf2 = "pbkdf2",
        Bcrypt = "bcrypt",
        Sha512 = "sha512",
        Sha256 = "sha256",
        Sha = "sha",
        Md5 = "md5",
        Plain = "plain",
    }
}

choice! {
    /// Where the salt goes.
    pub enum SaltPosition {
        Prefix = "prefix",
        Suffix = "suffix",
        Disable = "disable",
    }
}

choice! {
    /// The digest of PBKDF2.
    pub enum MacFun {
        Sha256 = "sha256",
        Sha512 = "sha512",
        Sha384 = "sha384",
        Sha224 = "sha224",
        Sha = "sha",
        Md5 = "md5",
    }
}

settings! {
    /// One place where MQTT clients are looked up.
    pub struct Authenticator {
        /// Off = skipped.
        "enable" => enable: bool = true,
        /// password_based.
        "mechanism" => mechanism: Mechanism = Mechanism::PasswordBased,
        /// built_in_database.
        "backend" => backend: AuthBackend = AuthBackend::BuiltInDatabase,
        /// username or clientid.
        "user_id_type" => user_id_type: UserIdType = UserIdType::Username,
        /// How passwords are stored.
        "password_hash_algorithm" => password_hash_algorithm: HashAlgorithm =
            HashAlgorithm::default(),
        /// CSV or JSON file with users to add at the first start.
        "bootstrap_file" => bootstrap_file: Option<PathBuf> = None,
        /// plain or hash.
        "bootstrap_type" => bootstrap_type: BootstrapType = BootstrapType::Plain,
    }
}

settings! {
    /// How passwords are stored (LINK-SPEC A-8).
    pub struct HashAlgorithm {
        /// argon2id, pbkdf2, bcrypt, sha512, sha256, sha, md5 or plain.
        "name" => name: HashName = HashName::Sha256,
        /// prefix, suffix or disable; for sha…, md5 and plain.
        "salt_position" => salt_position: SaltPosition = SaltPosition::Prefix,
        /// Cost of bcrypt.
        "salt_rounds" => salt_rounds: u32 = 10 => 5..=10,
        /// Digest of pbkdf2.
        "mac_fun" => mac_fun: MacFun = MacFun::Sha256,
        /// Rounds of pbkdf2.
        "iterations" => iterations: u32 = 4_096 => 1..=10_000_000,
        /// Bytes that pbkdf2 derives; absent = length of the digest.
        "dk_length" => dk_length_bytes: Option<u32> = None,
    }
}

choice! {
    /// The answer when no rule matches.
    pub enum NoMatch {
        Deny = "deny",
        Allow = "allow",
    }
}

choice! {
    /// What a client notices of a refused QoS 0 publish.
    pub enum DenyAction {
        Ignore = "ignore",
        Disconnect = "disconnect",
    }
}

choice! {
    /// Kind of a rule source.
    pub enum AclSourceType {
        File = "file",
    }
}

settings! {
    /// What MQTT clients may do.
    pub struct AuthorizationConfig {
        /// Rule files, asked in this order.
        "sources" => sources: Vec<AclSource> = vec![],
        /// The answer when no rule matches (D-5).
        "no_match" => no_match: NoMatch = NoMatch::Deny,
        /// ignore = silence, disconnect = DISCONNECT 0x87.
        "deny_action" => deny_action: DenyAction = DenyAction::Ignore,
    }
}

settings! {
    /// A source of rules.
    pub struct AclSource {
        /// file.
        "type" => kind: AclSourceType = AclSourceType::File,
        /// Off = skipped.
        "enable" => enable: bool = true,
        /// The rule file (LINK-SPEC A-5).
        "path" => path: Option<PathBuf> = None,
    }
}

settings! {
    /// Keys of the management API.
    pub struct ApiKeyConfig {
        /// File with `key:secret[:role]` lines to add at each start (LINK-SPEC A-4).
        "bootstrap_file" => bootstrap_file: Option<PathBuf> = None,
    }
}
