//! A queue bounded in items *and* bytes. Full means wait (or "full"), never grow.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

/// The queue's other end is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TryPushError {
    Full,
    Closed,
}

/// An item and its share of the queue's bytes, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) item: T,
    _bytes: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(crate) struct QueueTx<T> {
    items: mpsc::Sender<Held<T>>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

impl<T> Clone for QueueTx<T> {
    fn clone(&self) -> Self {
        Self {
            items: self.items.clone(),
            bytes: Arc::clone(&self.bytes),
            bytes_max: self.bytes_max,
        }
    }
}

#[derive(Debug)]
pub(crate) struct QueueRx<T> {
    items: mpsc::Receiver<Held<T>>,
    bytes: Arc<Semaphore>,
}

/// A queue of at most `items_max` items that cost at most `bytes_max` together.
pub(crate) fn bounded<T>(items_max: u32, bytes_max: u32) -> (QueueTx<T>, QueueRx<T>) {
    let bytes_max = bytes_max.max(1);
    let bytes = Arc::new(Semaphore::new(bytes_max as usize));
    let (tx, rx) = mpsc::channel(items_max.max(1) as usize);
    (QueueTx { items: tx, bytes: Arc::clone(&bytes), bytes_max }, QueueRx { items: rx, bytes })
}

impl<T> QueueTx<T> {
    /// Waits for room. An item larger than the whole queue takes all of it.
    pub(crate) async fn push(&self, item: T, cost: usize) -> Result<(), Closed> {
        let permit = Arc::clone(&self.bytes).acquire_many_owned(self.cost(cost)).await;
        let held = Held { item, _bytes: permit.map_err(|_: AcquireError| Closed)? };
        self.items.send(held).await.map_err(|_| Closed)
    }

    pub(crate) fn try_push(&self, item: T, cost: usize) -> Result<(), TryPushError> {
        let permit = match Arc::clone(&self.bytes).try_acquire_many_owned(self.cost(cost)) {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => return Err(TryPushError::Full),
            Err(TryAcquireError::Closed) => return Err(TryPushError::Closed),
        };
        self.items.try_send(Held { item, _bytes: permit }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TryPushError::Full,
            mpsc::error::TrySendError::Closed(_) => TryPushError::Closed,
        })
    }

    /// Ends when the receiving end is gone.
    pub(crate) async fn closed(&self) {
        self.items.closed().await;
    }

    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.bytes_max)
    }
}

impl<T> QueueRx<T> {
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.items.recv().await.map(|held| held.item)
    }

    /// As [`mpsc::Receiver::recv_many`]: 0 means closed and empty. Safe to cancel.
    pub(crate) async fn recv_many(&mut self, out: &mut Vec<Held<T>>, limit: usize) -> usize {
        self.items.recv_many(out, limit).await
    }
}

impl<T> Drop for QueueRx<T> {
    fn drop(&mut self) {
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_full_by_items_or_by_bytes() {
        let (by_items, mut items) = bounded(2, 1_000);
        assert_eq!(by_items.try_push(1, 1), Ok(()));
        assert_eq!(by_items.try_push(2, 1), Ok(()));
        assert_eq!(by_items.try_push(3, 1), Err(TryPushError::Full));
        assert_eq!(items.recv().await, Some(1));
        assert_eq!(by_items.try_push(3, 1), Ok(()));

        let (by_bytes, mut bytes) = bounded(100, 10);
        assert_eq!(by_bytes.try_push(1, 6), Ok(()));
        assert_eq!(by_bytes.try_push(2, 6), Err(TryPushError::Full));
        assert_eq!(bytes.recv().await, Some(1));
        assert_eq!(by_bytes.try_push(2, 6_000), Ok(()), "a huge item takes the whole queue");
    }

    #[tokio::test]
    async fn who_waits_for_room_learns_that_the_other_end_is_gone() {
        let (tx, rx) = bounded(1, 1);
        tx.push(1, 1).await.unwrap();
        let waiting = tokio::spawn({
            let tx = tx.clone();
            async move { tx.push(2, 1).await }
        });
        tokio::task::yield_now().await;
        drop(rx);
        assert_eq!(waiting.await.unwrap(), Err(Closed));
        assert_eq!(tx.try_push(3, 1), Err(TryPushError::Closed));
    }
}
