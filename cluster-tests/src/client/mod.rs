//! Our own MQTT test client: blocking, raw, and honest. It shows DUP flags, packet ids and reason
//! codes as they came, never retries, never acknowledges unless asked to, and can send any bytes.

mod bytes;
mod packet;
mod received;
mod session;

pub use bytes::{connect_v5, publish, subscribe, unsubscribe};
pub use packet::{Packet, Properties, Property, Version};
pub use received::Received;
pub use session::{Client, Connect, Will};

pub use packet::{binary, frame, properties, variable};
