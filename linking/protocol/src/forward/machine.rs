//! The state machine of one forwarding connection.

use super::{
    CONNECT_LIMIT, Command, ConnectionState, Event, ForwardCounters, ForwardSettings, Item,
    Outcome, RETRY_BASE, WATCHDOG_MIN,
};
use crate::Entropy;
use crate::message::Qos;
use crate::reason::{Reason, ReasonWord};
use crate::retry::Retry;
use std::collections::VecDeque;
use std::time::Instant;

/// Fixed header, lengths, packet id and an empty property list around a payload and its topic.
const PUBLISH_OVERHEAD_BYTES: usize = 12;

/// One connection of the pool of one link on one node.
pub struct Forwarder {
    settings: ForwardSettings,
    entropy: Entropy,
    state: State,
    retry: Retry,
    attempt: u64,
    /// Fetched and not yet trimmed, in order of `seq`.
    queue: VecDeque<Entry>,
    /// Entries at the front that this connection has dealt with: on the wire, or settled.
    dealt: usize,
    inflight: usize,
    /// The buffer may have more than was fetched.
    more: bool,
    fetching: bool,
    paused: bool,
    shown: (ConnectionState, Option<Reason>),
    counters: ForwardCounters,
}

enum State {
    Disconnected { retry_at: Instant },
    Connecting { deadline: Instant },
    Connected { window: usize, packet_bytes_max: usize },
    Stopped,
}

struct Entry {
    item: Item,
    sent_before: bool,
    /// Unacknowledged on this connection since.
    on_wire: Option<Instant>,
    settled: bool,
}

impl Forwarder {
    /// A connection that opens at its first tick. `entropy` gives the jitter.
    pub fn new(settings: ForwardSettings, entropy: Entropy, now: Instant) -> Forwarder {
        Forwarder {
            settings,
            entropy,
            state: State::Disconnected { retry_at: now },
            retry: Retry::new(RETRY_BASE),
            attempt: 0,
            queue: VecDeque::new(),
            dealt: 0,
            inflight: 0,
            more: true,
            fetching: false,
            paused: false,
            shown: (ConnectionState::Connecting, Some(ReasonWord::Starting.into())),
            counters: ForwardCounters::default(),
        }
    }

    pub fn state(&self) -> (ConnectionState, Option<&Reason>) {
        (self.shown.0, self.shown.1.as_ref())
    }

    pub fn counters(&self) -> ForwardCounters {
        self.counters
    }

    /// Items sent and not acknowledged (gauge `inflight`).
    pub fn inflight(&self) -> usize {
        self.inflight
    }

    /// Takes an event, returns what to do, in order. Late events change nothing but a counter.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::Tick => self.tick(now, &mut out),
            Event::Connected { receive_maximum, maximum_packet_size } => {
                if matches!(self.state, State::Connecting { .. }) {
                    self.connected(receive_maximum, maximum_packet_size, &mut out);
                    self.pump(now, &mut out);
                }
            }
            Event::Lost(reason) => {
                if matches!(self.state, State::Connecting { .. } | State::Connected { .. }) {
                    self.disconnect(now, reason, &mut out);
                }
            }
            Event::Available => {
                self.more = true;
                self.pump(now, &mut out);
            }
            Event::Fetched(items) => self.fetched(now, items, &mut out),
            Event::Ack { seq, code } => self.acknowledged(now, seq, code, &mut out),
            Event::Pause => self.paused = true,
            Event::Resume => {
                self.paused = false;
                self.pump(now, &mut out);
            }
            Event::Stop => self.stop(&mut out),
        }
        out
    }

    /// When [`Event::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Disconnected { retry_at } => Some(*retry_at),
            State::Connecting { deadline } => Some(*deadline),
            State::Connected { .. } => {
                // Sent in order and trimmed at once, the front is the oldest.
                let oldest = self.queue.front().and_then(|entry| entry.on_wire);
                oldest.map(|at| at + self.patience())
            }
            State::Stopped => None,
        }
    }

    fn patience(&self) -> std::time::Duration {
        self.settings.retry_interval.max(WATCHDOG_MIN)
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Command>) {
        match &self.state {
            State::Disconnected { retry_at } if now >= *retry_at => {
                self.retry.attempt_starts(now);
                self.attempt = self.attempt.wrapping_add(1);
                self.state = State::Connecting { deadline: now + CONNECT_LIMIT };
                out.push(Command::Connect { attempt: self.attempt });
                let reason = self.shown.1.clone();
                self.show(ConnectionState::Connecting, reason, false, out);
            }
            State::Connecting { deadline } if now >= *deadline => {
                self.fail(now, ReasonWord::ConnectTimeout, out);
            }
            State::Connected { .. } => {
                if self.next_deadline().is_some_and(|deadline| now >= deadline) {
                    return self.fail(now, ReasonWord::UnackedTooLong, out);
                }
                self.pump(now, out);
            }
            _ => {}
        }
    }

    fn connected(
        &mut self,
        receive_maximum: Option<u16>,
        packet_size: Option<u32>,
        out: &mut Vec<Command>,
    ) {
        let theirs = receive_maximum.unwrap_or(u16::MAX).max(1);
        let window = usize::from(self.settings.max_inflight.max(1).min(theirs));
        let packet_bytes_max =
            packet_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        if self.attempt > 1 {
            self.counters.reconnects += 1;
        }
        self.retry.succeeded();
        self.state = State::Connected { window, packet_bytes_max };
        self.show(ConnectionState::Connected, None, true, out);
    }

    fn fetched(&mut self, now: Instant, items: Vec<Item>, out: &mut Vec<Command>) {
        self.fetching = false;
        self.more = !items.is_empty();
        let entry = |item| Entry { item, sent_before: false, on_wire: None, settled: false };
        self.queue.extend(items.into_iter().map(entry));
        self.pump(now, out);
    }

    fn acknowledged(&mut self, now: Instant, seq: u64, code: u8, out: &mut Vec<Command>) {
        let position = self.queue.binary_search_by_key(&seq, |entry| entry.item.seq).ok();
        let entry = position.and_then(|position| self.queue.get_mut(position));
        let Some(entry) = entry.filter(|entry| entry.on_wire.is_some()) else {
            self.counters.late_reply += 1;
            return;
        };
        entry.on_wire = None;
        entry.settled = true;
        self.inflight -= 1;
        let outcome = if code < 0x80 { Outcome::Success } else { Outcome::Failed { code } };
        self.count(outcome);
        out.push(Command::Settle { seq, outcome });
        self.trim(out);
        self.pump(now, out);
    }

    /// Sends what the window allows, oldest first, and asks for more.
    fn pump(&mut self, now: Instant, out: &mut Vec<Command>) {
        let State::Connected { window, packet_bytes_max } = self.state else { return };
        if self.paused {
            return;
        }
        let payload_max = packet_bytes_max
            .saturating_sub(PUBLISH_OVERHEAD_BYTES.saturating_add(self.settings.topic.len()));
        while let Some(entry) = self.queue.get(self.dealt) {
            if !entry.settled {
                let refused = refusal(&entry.item, now, payload_max);
                let takes_room =
                    refused.is_none() && entry.item.qos.on_carrier() == Qos::AtLeastOnce;
                if takes_room && self.inflight >= window {
                    break;
                }
                match refused {
                    Some(outcome) => self.settle(outcome, out),
                    None => self.send(now, out),
                }
            }
            self.dealt += 1;
        }
        self.trim(out);
        let count = window.saturating_sub(self.queue.len());
        if self.more && !self.fetching && count > 0 {
            self.fetching = true;
            out.push(Command::Fetch { count });
        }
    }

    /// Sends the entry at `dealt`; QoS 0 is done with it (W-33).
    fn send(&mut self, now: Instant, out: &mut Vec<Command>) {
        let Some(entry) = self.queue.get_mut(self.dealt) else { return };
        let resend = std::mem::replace(&mut entry.sent_before, true);
        let item = entry.item.clone();
        let carrier_qos = item.qos.on_carrier();
        self.counters.bytes += item.payload.len() as u64;
        self.counters.retried += u64::from(resend);
        out.push(Command::Publish { item, carrier_qos, resend });
        if carrier_qos == Qos::AtMostOnce {
            return self.settle(Outcome::Success, out);
        }
        entry.on_wire = Some(now);
        self.inflight += 1;
    }

    /// Settles the entry at `dealt`.
    fn settle(&mut self, outcome: Outcome, out: &mut Vec<Command>) {
        let Some(entry) = self.queue.get_mut(self.dealt) else { return };
        entry.settled = true;
        let seq = entry.item.seq;
        self.count(outcome);
        out.push(Command::Settle { seq, outcome });
    }

    /// Lets go of settled items at the front.
    fn trim(&mut self, out: &mut Vec<Command>) {
        let mut below = None;
        while let Some(entry) = self.queue.pop_front_if(|entry| entry.settled) {
            below = Some(entry.item.seq.saturating_add(1));
            self.dealt = self.dealt.saturating_sub(1);
        }
        if let Some(below) = below {
            out.push(Command::Trim { below });
        }
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.counters.success += 1,
            Outcome::Failed { .. } | Outcome::TooLarge => self.counters.failed += 1,
            Outcome::Expired => self.counters.expired += 1,
        }
    }

    fn fail(&mut self, now: Instant, word: ReasonWord, out: &mut Vec<Command>) {
        out.push(Command::Close);
        self.disconnect(now, word.into(), out);
    }

    fn disconnect(&mut self, now: Instant, reason: Reason, out: &mut Vec<Command>) {
        for entry in &mut self.queue {
            entry.on_wire = None;
        }
        (self.dealt, self.inflight) = (0, 0);
        let reason = self.retry.judge_takeover(now, reason);
        let retry_at = self.retry.next_attempt(now, (self.entropy)());
        self.state = State::Disconnected { retry_at };
        let loud = self.retry.failed(reason.word);
        self.show(ConnectionState::Disconnected, Some(reason), loud, out);
    }

    fn stop(&mut self, out: &mut Vec<Command>) {
        if matches!(self.state, State::Connecting { .. } | State::Connected { .. }) {
            out.push(Command::Close);
        }
        self.state = State::Stopped;
        self.show(ConnectionState::Stopped, None, true, out);
    }

    fn show(
        &mut self,
        state: ConnectionState,
        reason: Option<Reason>,
        loud: bool,
        out: &mut Vec<Command>,
    ) {
        if self.shown.0 == state && self.shown.1 == reason {
            return;
        }
        self.shown = (state, reason.clone());
        out.push(Command::Report { state, reason, loud });
    }
}

/// Why an item is not sent at all.
fn refusal(item: &Item, now: Instant, payload_max: usize) -> Option<Outcome> {
    if item.payload.len() > payload_max {
        Some(Outcome::TooLarge)
    } else if item.expires_at.is_some_and(|at| now >= at) {
        Some(Outcome::Expired)
    } else {
        None
    }
}
