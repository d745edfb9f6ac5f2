//! The MQTT session as a machine: inbox, in-flight window, QoS 2, expiry, retained rules. Pure.
//!
//! No clock, no I/O, no threads: time comes in as an argument, packets and journal ops go out as
//! values. The shell (`spanmq-mqtt`) owns sockets, timers and the store.
//!
//! Choices where the spec leaves one: overlapping subscriptions give one copy with the highest
//! QoS and all identifiers; a shared subscription is a delivery of its own; QoS 0 may overtake
//! QoS 1 and 2 while the window is full; QoS 0 for an offline session is dropped unless a setting
//! says otherwise; what waits when a client unsubscribes is still delivered.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod ack_outcome;
mod alias_error;
mod alias_use;
mod aliases_in;
mod aliases_out;
mod begun;
mod close_cause;
pub mod codec;
mod connect_terms;
mod connection;
mod delivered;
mod drop_reason;
mod drops;
mod entry;
mod flow_id;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod inbound;
mod inbound_decision;
mod inbox;
mod journal_op;
mod limits;
mod matched_options;
mod message;
mod message_id;
mod origin;
mod outgoing;
mod outgoing_publish;
pub mod packet_size;
mod properties;
mod protocol_version;
mod publish_answer;
mod publisher;
mod pubrec_outcome;
mod pubrel_outcome;
mod qos;
mod queued;
pub mod reason;
mod redispatch;
mod released;
mod retain_error;
mod retain_flag;
mod retain_handling;
mod retained_store;
mod session;
mod session_expiry;
mod session_export;
mod session_meta;
mod shared_member;
mod shared_picker;
mod shared_strategy;
mod shared_turn;
mod subscribe_error;
mod subscribed;
mod subscription_ids;
mod subscription_options;
mod subscriptions;
#[cfg(test)]
mod tests;
mod will;
mod will_verdict;
mod window;

pub use crate::{
    ack_outcome::AckOutcome,
    alias_error::AliasError,
    alias_use::AliasUse,
    aliases_in::AliasesIn,
    begun::Begun,
    close_cause::CloseCause,
    connect_terms::ConnectTerms,
    delivered::Delivered,
    drop_reason::DropReason,
    drops::Drops,
    entry::Entry,
    flow_id::FlowId,
    inbound_decision::InboundDecision,
    journal_op::JournalOp,
    limits::{Limits, Overflow},
    matched_options::MatchedOptions,
    message::Message,
    message_id::MessageId,
    origin::Origin,
    outgoing::Outgoing,
    outgoing_publish::OutgoingPublish,
    properties::Properties,
    protocol_version::ProtocolVersion,
    publish_answer::PublishAnswer,
    publisher::Publisher,
    pubrec_outcome::PubrecOutcome,
    pubrel_outcome::PubrelOutcome,
    qos::QoS,
    redispatch::Redispatch,
    retain_error::RetainError,
    retain_flag::RetainFlag,
    retain_handling::RetainHandling,
    retained_store::RetainedStore,
    session::{ImportError, ReplayError, Session, in_flight_messages},
    session_expiry::{ExpiryFromZero, SessionExpiry},
    session_export::SessionExport,
    session_meta::SessionMeta,
    shared_member::SharedMember,
    shared_picker::SharedPicker,
    shared_strategy::SharedStrategy,
    shared_turn::{Share, SharedTurn},
    subscribe_error::SubscribeError,
    subscribed::Subscribed,
    subscription_ids::SubscriptionIds,
    subscription_options::SubscriptionOptions,
    will::Will,
    will_verdict::WillVerdict,
};
