/// A QoS 2 flow towards the client whose PUBREC came: PUBREL is out, PUBCOMP is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) packet_id: u16,
    pub(crate) seq: u64,
}
