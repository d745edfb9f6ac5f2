//! A TCP proxy for one directed pair of processes, with faults that switch at once for all of its
//! connections (CHAOS menu N1–N6): whoever dials reaches the target through it and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes of a pair. Directions are seen from the one who dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fault {
    /// Bytes towards the target are kept back until the fault ends.
    pub hold_requests: bool,
    /// Bytes from the target are kept back until the fault ends.
    pub hold_replies: bool,
    /// Every connection is reset now, and new ones are reset at once.
    pub reset: bool,
    /// Added before each piece of bytes goes on, in each direction.
    pub delay: Duration,
    /// At most so many bytes go on at a time; 0 = no limit.
    pub slice_bytes: usize,
}

impl Fault {
    /// No bytes either way, connections stay open: a partition without RST.
    #[must_use]
    pub fn partition() -> Self {
        Self { hold_requests: true, hold_replies: true, ..Self::default() }
    }

    /// All connections are reset and stay so.
    #[must_use]
    pub fn reset() -> Self {
        Self { reset: true, ..Self::default() }
    }
}

/// Counts that show that a fault had effect.
#[derive(Debug, Default)]
pub struct Effects {
    pub connections: AtomicU64,
    pub resets: AtomicU64,
    pub held_pieces: AtomicU64,
    pub bytes: AtomicU64,
}

/// A running proxy; dropping it closes its listener and its connections.
pub struct FaultProxy {
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    fault: watch::Sender<Fault>,
    pub effects: Arc<Effects>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl FaultProxy {
    /// Listens on a free loopback port and forwards to `target`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let proxy = Self::unaimed()?;
        proxy.aim(target);
        Ok(proxy)
    }

    /// A proxy whose target is not known yet: until [`FaultProxy::aim`] it resets whoever dials.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn unaimed() -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (fault, seen) = watch::channel(Fault::default());
        let effects = Arc::new(Effects::default());
        let (target, aimed) = watch::channel(None);
        runtime.spawn(accept(listener, aimed, seen, effects.clone()));
        Ok(Self { address, target, fault, effects, runtime: Some(runtime) })
    }

    /// Where new connections lead from now on.
    pub fn aim(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches the fault for all present and future connections.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.set(Fault::default());
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: TcpListener,
    target: watch::Receiver<Option<SocketAddr>>,
    fault: watch::Receiver<Fault>,
    effects: Arc<Effects>,
) {
    while let Ok((near, _)) = listener.accept().await {
        effects.connections.fetch_add(1, Ordering::Relaxed);
        let target = *target.borrow();
        tokio::spawn(connection(near, target, fault.clone(), effects.clone()));
    }
}

async fn connection(
    near: TcpStream,
    target: Option<SocketAddr>,
    fault: watch::Receiver<Fault>,
    effects: Arc<Effects>,
) {
    let _ = near.set_nodelay(true);
    if fault.borrow().reset {
        return reset(&near, &effects);
    }
    let Some(target) = target else { return reset(&near, &effects) };
    let Ok(far) = TcpStream::connect(target).await else { return reset(&near, &effects) };
    let _ = far.set_nodelay(true);
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let broken = async {
        let mut fault = fault.clone();
        let _ = fault.wait_for(|f| f.reset).await;
    };
    let requests =
        pipe(&mut near_read, &mut far_write, fault.clone(), |f| f.hold_requests, &effects);
    let replies = pipe(&mut far_read, &mut near_write, fault.clone(), |f| f.hold_replies, &effects);
    tokio::select! {
        () = async { tokio::join!(requests, replies); } => {}
        () = broken => {
            reset(near_write.as_ref(), &effects);
            let _ = far_write.as_ref().set_zero_linger();
        }
    }
}

/// Makes the coming close of the socket a RST instead of a FIN.
fn reset(near: &TcpStream, effects: &Effects) {
    let _ = near.set_zero_linger();
    effects.resets.fetch_add(1, Ordering::Relaxed);
}

async fn pipe(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    held: fn(&Fault) -> bool,
    effects: &Effects,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let limit = match fault.borrow().slice_bytes {
            0 => buffer.len(),
            n => n.min(buffer.len()),
        };
        let Ok(count @ 1..) = from.read(&mut buffer[..limit]).await else { break };
        let delay = fault.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if held(&fault.borrow()) {
            effects.held_pieces.fetch_add(1, Ordering::Relaxed);
        }
        if fault.wait_for(|f| !held(f)).await.is_err() {
            break;
        }
        effects.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream as Plain;

    fn echo() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut reader = stream.try_clone().expect("cloned");
                    let _ = std::io::copy(&mut reader, &mut &stream);
                });
            }
        });
        address
    }

    fn round_trip(stream: &mut Plain) -> std::io::Result<[u8; 4]> {
        stream.write_all(b"ping")?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn held_bytes_arrive_after_the_heal() {
        let proxy = FaultProxy::start(echo()).expect("started");
        let mut stream = Plain::connect(proxy.address()).expect("connected");
        assert_eq!(&round_trip(&mut stream).expect("passes"), b"ping");
        proxy.set(Fault::partition());
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        assert!(round_trip(&mut stream).is_err(), "nothing comes back through a partition");
        proxy.heal();
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("the held bytes come");
        assert_eq!(&answer, b"ping");
        assert!(proxy.effects.held_pieces.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn a_reset_ends_open_connections_and_refuses_new_ones() {
        let proxy = FaultProxy::start(echo()).expect("started");
        let mut stream = Plain::connect(proxy.address()).expect("connected");
        assert_eq!(&round_trip(&mut stream).expect("passes"), b"ping");
        proxy.set(Fault::reset());
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut rest = [0; 4];
        assert!(!matches!(stream.read(&mut rest), Ok(1..)), "the open connection has ended");
        let again = Plain::connect(proxy.address()).and_then(|mut s| round_trip(&mut s));
        assert!(again.is_err());
    }
}
