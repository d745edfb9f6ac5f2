//! Listeners, client connections, workers: the I/O shell of the broker.
