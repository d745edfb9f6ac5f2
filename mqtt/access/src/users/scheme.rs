//! How passwords are hashed, and which foreign hashes are taken over.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};

use super::digest::{DigestName, MacName, SaltPosition};
use super::hash::{Form, PasswordHash};
use crate::secret::{Secret, hex};

/// The password hashing of one authenticator (`password_hash_algorithm` in A-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashScheme {
    /// 19 MiB, two passes, one lane: some 20 ms of one core. What we recommend.
    Argon2id,
    /// Hexadecimal digest of salt and password.
    Digest {
        name: DigestName,
        salt_position: SaltPosition,
    },
    /// The file or configuration holds the password itself. We never store it: it is kept as
    /// salted SHA-256, which accepts the same passwords.
    Plain,
    Bcrypt {
        salt_rounds: u32,
    },
    /// `dk_length` in bytes; absent = the length of the digest.
    Pbkdf2 {
        mac: MacName,
        iterations: u32,
        dk_length: Option<u32>,
    },
}

/// Why a hash or the parameters of a scheme were refused. It never holds the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    #[error(
        "the hash has not the form of the configured algorithm ({expected}); check password_hash_algorithm"
    )]
    Form { expected: &'static str },
    #[error(
        "checking the hash would cost too much ({limit}); hash the password again with a lower cost"
    )]
    TooCostly { limit: &'static str },
    #[error("the parameters of the password hashing are out of range ({limit})")]
    Parameters { limit: &'static str },
}

const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
const ARGON2_PASSES: u32 = 2;
const BCRYPT_COST_MAX: u32 = 15;
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
const PBKDF2_BYTES_MAX: usize = 1024;

impl HashScheme {
    /// Hashes a new password. `salt` must be random; where the scheme takes a text, its 32 hexadecimal
    /// digits are the salt.
    ///
    /// Cost: see [`PasswordHash::verify`].
    ///
    /// # Errors
    /// [`BadHash::Parameters`].
    pub fn hash(&self, password: &Secret, salt: [u8; 16]) -> Result<PasswordHash, BadHash> {
        let password = password.expose().as_bytes();
        let form = match *self {
            Self::Argon2id => Form::Argon2id { phc: argon2id(password, &salt)? },
            Self::Digest { name, salt_position } => {
                digest_form(name, salt_position, hex(&salt), password)
            }
            Self::Plain => {
                digest_form(DigestName::Sha256, SaltPosition::Prefix, hex(&salt), password)
            }
            Self::Bcrypt { salt_rounds } => {
                let limit = "salt_rounds must be 4 to 15";
                if salt_rounds > BCRYPT_COST_MAX {
                    return Err(BadHash::Parameters { limit });
                }
                let parts = bcrypt::hash_with_salt(password, salt_rounds, salt);
                Form::Bcrypt {
                    crypt: parts.map_err(|_| BadHash::Parameters { limit })?.to_string(),
                }
            }
            Self::Pbkdf2 { mac, iterations, dk_length } => {
                let bytes = pbkdf2_bytes(mac, iterations, dk_length)?;
                let salt = hex(&salt);
                let hash = hex(&mac.derive(password, salt.as_bytes(), iterations, bytes));
                Form::Pbkdf2 { mac, iterations, salt, hash }
            }
        };
        Ok(PasswordHash(form))
    }

    /// Takes over a hash made elsewhere; `salt` is empty where the hash includes it.
    ///
    /// # Errors
    /// [`BadHash`] when the form is not that of the scheme, or a check would cost too much.
    pub fn adopt(&self, hash: &str, salt: &str) -> Result<PasswordHash, BadHash> {
        let form = match *self {
            Self::Argon2id => adopt_argon2id(hash)?,
            Self::Digest { name, salt_position } => {
                let hash = hex_text(hash).filter(|hash| hash.len() == name.bytes() * 2);
                let hash = hash.ok_or(BadHash::Form {
                    expected: "hexadecimal digits, two per byte of the digest",
                })?;
                Form::Digest { name, salt_position, salt: salt.to_owned(), hash }
            }
            // There is no foreign hash to take over: the text is the password itself.
            Self::Plain => digest_form(
                DigestName::Sha256,
                SaltPosition::Prefix,
                salt.to_owned(),
                hash.as_bytes(),
            ),
            Self::Bcrypt { .. } => {
                let parts: bcrypt::HashParts = hash
                    .parse()
                    .map_err(|_| BadHash::Form { expected: "$2b$<cost>$ and 53 characters" })?;
                if parts.get_cost() > BCRYPT_COST_MAX {
                    return Err(BadHash::TooCostly { limit: "bcrypt cost at most 15" });
                }
                Form::Bcrypt { crypt: hash.to_owned() }
            }
            Self::Pbkdf2 { mac, iterations, dk_length } => {
                let bytes = pbkdf2_bytes(mac, iterations, dk_length)?;
                let hash = hex_text(hash).filter(|hash| hash.len() == bytes * 2);
                let hash = hash.ok_or(BadHash::Form {
                    expected: "hexadecimal digits, two per byte of dk_length",
                })?;
                Form::Pbkdf2 { mac, iterations, salt: salt.to_owned(), hash }
            }
        };
        Ok(PasswordHash(form))
    }
}

fn digest_form(
    name: DigestName,
    salt_position: SaltPosition,
    salt: String,
    password: &[u8],
) -> Form {
    let hash = hex(&name.digest(salt_position, salt.as_bytes(), password));
    let salt = if salt_position == SaltPosition::Disable { String::new() } else { salt };
    Form::Digest { name, salt_position, salt, hash }
}

/// A-8 compares caseless; we keep lower case.
fn hex_text(text: &str) -> Option<String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_ascii_lowercase())
}

fn pbkdf2_bytes(mac: MacName, iterations: u32, dk_length: Option<u32>) -> Result<usize, BadHash> {
    let bytes = dk_length.map_or(mac.bytes(), |bytes| bytes as usize);
    if iterations == 0 || iterations > PBKDF2_ITERATIONS_MAX {
        return Err(BadHash::Parameters { limit: "iterations must be 1 to 10000000" });
    }
    if bytes == 0 || bytes > PBKDF2_BYTES_MAX {
        return Err(BadHash::Parameters { limit: "dk_length must be 1 to 1024" });
    }
    Ok(bytes)
}

fn argon2id(password: &[u8], salt: &[u8; 16]) -> Result<String, BadHash> {
    let limit = "the password must be shorter than 4 GiB";
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None)
        .expect("the constants are in argon2's range");
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = hasher
        .hash_password_with_salt(password, salt)
        .map_err(|_| BadHash::Parameters { limit })?;
    Ok(hash.to_string())
}

fn adopt_argon2id(hash: &str) -> Result<Form, BadHash> {
    const WRONG: BadHash = BadHash::Form { expected: "$argon2id$v=19$m=…,t=…,p=…$salt$hash" };
    let parsed = argon2::PasswordHash::new(hash).map_err(|_| WRONG)?;
    let params = Params::try_from(&parsed).map_err(|_| WRONG)?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.salt.is_none() || parsed.hash.is_none() {
        return Err(WRONG);
    }
    // A hash is checked for every attempt to connect.
    if params.m_cost() > 256 * 1024 || params.t_cost() > 16 || params.p_cost() > 16 {
        return Err(BadHash::TooCostly { limit: "argon2id with at most m=262144, t=16, p=16" });
    }
    Ok(Form::Argon2id { phc: hash.to_owned() })
}
