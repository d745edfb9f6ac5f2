//! The PROXY protocol, versions 1 and 2: a load balancer in front tells where the client is.
//!
//! Crate `ppp` parses it: maintained, without dependencies of weight, both versions.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ntex_bytes::BytesMut;
use ntex_io::Io;
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::time::timeout;

/// Bytes of a header with what a proxy may add to it.
const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a line of version 1, by the protocol.
const LINE_BYTES_MAX: usize = 107;

/// Reads the header, before anything else on a connection. `None`: the proxy speaks for itself, as
/// for its health checks.
///
/// # Errors
/// No header, or none in time: whoever comes past the proxy is not let in.
pub(crate) async fn client_address(io: &Io, limit: Duration) -> io::Result<Option<SocketAddr>> {
    let header = async {
        loop {
            if let Some(address) = io.with_read_buf(take_header)? {
                return Ok(address);
            }
            if io.read_ready().await?.is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    timeout(limit, header).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no whole PROXY header came in time; does the proxy send one?",
        ))
    })
}

/// Whether `bytes` may become a line of version 1; the crate takes some of its beginnings for
/// errors.
fn is_part_of_v1(bytes: &[u8]) -> bool {
    let prefix = v1::PROTOCOL_PREFIX.as_bytes();
    bytes.iter().zip(prefix).all(|(byte, wanted)| byte == wanted)
        && bytes.len() < LINE_BYTES_MAX
        && !bytes.contains(&b'\n')
}

/// Outer `None`: it has not arrived whole.
pub(crate) fn take_header(buf: &mut BytesMut) -> io::Result<Option<Option<SocketAddr>>> {
    if is_part_of_v1(buf) {
        return Ok(None);
    }
    let (address, bytes) = match HeaderResult::parse(buf) {
        result if result.is_incomplete() && buf.len() < HEADER_BYTES_MAX => return Ok(None),
        HeaderResult::V1(Ok(header)) => (source_v1(&header), header.header.len()),
        HeaderResult::V2(Ok(header)) => (source_v2(&header), header.len()),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not begin with a PROXY header; does it come past the proxy, or does that send none?",
            ));
        }
    };
    buf.advance_to(bytes);
    Ok(Some(address))
}

fn source_v1(header: &v1::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
    }
}

fn source_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    if header.command == v2::Command::Local {
        return None;
    }
    match header.addresses {
        v2::Addresses::IPv4(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::IPv6(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 1883\r\n";

    fn v2(command: u8) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([0x20 | command, 0x11, 0, 12]);
        bytes.extend([203, 0, 113, 7, 192, 0, 2, 1]);
        bytes.extend([40_000u16.to_be_bytes(), 1883u16.to_be_bytes()].concat());
        bytes
    }

    fn take(bytes: &[u8]) -> io::Result<(Option<Option<SocketAddr>>, usize)> {
        let mut buf = BytesMut::copy_from_slice(bytes);
        let taken = take_header(&mut buf)?;
        Ok((taken, buf.len()))
    }

    #[test]
    fn both_versions_tell_the_source_and_leave_what_follows() {
        let client: SocketAddr = "203.0.113.7:40000".parse().unwrap();
        for header in [V1.to_vec(), v2(1)] {
            let wire = [header.as_slice(), b"\x10rest"].concat();
            assert_eq!(take(&wire).unwrap(), (Some(Some(client)), 5));
        }
        assert_eq!(take(&v2(0)).unwrap(), (Some(None), 0), "the proxy itself");
        assert_eq!(take(b"PROXY UNKNOWN\r\n").unwrap(), (Some(None), 0));
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        for header in [V1.to_vec(), v2(1)] {
            for len in 0..header.len() {
                assert_eq!(take(&header[..len]).unwrap(), (None, len), "{len} bytes");
            }
        }
    }

    #[test]
    fn whoever_comes_past_the_proxy_is_refused() {
        assert!(take(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0").is_err());
        assert!(take(&[b'P'; HEADER_BYTES_MAX]).is_err());
        let mut long = v2(1);
        long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        long.resize(HEADER_BYTES_MAX, 0);
        assert!(take(&long).is_err(), "an endless header");
    }
}
