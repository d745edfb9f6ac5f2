//! The cluster port: mutual TLS, join tokens, multiplexed streams, frames, dial map. Knows nothing of Raft.
