//! How each scalar type is read and shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::setting::{Hint, Scalar, text};
use crate::types::{BindAddr, ByteSize, ClusterName, HostPort, NodeName, OrDisabled, OrInfinity};
use crate::units::{parse_duration, parse_size, show_duration, show_size};
use spanmq_link_protocol::config::Secret;

impl Scalar for bool {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::String(word) => match word.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" => Ok(true),
                "false" | "off" | "no" => Ok(false),
                _ => Err("true or false".into()),
            },
            _ => Err("true or false".into()),
        }
    }

    fn show(&self) -> Value {
        (*self).into()
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }

    fn blank() -> Self {
        false
    }
}

macro_rules! whole_numbers {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {
            fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
                text(value)
                    .parse()
                    .map_err(|_| format!("a whole number between 0 and {}", <$ty>::MAX))
            }

            fn show(&self) -> Value {
                (*self).into()
            }

            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0 })
            }

            fn blank() -> Self {
                0
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64);

impl Scalar for f64 {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        let number = text(value).parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| "a number".into())
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": "number" })
    }

    fn blank() -> Self {
        0.0
    }
}

impl Scalar for String {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        match value {
            Value::Array(_) | Value::Object(_) => Err("text".into()),
            scalar => Ok(text(scalar)),
        }
    }

    fn show(&self) -> Value {
        self.as_str().into()
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }

    fn blank() -> Self {
        String::new()
    }
}

impl Scalar for Secret {
    const SECRET: bool = true;

    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        match value {
            Value::Array(_) | Value::Object(_) => Err("text".into()),
            scalar => Ok(Secret::new(text(scalar))),
        }
    }

    fn show(&self) -> Value {
        "***".into()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "password", "writeOnly": true })
    }

    fn blank() -> Self {
        Secret::new("")
    }
}

impl Scalar for Duration {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        parse_duration(&text(value))
    }

    fn show(&self) -> Value {
        show_duration(*self).into()
    }

    fn schema() -> Value {
        json!({ "type": ["string", "integer"], "format": "duration" })
    }

    fn blank() -> Self {
        Duration::ZERO
    }
}

impl Scalar for ByteSize {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        parse_size(&text(value)).map(ByteSize)
    }

    fn show(&self) -> Value {
        show_size(self.0).into()
    }

    fn schema() -> Value {
        json!({ "type": ["string", "integer"], "format": "bytes" })
    }

    fn blank() -> Self {
        ByteSize(0)
    }
}

/// Reads `word` itself or a value of the inner type.
fn word_or<T: Scalar>(value: &Value, word: &str, fallback: T) -> Result<Option<T>, String> {
    if text(value) == word {
        return Ok(None);
    }
    let hint = Hint { default: &fallback, base: Path::new("") };
    T::parse(value, &hint).map(Some).map_err(|expected| format!("{expected} or {word}"))
}

impl<T: Scalar + Clone> Scalar for OrInfinity<T> {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        Ok(word_or(value, "infinity", T::blank())?.map_or(Self::Infinity, Self::Finite))
    }

    fn show(&self) -> Value {
        match self {
            Self::Finite(value) => value.show(),
            Self::Infinity => "infinity".into(),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "const": "infinity" }] })
    }

    fn blank() -> Self {
        Self::Infinity
    }
}

impl<T: Scalar + Clone> Scalar for OrDisabled<T> {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        Ok(word_or(value, "disabled", T::blank())?.map_or(Self::Disabled, Self::Enabled))
    }

    fn show(&self) -> Value {
        match self {
            Self::Enabled(value) => value.show(),
            Self::Disabled => "disabled".into(),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "const": "disabled" }] })
    }

    fn blank() -> Self {
        Self::Disabled
    }
}

impl Scalar for PathBuf {
    fn parse(value: &Value, hint: &Hint<'_, Self>) -> Result<Self, String> {
        match value {
            Value::String(path) if !path.is_empty() => Ok(hint.base.join(path)),
            _ => Err("a path".into()),
        }
    }

    fn show(&self) -> Value {
        self.to_string_lossy().into()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "path" })
    }

    fn blank() -> Self {
        PathBuf::new()
    }

    fn rebase(&self, base: &Path) -> Option<Self> {
        Some(base.join(self))
    }
}

impl BindAddr {
    /// Reads `ADDRESS:PORT`; a bare port keeps the address of `default`.
    ///
    /// # Errors
    /// How an address is written.
    pub fn parse(text: &str, default: IpAddr) -> Result<Self, String> {
        const EXPECTED: &str = "an address such as 0.0.0.0:1883, \"[::1]:1883\" or a port";
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|_| digits);
        let port = port.ok_or_else(|| EXPECTED.to_owned())?;
        let address = match host {
            "" => default,
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "::" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return Err(EXPECTED.to_owned()),
        };
        Ok(Self(SocketAddr::new(address, port)))
    }
}

impl Scalar for BindAddr {
    fn parse(value: &Value, hint: &Hint<'_, Self>) -> Result<Self, String> {
        BindAddr::parse(&text(value), hint.default.0.ip())
    }

    fn show(&self) -> Value {
        self.0.to_string().into()
    }

    fn schema() -> Value {
        json!({ "type": ["string", "integer"], "format": "address-and-port" })
    }

    fn blank() -> Self {
        BindAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
    }
}

impl HostPort {
    /// Reads `HOST:PORT`; an IPv6 literal stands in brackets.
    ///
    /// # Errors
    /// How such an address is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail = || "an address such as 10.0.0.1:5370 or n1.example:5370".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(fail)?;
        let port = port.parse().map_err(|_| fail())?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match inner {
            Some(literal) => literal.parse::<Ipv6Addr>().ok().map(|_| literal),
            None => Some(host)
                .filter(|host| !host.is_empty() && !host.contains([':', '[', ']', '/', ' ', '@'])),
        };
        Ok(Self { host: host.ok_or_else(fail)?.to_owned(), port })
    }
}

impl Scalar for HostPort {
    fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
        HostPort::parse(&text(value))
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "host-and-port" })
    }

    fn blank() -> Self {
        HostPort { host: String::new(), port: 0 }
    }
}

macro_rules! checked_names {
    ($($ty:ty: $example:literal),*) => {$(
        impl Scalar for $ty {
            fn parse(value: &Value, _: &Hint<'_, Self>) -> Result<Self, String> {
                <$ty>::parse(&text(value)).map_err(|rule| format!("allowed: {rule}"))
            }

            fn show(&self) -> Value {
                self.as_str().into()
            }

            fn schema() -> Value {
                json!({ "type": "string" })
            }

            fn blank() -> Self {
                <$ty>::parse($example).expect("the example obeys the rule")
            }
        }
    )*};
}
checked_names!(NodeName: "spanmq@127.0.0.1", ClusterName: "emqxcl");

/// An address known to the program.
pub(crate) const fn bind(ip: [u8; 4], port: u16) -> BindAddr {
    BindAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])), port))
}
