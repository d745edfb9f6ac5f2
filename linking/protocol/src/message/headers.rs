//! Headers and MQTT 5 properties inside a message record (W-55, W-56).

use crate::term::{Atom, Encoder, Term};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is known about the publisher. Everything may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publisher {
    pub username: Option<String>,
    pub address: Option<SocketAddr>,
    /// 3, 4 or 5.
    pub protocol_version: Option<u8>,
    pub client_attrs: BTreeMap<String, String>,
}

/// The properties that cross a link; others are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageProperties {
    pub payload_format_indicator: Option<u8>,
    pub message_expiry_interval_s: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
    /// In the publisher's order; keys may repeat.
    pub user_properties: Vec<(String, String)>,
}

pub(super) fn publisher(headers: &Term<'_>) -> Publisher {
    Publisher {
        username: headers.get_atom(Atom::Username).and_then(Term::as_text).map(str::to_owned),
        address: address(headers),
        protocol_version: headers
            .get_atom(Atom::ProtoVer)
            .and_then(Term::as_int)
            .and_then(|version| u8::try_from(version).ok())
            .filter(|version| (3..=5).contains(version)),
        client_attrs: match headers.get_atom(Atom::ClientAttrs) {
            Some(Term::Map(pairs)) => pairs.iter().filter_map(text_pair).collect(),
            _ => BTreeMap::new(),
        },
    }
}

pub(super) fn properties(headers: &Term<'_>, plain: &Bytes) -> MessageProperties {
    let Some(map) = headers.get_atom(Atom::Properties) else {
        return MessageProperties::default();
    };
    let text = |atom| map.get_atom(atom).and_then(Term::as_text).map(str::to_owned);
    let int = |atom| map.get_atom(atom).and_then(Term::as_int);
    MessageProperties {
        payload_format_indicator: int(Atom::PayloadFormatIndicator)
            .and_then(|value| u8::try_from(value).ok())
            .filter(|value| *value <= 1),
        message_expiry_interval_s: int(Atom::MessageExpiryInterval)
            .and_then(|value| u32::try_from(value).ok()),
        content_type: text(Atom::ContentType),
        response_topic: text(Atom::ResponseTopic),
        correlation_data: map
            .get_atom(Atom::CorrelationData)
            .and_then(Term::as_binary)
            .map(|bytes| plain.slice_ref(bytes)),
        user_properties: map
            .get_atom(Atom::UserProperty)
            .and_then(Term::as_list)
            .unwrap_or_default()
            .iter()
            .filter_map(|pair| match pair.as_tuple() {
                Some([key, value]) => Some((key.as_text()?.into(), value.as_text()?.into())),
                _ => None,
            })
            .collect(),
    }
}

fn text_pair((key, value): &(Term<'_>, Term<'_>)) -> Option<(String, String)> {
    Some((key.as_text()?.to_owned(), value.as_text()?.to_owned()))
}

fn address(headers: &Term<'_>) -> Option<SocketAddr> {
    if let Some([ip, port]) = headers.get_atom(Atom::Peername).and_then(Term::as_tuple) {
        let port = port.as_int().and_then(|port| u16::try_from(port).ok())?;
        return known(SocketAddr::new(ip_address(ip)?, port));
    }
    let ip = ip_address(headers.get_atom(Atom::Peerhost)?)?;
    known(SocketAddr::new(ip, 0))
}

/// The unspecified address is how a remote says that it does not tell (W-55).
fn known(address: SocketAddr) -> Option<SocketAddr> {
    (!address.ip().is_unspecified()).then_some(address)
}

fn ip_address(term: &Term<'_>) -> Option<IpAddr> {
    let words = term.as_tuple()?;
    if let Ok(quad) = <&[Term<'_>; 4]>::try_from(words) {
        let mut bytes = [0_u8; 4];
        for (byte, word) in bytes.iter_mut().zip(quad) {
            *byte = u8::try_from(word.as_int()?).ok()?;
        }
        return Some(IpAddr::V4(Ipv4Addr::from(bytes)));
    }
    let eight = <&[Term<'_>; 8]>::try_from(words).ok()?;
    let mut segments = [0_u16; 8];
    for (segment, word) in segments.iter_mut().zip(eight) {
        *segment = u16::try_from(word.as_int()?).ok()?;
    }
    Some(IpAddr::V6(Ipv6Addr::from(segments)))
}

/// Writes the headers map: always all seven keys (W-55).
pub(super) fn encode(
    out: &mut Encoder,
    publisher: &Publisher,
    properties: &MessageProperties,
    share_client_address: bool,
) {
    let hidden = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let address = publisher.address.filter(|_| share_client_address).unwrap_or(hidden);
    out.map(7);
    out.atom(Atom::Peername);
    out.tuple(2);
    encode_ip(out, address.ip());
    out.int(i64::from(address.port()));
    out.atom(Atom::Protocol);
    out.atom(Atom::Mqtt);
    out.atom(Atom::Username);
    match &publisher.username {
        Some(name) => out.text(name),
        None => out.atom(Atom::Undefined),
    }
    out.atom(Atom::ClientAttrs);
    out.map(publisher.client_attrs.len());
    for (key, value) in &publisher.client_attrs {
        out.text(key);
        out.text(value);
    }
    out.atom(Atom::Peerhost);
    encode_ip(out, address.ip());
    out.atom(Atom::ProtoVer);
    out.int(i64::from(publisher.protocol_version.unwrap_or(5)));
    out.atom(Atom::Properties);
    encode_properties(out, properties);
}

fn encode_ip(out: &mut Encoder, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            out.tuple(4);
            v4.octets().into_iter().for_each(|byte| out.int(i64::from(byte)));
        }
        IpAddr::V6(v6) => {
            out.tuple(8);
            v6.segments().into_iter().for_each(|word| out.int(i64::from(word)));
        }
    }
}

fn encode_properties(out: &mut Encoder, properties: &MessageProperties) {
    let present = [
        properties.payload_format_indicator.is_some(),
        properties.message_expiry_interval_s.is_some(),
        properties.content_type.is_some(),
        properties.response_topic.is_some(),
        properties.correlation_data.is_some(),
        !properties.user_properties.is_empty(),
    ];
    out.map(present.into_iter().filter(|is| *is).count());
    if let Some(value) = properties.payload_format_indicator {
        out.atom(Atom::PayloadFormatIndicator);
        out.int(i64::from(value));
    }
    if let Some(value) = properties.message_expiry_interval_s {
        out.atom(Atom::MessageExpiryInterval);
        out.int(i64::from(value));
    }
    if let Some(value) = &properties.content_type {
        out.atom(Atom::ContentType);
        out.text(value);
    }
    if let Some(value) = &properties.response_topic {
        out.atom(Atom::ResponseTopic);
        out.text(value);
    }
    if let Some(value) = &properties.correlation_data {
        out.atom(Atom::CorrelationData);
        out.binary(value);
    }
    if !properties.user_properties.is_empty() {
        out.atom(Atom::UserProperty);
        out.list(properties.user_properties.len());
        for (key, value) in &properties.user_properties {
            out.tuple(2);
            out.text(key);
            out.text(value);
        }
        out.end_list();
    }
}
