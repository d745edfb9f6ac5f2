use crate::{AliasesIn, ConnectTerms, Limits, ProtocolVersion, aliases_out::AliasesOut};

/// What a session knows of its present connection. All of it ends with the connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) version: ProtocolVersion,
    /// Flows that may be open towards the client: the smaller of its wish and ours.
    pub(crate) window_max: usize,
    /// Flows that the client may have open.
    pub(crate) receive_max: u16,
    pub(crate) packet_size_max: usize,
    pub(crate) aliases_out: AliasesOut,
    pub(crate) aliases_in: AliasesIn,
}

impl Connection {
    pub(crate) fn new(terms: &ConnectTerms, limits: &Limits) -> Self {
        let v5 = terms.version.is_v5();
        let aliases = if v5 { limits.topic_aliases_max } else { 0 };
        let packet_size_max = terms.packet_size_max.map_or(usize::MAX, |max| max as usize);
        Self {
            version: terms.version,
            window_max: usize::from(terms.receive_max.min(limits.in_flight_max).max(1)),
            receive_max: if v5 { limits.receive_max } else { limits.receive_v3_max },
            packet_size_max,
            aliases_out: AliasesOut::new(terms.topic_alias_max.min(aliases)),
            aliases_in: AliasesIn::new(aliases),
        }
    }
}
