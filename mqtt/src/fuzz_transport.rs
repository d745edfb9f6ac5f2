//! Bodies of the fuzz targets `ws_frames` and `proxy_header`: how the bytes were cut on their way
//! decides nothing, and no bytes make them panic.

use std::net::SocketAddr;

use ntex_bytes::BytesMut;

use crate::config::WsConfig;
use crate::{proxy, ws};

/// Bytes that are looked at; the cost is quadratic.
const LEN_MAX: usize = 600;

/// A WebSocket upgrade request, and the frames of a connection.
///
/// # Panics
/// When frames mean something else if they come in pieces.
pub fn ws_frames(data: &[u8]) {
    let data = data.get(..LEN_MAX).unwrap_or(data);
    let request = String::from_utf8_lossy(data);
    // Whether it is accepted does not matter here.
    let _ = ws::answer(&request, &WsConfig::default());
    let whole = ws::read_pieces([data]);
    let bytes = ws::read_pieces(data.chunks(1));
    assert_eq!(whole, bytes, "one piece and single bytes");
}

/// The line or header that a proxy sends first.
///
/// # Panics
/// When what follows a header changes it, or is lost.
pub fn proxy_header(data: &[u8]) {
    let data = data.get(..LEN_MAX).unwrap_or(data);
    let found = (0..=data.len()).find_map(|len| {
        let (address, left) = take(data.get(..len).unwrap_or_default())?;
        Some((len, address, left))
    });
    let Some((len, address, left)) = found else { return };
    if let Ok(address) = address {
        assert_eq!(left, 0, "a header ends where it is whole");
        let (whole, rest) = take(data).expect("more bytes do not make it incomplete");
        assert_eq!((whole.ok(), rest), (Some(address), data.len() - len));
    }
}

/// `None`: it has not arrived whole.
fn take(bytes: &[u8]) -> Option<(Result<Option<SocketAddr>, ()>, usize)> {
    let mut buf = BytesMut::copy_from_slice(bytes);
    let taken = proxy::take_header(&mut buf);
    match taken {
        Ok(None) => None,
        Ok(Some(address)) => Some((Ok(address), buf.len())),
        Err(_) => Some((Err(()), buf.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in vec(any::<u8>(), 0..300)) {
            ws_frames(&data);
            proxy_header(&data);
        }

        #[test]
        fn frames_with_a_mask_are_read_alike(
            frames in vec((any::<u8>(), 0..4_u8, vec(any::<u8>(), 0..126)), 1..6),
        ) {
            let mut data = Vec::new();
            for (first, opcode, body) in frames {
                let opcode = [0, 2, 9, 8][usize::from(opcode)];
                data.extend([first & 0x80 | opcode, 0x80 | body.len() as u8, 1, 2, 3, 4]);
                data.extend(body);
            }
            ws_frames(&data);
        }

        #[test]
        fn headers_of_both_versions_are_read_alike(
            start in any::<bool>(), rest in vec(any::<u8>(), 0..60), text in "[ 0-9.:TCPUNKOW46]{0,60}",
        ) {
            let v1 = [b"PROXY TCP", text.as_bytes(), b"\r\n", &rest].concat();
            let v2 = [b"\r\n\r\n\0\r\nQUIT\n\x21".as_slice(), &rest].concat();
            proxy_header(if start { &v1 } else { &v2 });
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 2] = [("ws_frames", ws_frames), ("proxy_header", proxy_header)];
        for (name, target) in targets {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            for entry in std::fs::read_dir(corpus).unwrap() {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }
}
