//! TCP under ntex-io, with a close that the peer can read.
//!
//! A socket that is closed while input waits in it makes the system answer with RST, and RST throws
//! away what the peer has not read yet: the DISCONNECT or CONNACK that says why. So the write half
//! is shut first, then what still comes is read and thrown away, for a bounded time and a bounded
//! number of bytes, until the peer closes too. TLS and WebSocket sit above, their farewells are
//! part of the output.
//!
//! Our own stream type, as that of ntex-net keeps its socket to itself.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ntex_io::{Handle, Io, IoContext, IoStream, IoTaskStatus, Readiness};
use ntex_service::cfg::SharedCfg;
use tokio::net::TcpStream as Stream;
use tokio::time::timeout;

use crate::metrics::Metrics;
use crate::transport::READ_BYTES;

/// How long a closed connection may take to read what we said last.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// How much of its input is thrown away meanwhile.
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Closed connections that are waited for; they hold descriptors that no limit of connections
/// counts, of which 256 are spared (L4). Further ones are closed at once, and counted.
const LINGERING_MAX: usize = 128;
/// Pieces of output handed over in one call.
const WRITE_PIECES: usize = 16;

thread_local! {
    /// Where all sockets of a thread read into; what came is copied to its connection.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Connections that are closed but for the peer's end. Shared by all listeners.
#[derive(Debug, Default)]
pub(crate) struct Lingering(AtomicUsize);

/// A socket on its way into ntex-io.
struct Socket {
    stream: Stream,
    lingering: Arc<Lingering>,
    metrics: Arc<Metrics>,
}

/// What the tasks of a connection and its handle share.
struct Shared {
    stream: Stream,
    /// The peer has closed or an error came: nobody reads what we say.
    gone: Cell<bool>,
}

/// Puts an accepted socket under ntex-io.
///
/// # Errors
/// The system's, when the socket is dead already.
pub(crate) fn open(
    stream: TcpStream,
    config: SharedCfg,
    lingering: Arc<Lingering>,
    metrics: Arc<Metrics>,
    nodelay: bool,
) -> io::Result<Io> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(nodelay)?;
    let stream = Stream::from_std(stream)?;
    Ok(Io::new(Socket { stream, lingering, metrics }, config))
}

impl IoStream for Socket {
    fn start(self, context: IoContext) -> Box<dyn Handle> {
        let shared = Rc::new(Shared { stream: self.stream, gone: Cell::new(false) });
        tokio::task::spawn_local({
            let (shared, context) = (shared.clone(), context.clone());
            async move { poll_fn(|cx| shared.poll_reading(&context, cx)).await }
        });
        tokio::task::spawn_local({
            let shared = shared.clone();
            async move {
                poll_fn(|cx| shared.poll_writing(&context, cx)).await;
                // The connection's buffers go now; only the socket stays.
                drop(context);
                linger(&shared, &self.lingering, &self.metrics).await;
            }
        });
        Box::new(Direct(shared))
    }
}

/// Writes at once when the output is handed over, without waking the write task.
struct Direct(Rc<Shared>);

impl Handle for Direct {
    fn write(&self, context: &IoContext) {
        self.0.send(context);
    }

    fn notify(&self, _: &IoContext) {}
}

impl Shared {
    /// Reads until the connection ends.
    fn poll_reading(&self, context: &IoContext, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(context.poll_read_ready(cx)) {
                Readiness::Ready => {}
                Readiness::Shutdown | Readiness::Terminate => return Poll::Ready(()),
            }
            if let Err(error) = ready!(self.stream.poll_read_ready(cx)) {
                self.gone.set(true);
                context.stop(Some(error));
                return Poll::Ready(());
            }
            match self.receive(context) {
                IoTaskStatus::Io => {}
                // Woken when the buffer has been read, also while the connection closes, when
                // `context` would let us read on and on.
                IoTaskStatus::Pause => return Poll::Pending,
                IoTaskStatus::Stop => return Poll::Ready(()),
            }
        }
    }

    /// One read from the socket.
    fn receive(&self, context: &IoContext) -> IoTaskStatus {
        let mut scratch = take_scratch();
        let mut buf = context.get_read_buf();
        let result = match self.stream.try_read(&mut scratch) {
            Ok(0) => {
                self.gone.set(true);
                context.stop(None);
                Ok(0)
            }
            Ok(count) => {
                buf.extend_from_slice(scratch.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => {
                self.gone.set(true);
                Err(error)
            }
        };
        SCRATCH.set(scratch);
        context.update_read_status(buf, result)
    }

    /// Writes until the connection has ended and its last output is written, or it was cut off.
    fn poll_writing(&self, context: &IoContext, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(context.poll_write_ready(cx)) {
                Readiness::Ready => {}
                Readiness::Shutdown | Readiness::Terminate => return Poll::Ready(()),
            }
            if let Err(error) = ready!(self.stream.poll_write_ready(cx)) {
                self.gone.set(true);
                context.stop(Some(error));
                return Poll::Ready(());
            }
            match self.send(context) {
                IoTaskStatus::Io | IoTaskStatus::Pause => {}
                IoTaskStatus::Stop => return Poll::Ready(()),
            }
        }
    }

    /// One write to the socket.
    fn send(&self, context: &IoContext) -> IoTaskStatus {
        let result = context.with_write_buf(|output| {
            let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
            let mut count = 0;
            for (piece, bytes) in pieces.iter_mut().zip(output.iter()) {
                *piece = IoSlice::new(bytes);
                count += 1;
            }
            if count == 0 {
                return Ok(false);
            }
            match self.stream.try_write_vectored(pieces.get(..count).unwrap_or_default()) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    output.advance_to(written);
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error),
            }
        });
        if result.is_err() {
            self.gone.set(true);
        }
        context.update_write_status(result)
    }
}

/// The thread's read buffer; put back with `SCRATCH.set`.
fn take_scratch() -> Vec<u8> {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ_BYTES, 0);
    scratch
}

/// Ends our half and waits for the peer's end, unless there is nobody any more.
async fn linger(shared: &Shared, lingering: &Lingering, metrics: &Metrics) {
    if shared.gone.get() {
        return;
    }
    if lingering.0.fetch_add(1, Ordering::Relaxed) < LINGERING_MAX {
        if socket2::SockRef::from(&shared.stream).shutdown(Shutdown::Write).is_ok() {
            // Whoever is not done by then has had its time.
            let _ = timeout(LINGER_TIME, throw_away(&shared.stream)).await;
        }
    } else {
        metrics.closed_unread.inc();
    }
    lingering.0.fetch_sub(1, Ordering::Relaxed);
}

/// Reads what comes until the peer closes, or sends too much.
async fn throw_away(stream: &Stream) {
    let mut left = LINGER_BYTES_MAX;
    while left > 0 && stream.readable().await.is_ok() {
        let mut scratch = take_scratch();
        let read = stream.try_read(&mut scratch);
        SCRATCH.set(scratch);
        match read {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
