use super::Session;
use crate::{
    AliasError, ConnectTerms, DropReason, JournalOp, SessionExpiry, connection::Connection,
};

impl Session {
    /// A connection begins: a new one, a resume or a take-over (then the former connection needs
    /// no [`Self::disconnect`]). Pump afterwards, before the client's first packet is handled: what
    /// is in flight is sent again, PUBRELs in the order of their PUBRECs [MQTT-4.6.0-4].
    ///
    /// A clean start is not a case of it: drop the old session and make a new one [MQTT-3.1.2-4].
    pub fn connect(&mut self, terms: &ConnectTerms, ops: &mut Vec<JournalOp>) {
        let was_persistent = self.is_persistent();
        self.end_connection();
        self.connection = Some(Connection::new(terms, &self.limits));
        self.meta.expiry = terms.expiry;
        self.meta.offline_since_ms = None;
        match was_persistent {
            true => ops.push(JournalOp::Meta(self.meta.clone())),
            // The journal knows nothing of it yet.
            false if self.is_persistent() => ops.extend(self.snapshot()),
            false => {}
        }
    }

    /// The connection has ended. If the session is not persistent now, drop it; its journal, if
    /// it had one, sees an op [`JournalOp::Meta`] that says so.
    pub fn disconnect(&mut self, wall_ms: u64, ops: &mut Vec<JournalOp>) {
        if self.connection.is_none() {
            return;
        }
        self.end_connection();
        self.meta.offline_since_ms = Some(wall_ms);
        self.log(ops, || JournalOp::Meta(self.meta.clone()));
        if !(self.limits.store_offline_qos0 && self.is_persistent()) {
            for _ in 0..self.inbox.clear_qos0() {
                self.drops.add(DropReason::Offline);
            }
        }
    }

    fn end_connection(&mut self) {
        self.connection = None;
        self.window.restart();
        self.inbound.restart();
    }

    /// A DISCONNECT changed the expiry ([`SessionExpiry::changed_by_disconnect`]).
    pub fn set_expiry(&mut self, expiry: SessionExpiry, ops: &mut Vec<JournalOp>) {
        let was_persistent = self.is_persistent();
        self.meta.expiry = expiry;
        if was_persistent {
            ops.push(JournalOp::Meta(self.meta.clone()));
        }
    }

    /// The topic of a PUBLISH from the client, whose `topic` is `None` if it was empty on the wire.
    ///
    /// # Errors
    /// [`AliasError`]: close with its code. Aliases end with the connection [MQTT-3.3.2-7].
    pub fn resolve_alias(
        &mut self,
        topic: Option<spanmq_topic::TopicName>,
        alias: Option<u16>,
    ) -> Result<spanmq_topic::TopicName, AliasError> {
        match &mut self.connection {
            Some(connection) => connection.aliases_in.resolve(topic, alias),
            None => topic.ok_or(AliasError::NoTopic),
        }
    }
}
