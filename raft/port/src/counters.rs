//! What the cluster port counts, per peer and for the listening side.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of one peer or of the listening port. They only grow, except `rtt_us`.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The values of [`Counters`] at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct CountersSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Reads all values.
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl CountersSnapshot {
            /// Name and value of each counter, for metrics.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Bytes received after TLS.
    bytes_in,
    /// Bytes sent before TLS.
    bytes_out,
    frames_in,
    frames_out,
    /// Connections that passed the handshake.
    connected,
    /// Dials that did not end in a connection.
    dials_failed,
    /// Connections after the first one of a stream.
    reconnects,
    /// Handshakes refused by us or by the other side.
    refused,
    /// Connections given up for silence.
    dead,
    /// Bytes that were no acceptable frame.
    bad_frames,
    /// TLS handshakes that failed.
    tls_failed,
    /// Plain bytes on a TLS port, or TLS on a plain one.
    wrong_transport,
    /// Handshakes that did not end in time.
    handshake_timeouts,
    /// Handshakes that gave way to newer ones (`pending_max`).
    pending_evicted,
    /// Join tokens that were not accepted.
    enrol_refused,
    /// Nodes that got a certificate.
    enrolled,
    /// Requests answered "overloaded".
    overloaded,
    /// Requests whose handler panicked.
    handler_panics,
    /// Pushes refused because a queue was full.
    queue_full,
    /// Last measured round trip, in µs.
    rtt_us,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}
