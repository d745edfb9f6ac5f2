//! The handshake on the wire: Hello both ways, then both say Accepted or Refused.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    codec,
    connection::{CloseReason, FrameIo},
    context::PortContext,
    error::FrameError,
    frame::{Frame, FrameKind},
    hello::{Hello, Purpose, Refusal, Side},
};

/// How long a refused peer gets to read the reason before the socket is closed under it.
const LINGER: Duration = Duration::from_secs(1);
/// Longest sentence taken from the other side.
const SENTENCE_CHARS_MAX: usize = 500;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("refused by the peer: {0}")]
    RefusedByPeer(String),
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

impl From<FrameError> for HandshakeError {
    fn from(error: FrameError) -> Self {
        Self::Closed(error.into())
    }
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        Self::Closed(error.into())
    }
}

/// What a finished handshake knows of the other side.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) hello: Hello,
    pub(crate) protocol: u16,
}

/// The dialler's half. `extra` adds conditions (the node that we meant to reach).
pub(crate) async fn greet(
    io: &mut FrameIo,
    context: &PortContext,
    purpose: Purpose,
    extra: impl FnOnce(&Hello) -> Result<(), Refusal>,
) -> Result<Greeting, HandshakeError> {
    let ours = context.hello(purpose);
    io.write(&Frame::new(FrameKind::Hello, codec::encode(&ours))).await?;
    let theirs = read_hello(io).await?;
    let verdict = context
        .check(Side::Dialler, &ours, &theirs)
        .and_then(|protocol| extra(&theirs).map(|()| protocol));
    conclude(io, theirs, verdict).await
}

/// The acceptor's half.
pub(crate) async fn answer(
    io: &mut FrameIo,
    context: &PortContext,
    extra: impl FnOnce(&Hello) -> Result<(), Refusal>,
) -> Result<Greeting, HandshakeError> {
    let theirs = match read_hello(io).await {
        Ok(theirs) => theirs,
        Err(HandshakeError::Closed(CloseReason::Frame(error))) => {
            // Most likely another version, whose owner should read why.
            refuse(io, &error.to_string()).await;
            return Err(error.into());
        }
        Err(error) => return Err(error),
    };
    let ours = context.hello(theirs.purpose);
    io.write(&Frame::new(FrameKind::Hello, codec::encode(&ours))).await?;
    let verdict = context
        .check(Side::Acceptor, &ours, &theirs)
        .and_then(|protocol| extra(&theirs).map(|()| protocol));
    conclude(io, theirs, verdict).await
}

async fn conclude(
    io: &mut FrameIo,
    hello: Hello,
    verdict: Result<u16, Refusal>,
) -> Result<Greeting, HandshakeError> {
    match verdict {
        Ok(protocol) => {
            io.write(&Frame::new(FrameKind::Accepted, Vec::new())).await?;
            expect_accepted(io).await?;
            Ok(Greeting { hello, protocol })
        }
        Err(refusal) => {
            refuse(io, &refusal.to_string()).await;
            Err(refusal.into())
        }
    }
}

async fn read_hello(io: &mut FrameIo) -> Result<Hello, HandshakeError> {
    let frame = io.read().await?;
    match frame.kind {
        FrameKind::Hello => codec::decode(&frame.body)
            .ok_or_else(|| FrameError::Body { kind: FrameKind::Hello.name() }.into()),
        FrameKind::Refused => Err(HandshakeError::RefusedByPeer(sentence(&frame.body))),
        kind => Err(FrameError::Unexpected { found: kind.name() }.into()),
    }
}

async fn expect_accepted(io: &mut FrameIo) -> Result<(), HandshakeError> {
    let frame = io.read().await?;
    match frame.kind {
        FrameKind::Accepted => Ok(()),
        FrameKind::Refused => Err(HandshakeError::RefusedByPeer(sentence(&frame.body))),
        kind => Err(FrameError::Unexpected { found: kind.name() }.into()),
    }
}

/// The other side's sentence, bounded and without control characters (it goes into our log).
pub(crate) fn sentence(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|c| !c.is_control()).take(SENTENCE_CHARS_MAX).collect()
}

/// Says why, then waits until the other side has hung up: closing a socket with unread bytes in
/// it would reset the connection and could take the sentence along.
pub(crate) async fn refuse(io: &mut FrameIo, why: &str) {
    let linger = async {
        io.write(&Frame::new(FrameKind::Refused, why.as_bytes().to_vec())).await?;
        io.io.shutdown().await?;
        let mut rest = [0; 1_024];
        while io.io.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, linger).await {
        tracing::debug!(%error, "the refused peer did not stay for the reason");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_from_the_other_side_is_bounded_and_cannot_forge_a_log_line() {
        assert_eq!(sentence(b"no\x1b[31m\nERROR all fine"), "no[31mERROR all fine");
        assert_eq!(sentence(&[b'x'; 60_000]).len(), SENTENCE_CHARS_MAX);
        assert_eq!(sentence(&[0xff, b'a']), "\u{fffd}a");
    }
}
