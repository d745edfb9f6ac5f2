//! Tokens of logins: JWT with HS256 (LINK-SPEC A-2). Pure. The signature shows that a token is one of
//! ours; whether it still counts is looked up in the replicated state, so that a logout ends it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Longer tokens are none of ours.
const BYTES_MAX: usize = 2_048;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

/// A token as it came, not trusted yet.
pub(crate) struct Unverified<'a> {
    pub(crate) claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

pub(crate) fn sign(claims: &Claims, key: &[u8]) -> String {
    let body = serde_json::to_string(claims).expect("the claims have string keys only");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(body));
    let signature = URL_SAFE_NO_PAD.encode(mac(key, &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Reads a token without believing it. The header is not looked at: there is one algorithm.
pub(crate) fn parse(token: &str) -> Option<Unverified<'_>> {
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= BYTES_MAX)?;
    let (_, body) = signed.split_once('.')?;
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    Some(Unverified { claims, signed, signature: URL_SAFE_NO_PAD.decode(signature).ok()? })
}

impl Unverified<'_> {
    /// Compares in constant time.
    pub(crate) fn is_signed_with(&self, key: &[u8]) -> bool {
        mac(key, self.signed).verify_slice(&self.signature).is_ok()
    }
}

fn mac(key: &[u8], signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let (iss, sub, jti) = ("SpanMQ".into(), "ann".into(), "1".into());
        Claims { iss, sub, jti, iat: 1, exp: 2 }
    }

    #[test]
    fn a_token_is_believed_only_with_its_key_and_unchanged_a2() {
        let token = sign(&claims(), b"key");
        let parsed = parse(&token).unwrap();
        assert_eq!(parsed.claims, claims());
        assert!(parsed.is_signed_with(b"key") && !parsed.is_signed_with(b"other"));
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let other = serde_json::to_string(&Claims { sub: "bob".into(), ..claims() }).unwrap();
        let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(other));
        assert!(!parse(&forged).unwrap().is_signed_with(b"key"));
    }

    #[test]
    fn an_unsigned_token_and_other_texts_are_refused_a2() {
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims()).unwrap());
        assert!(!parse(&format!("{none}.{body}.")).unwrap().is_signed_with(b"key"));
        let long = format!("a.{}.b", "x".repeat(BYTES_MAX));
        for text in ["", ".", "..", "a.b.c", "a.e30.c", long.as_str()] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
