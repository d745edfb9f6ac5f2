//! The one way into a worker from other threads: a bounded list of batches and one wake-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Messages that may wait for one worker; more are refused by the sender's policy.
pub(crate) const MAIL_MESSAGES_MAX: usize = 262_144;
/// Payload bytes that may wait for one worker.
pub(crate) const MAIL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Batches for one worker. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Mailbox<M>(Arc<Inner<M>>);

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Inner<M> {
    mail: Mutex<Vec<M>>,
    arrived: Notify,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            mail: Mutex::new(Vec::new()),
            arrived: Notify::new(),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }))
    }

    /// Puts one batch in; wakes the worker only if it has nothing to do yet.
    pub(crate) fn send(&self, mail: M) {
        let was_empty = {
            let mut waiting = self.0.mail.lock();
            waiting.push(mail);
            waiting.len() == 1
        };
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    /// Reserves room for messages; without it they must not be sent (policy: QoS 0 dropped,
    /// QoS 1/2 refused with 0x97, both counted).
    pub(crate) fn reserve(&self, messages: usize, bytes: usize) -> bool {
        let waiting = self.0.messages.fetch_add(messages, Ordering::Relaxed);
        let waiting_bytes = self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting + messages <= MAIL_MESSAGES_MAX && waiting_bytes <= MAIL_BYTES_MAX;
        if !fits {
            self.release(messages, bytes);
        }
        fits
    }

    /// Gives room back after the messages were taken.
    pub(crate) fn release(&self, messages: usize, bytes: usize) {
        self.0.messages.fetch_sub(messages, Ordering::Relaxed);
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Waits until there is mail.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    /// Takes all that waits; `into` must be empty and keeps its memory.
    pub(crate) fn take(&self, into: &mut Vec<M>) {
        std::mem::swap(&mut *self.0.mail.lock(), into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_taken_in_order_and_all_at_once() {
        let mailbox = Mailbox::new();
        mailbox.send(1);
        mailbox.send(2);
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert_eq!(taken, [1, 2]);
        taken.clear();
        mailbox.take(&mut taken);
        assert!(taken.is_empty());
    }

    #[test]
    fn room_is_limited_and_comes_back() {
        let mailbox = Mailbox::<()>::new();
        assert!(mailbox.reserve(MAIL_MESSAGES_MAX, 0));
        assert!(!mailbox.reserve(1, 0));
        mailbox.release(1, 0);
        assert!(mailbox.reserve(1, 0));
        assert!(!mailbox.reserve(0, 0) || mailbox.reserve(0, MAIL_BYTES_MAX));
    }
}
