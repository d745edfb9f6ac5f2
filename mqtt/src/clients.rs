//! Which worker of this node has the session of a client id, and one claim at a time for each.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::mail::SlotKey;

const SHARDS: usize = 64;

/// Where a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) worker: u16,
    pub(crate) key: SlotKey,
}

/// All sessions of the node. Locks are held for a map operation, and only at connect and close.
#[derive(Debug)]
pub(crate) struct Clients {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    places: HashMap<Arc<str>, Place>,
    /// Present while somebody connects with that id; holds those that wait for their turn.
    claims: HashMap<Arc<str>, Vec<oneshot::Sender<()>>>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    fn shard(&self, client_id: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(client_id);
        &self.shards[(hash as usize) % SHARDS]
    }

    pub(crate) fn place(&self, client_id: &str) -> Option<Place> {
        self.shard(client_id).lock().places.get(client_id).copied()
    }

    pub(crate) fn put(&self, client_id: Arc<str>, place: Place) {
        self.shard(&client_id).lock().places.insert(client_id.clone(), place);
    }

    /// Forgets the place, unless the session has moved on meanwhile.
    pub(crate) fn remove(&self, client_id: &str, place: Place) {
        let mut shard = self.shard(client_id).lock();
        if shard.places.get(client_id) == Some(&place) {
            shard.places.remove(client_id);
        }
    }

    /// Waits until nobody else connects with this id, then holds it: two CONNECTs with one id take
    /// over one after the other.
    pub(crate) async fn claim(self: &Arc<Self>, client_id: Arc<str>) -> Claim {
        loop {
            let turn = match self.shard(&client_id).lock().claims.entry(client_id.clone()) {
                Entry::Vacant(free) => {
                    free.insert(Vec::new());
                    None
                }
                Entry::Occupied(mut busy) => {
                    let (tell, turn) = oneshot::channel();
                    busy.get_mut().push(tell);
                    Some(turn)
                }
            };
            match turn {
                None => return Claim { clients: self.clone(), client_id },
                // Answered or dropped: both mean that the claim is over; race for the next.
                Some(turn) => drop(turn.await),
            }
        }
    }
}

/// The right to connect with one client id; ends when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    clients: Arc<Clients>,
    client_id: Arc<str>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Dropping the senders wakes all that wait.
        self.clients.shard(&self.client_id).lock().claims.remove(&self.client_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(worker: u16) -> Place {
        Place { worker, key: SlotKey { index: 0, generation: 0 } }
    }

    #[test]
    fn a_late_removal_does_not_take_the_new_place_away() {
        let clients = Clients::new();
        clients.put("c".into(), place(0));
        clients.put("c".into(), place(1));
        clients.remove("c", place(0));
        assert_eq!(clients.place("c"), Some(place(1)));
        clients.remove("c", place(1));
        assert_eq!(clients.place("c"), None);
    }

    #[tokio::test]
    async fn one_claim_at_a_time_for_each_client_id() {
        let clients = Arc::new(Clients::new());
        let first = clients.claim("c".into()).await;
        let second = tokio::spawn({
            let clients = clients.clone();
            async move { clients.claim("c".into()).await }
        });
        let _other = clients.claim("d".into()).await;
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }
}
