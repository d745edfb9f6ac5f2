//! `server`: one or several addresses of the remote's MQTT listener (C-5, C-14).

use super::ValidationError;
use serde_json::json;
use std::fmt;

const DEFAULT_PORT: u16 = 1883;

/// The addresses of one link, at least one, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    text: String,
    scheme: Option<Scheme>,
    addresses: Vec<ServerAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Mqtt,
    Mqtts,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Servers {
    /// # Errors
    /// One error with the word of C-5, without a path.
    pub fn parse(text: &str) -> Result<Servers, ValidationError> {
        let refuse = |word: &str| {
            Err(ValidationError::new(json!({ "reason": word, "value": without_login(text) })))
        };
        if text.trim().is_empty() {
            return refuse("cannot_be_empty");
        }
        let mut scheme = None;
        let mut addresses = Vec::new();
        for part in text.split(',') {
            match parse_one(part.trim()) {
                Ok((given, address)) => {
                    // One TLS scheme is enough to ask for TLS.
                    scheme = match (scheme, given) {
                        (Some(Scheme::Mqtts), _) | (_, None) => scheme,
                        _ => given,
                    };
                    addresses.push(address);
                }
                Err(word) => return refuse(word),
            }
        }
        Ok(Servers { text: text.to_owned(), scheme, addresses })
    }

    /// As configured.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    pub fn addresses(&self) -> &[ServerAddress] {
        &self.addresses
    }

    /// The addresses in the order of one connection attempt round: from a pseudo-random position
    /// on, each once (C-14).
    pub fn round(&self, random: u64) -> impl Iterator<Item = &ServerAddress> {
        let count = self.addresses.len();
        let start = usize::try_from(random % (count.max(1) as u64)).unwrap_or(0);
        self.addresses.iter().cycle().skip(start).take(count)
    }
}

/// The text without a login that does not belong there and may be a secret.
fn without_login(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("******@{rest}"),
        None => text.to_owned(),
    }
}

fn parse_one(text: &str) -> Result<(Option<Scheme>, ServerAddress), &'static str> {
    let (scheme, rest) = match text.split_once("://") {
        None => (None, text),
        Some(("mqtt", rest)) => (Some(Scheme::Mqtt), rest),
        Some(("mqtts", rest)) => (Some(Scheme::Mqtts), rest),
        Some(_) => return Err("unsupported_scheme"),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, tail) = bracketed.split_once(']').ok_or("bad_host_port")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "bad_host_port")?;
            match tail.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if tail.is_empty() => (host, None),
                None => return Err("bad_host_port"),
            }
        }
        None => match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("bad_host_port"),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.contains(char::is_whitespace) {
        return Err("hostname_has_space");
    }
    if port.is_none() && !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expecting_hostname_but_got_a_number");
    }
    if host.is_empty() || host.contains(['/', '@', '?', '#']) || host.contains(char::is_control) {
        return Err("bad_host_port");
    }
    let port = port.map_or(Ok(DEFAULT_PORT), parse_port)?;
    Ok((scheme, ServerAddress { host: host.to_owned(), port }))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("bad_port_number");
    }
    match text.parse::<u32>() {
        Ok(0) => Err("bad_port_number"),
        Ok(port) => u16::try_from(port).map_err(|_| "port_number_too_large"),
        Err(_) => Err("port_number_too_large"),
    }
}
