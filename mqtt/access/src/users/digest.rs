//! The plain digests of A-8. They are fast, hence weak against a stolen database; kept because
//! existing databases use them.

use md5::Md5;
use pbkdf2::pbkdf2_hmac;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// An unkeyed digest of A-8; `sha` is SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestName {
    Md5,
    Sha,
    Sha256,
    Sha512,
}

/// Where the salt stands in the digested text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaltPosition {
    Disable,
    Prefix,
    Suffix,
}

/// The digest of PBKDF2's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacName {
    Md5,
    Sha,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl DigestName {
    pub(super) fn digest(self, position: SaltPosition, salt: &[u8], password: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 2] = match position {
            SaltPosition::Disable => [password, b""],
            SaltPosition::Prefix => [salt, password],
            SaltPosition::Suffix => [password, salt],
        };
        match self {
            Self::Md5 => digest::<Md5>(parts),
            Self::Sha => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

fn digest<D: Digest>(parts: [&[u8]; 2]) -> Vec<u8> {
    let mut digest = D::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().to_vec()
}

impl MacName {
    pub(super) fn derive(
        self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        bytes: usize,
    ) -> Vec<u8> {
        let mut key = vec![0; bytes];
        match self {
            Self::Md5 => pbkdf2_hmac::<Md5>(password, salt, iterations, &mut key),
            Self::Sha => pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut key),
            Self::Sha224 => pbkdf2_hmac::<Sha224>(password, salt, iterations, &mut key),
            Self::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut key),
            Self::Sha384 => pbkdf2_hmac::<Sha384>(password, salt, iterations, &mut key),
            Self::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut key),
        }
        key
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}
