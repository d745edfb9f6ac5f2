//! The join token: one line that lets a new node find the right cluster and be let in.
//!
//! `spanmq-join-` and base64url of: version, SHA-256 of the CA certificate, expiry, serial,
//! secret, checksum. The secret is made from the CA's key, the expiry and the serial, so that
//! every member can check a token that any other has printed and no list has to be kept.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};

use crate::ca::CaFingerprint;

const PREFIX: &str = "spanmq-join-";
const VERSION: u8 = 1;
const SECRET_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;
const TOKEN_BYTES: usize = 1 + 32 + 8 + 4 + SECRET_BYTES + CHECKSUM_BYTES;

/// The secret half of a token. Never printed but by [`JoinToken::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JoinSecret(pub(crate) [u8; SECRET_BYTES]);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What `spanmq cluster token` prints and `--join` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The only CA that the joiner will trust.
    pub fingerprint: CaFingerprint,
    /// Seconds since 1970; 0 means it does not expire.
    pub expires_unix_s: u64,
    pub(crate) serial: u32,
    pub(crate) secret: JoinSecret,
}

/// Why a text is not a join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("a join token begins with \"spanmq-join-\"; print one with `spanmq cluster token`")]
    Prefix,
    #[error(
        "the join token holds a character that cannot stand there (position {position}); copy it again as one line"
    )]
    Character { position: usize },
    #[error(
        "the join token is {found} characters long and not {expected}; copy it again as one line"
    )]
    Length { found: usize, expected: usize },
    #[error(
        "the join token has version {found}, this build reads version {VERSION}; use the version of SpanMQ that printed it"
    )]
    Version { found: u8 },
    #[error("the join token is damaged (its checksum is wrong); copy it again")]
    Checksum,
}

impl JoinToken {
    /// The token as its one line. It is a secret.
    pub fn reveal(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.fingerprint.0);
        bytes.extend(self.expires_unix_s.to_be_bytes());
        bytes.extend(self.serial.to_be_bytes());
        bytes.extend(self.secret.0);
        bytes.extend(checksum(&bytes));
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads the line that [`JoinToken::reveal`] made.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong, without repeating the token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let bytes =
            BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|error| match error.kind {
                data_encoding::DecodeKind::Length => wrong_length(encoded),
                _ => TokenError::Character { position: PREFIX.len() + error.position + 1 },
            })?;
        let (&version, _) = bytes.split_first().ok_or_else(|| wrong_length(encoded))?;
        if version != VERSION {
            return Err(TokenError::Version { found: version });
        }
        let (content, sum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .filter(|_| bytes.len() == TOKEN_BYTES)
            .ok_or_else(|| wrong_length(encoded))?;
        if *sum != checksum(content) {
            return Err(TokenError::Checksum);
        }
        Self::read(content).ok_or_else(|| wrong_length(encoded))
    }

    fn read(content: &[u8]) -> Option<Self> {
        let (_version, rest) = content.split_first()?;
        let (fingerprint, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (serial, rest) = rest.split_first_chunk()?;
        let secret = rest.first_chunk()?;
        Some(Self {
            fingerprint: CaFingerprint(*fingerprint),
            expires_unix_s: u64::from_be_bytes(*expires),
            serial: u32::from_be_bytes(*serial),
            secret: JoinSecret(*secret),
        })
    }
}

fn wrong_length(encoded: &str) -> TokenError {
    let expected = PREFIX.len() + BASE64URL_NOPAD.encode_len(TOKEN_BYTES);
    TokenError::Length { found: PREFIX.len() + encoded.len(), expected }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = digest(&SHA256, content);
    let mut sum = [0; CHECKSUM_BYTES];
    for (to, from) in sum.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            fingerprint: CaFingerprint([7; 32]),
            expires_unix_s: 1_700_000_000,
            serial: 0x0102_0304,
            secret: JoinSecret([9; 16]),
        }
    }

    #[test]
    fn a_token_is_one_line_that_reads_back() {
        let line = token().reveal();
        assert!(line.starts_with("spanmq-join-AQcHBw"));
        assert_eq!(line.len(), 99);
        assert_eq!(JoinToken::parse(&format!(" {line}\n")), Ok(token()));
    }

    #[test]
    fn a_token_does_not_show_its_secret_by_accident() {
        let debug = format!("{:?}", token());
        assert!(debug.contains("secret: ***"), "{debug}");
    }

    #[test]
    fn mistakes_are_named() {
        let line = token().reveal();
        assert_eq!(JoinToken::parse("hello"), Err(TokenError::Prefix));
        let cut = JoinToken::parse(&line[..line.len() - 4]);
        assert_eq!(cut, Err(TokenError::Length { found: 95, expected: 99 }));
        let blank = line.replacen("AQcH", "AQ H", 1);
        assert_eq!(JoinToken::parse(&blank), Err(TokenError::Character { position: 15 }));
        let newer = line.replacen("join-AQ", "join-Ag", 1);
        assert_eq!(JoinToken::parse(&newer), Err(TokenError::Version { found: 2 }));
        let typo = line.replacen("BwcH", "BwcI", 1);
        assert_eq!(JoinToken::parse(&typo), Err(TokenError::Checksum));
        assert_eq!(JoinToken::parse("spanmq-join-"), Err(wrong_length("")));
    }
}
