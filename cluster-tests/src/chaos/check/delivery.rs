//! P1, P2, P7, P8: what was acknowledged arrives, as often as its QoS says, and over one hop.

use std::collections::{HashMap, HashSet};

use super::sessions::{Message, MessageId, Overview, Receipt, Session};
use super::{Counts, Promise, Violation};
use crate::chaos::history::{Event, Kind, Op, Outcome, phase};

/// A repeat may come so long after the disconnect that explains it, and the other way round.
const AROUND_US: u64 = 20_000_000;
/// What was under way when a node died may have been received so long before.
const AROUND_RESTART_US: u64 = 2_000_000;
/// How long both the old and the new owner of a session may be given messages for it (P5's bound).
const TAKE_OVER_US: u64 = 15_000_000;
/// MQTT 5.0 §3.4.2.1.
const NO_MATCHING_SUBSCRIBERS: u64 = 0x10;
/// At most so many examples per session are told; all are counted.
const EXAMPLES: usize = 3;

/// Checks all sessions, and counts.
pub(super) fn check(history: &[Event]) -> (Vec<Violation>, Counts) {
    let overview = Overview::of(history);
    let mut counts = outcomes(history, &overview);
    let mut found = Vec::new();
    // A remote learns of a subscription later than its SUBACK (LINK-SPEC 0.1): what crosses is
    // claimed from the beginning of the load on, when all routes have been learnt.
    let linked_from = phase(history, "load").unwrap_or(0);
    for (name, session) in &overview.sessions {
        let shared = session.subscriptions.iter().any(|s| s.filter.starts_with("$share/"));
        if !shared {
            found.extend(lost(name, session, &overview, linked_from, &mut counts));
        }
        found.extend(repeated(name, session, &overview, &mut counts));
        found.extend(phantoms(name, session, &overview));
        let gone = session.forgotten.iter();
        found.extend(gone.map(|at| {
            Violation::new(Promise::P1, *at, format!("the broker forgot the session of {name}"))
        }));
    }
    found.extend(groups(&overview, &mut counts));
    found.extend(unmatched(&overview));
    (found, counts)
}

fn outcomes(history: &[Event], overview: &Overview<'_>) -> Counts {
    let mut counts = Counts::default();
    for operation in crate::chaos::history::operations(history) {
        match operation.outcome {
            Outcome::Ok => counts.ok += 1,
            Outcome::Fail => counts.refused += 1,
            Outcome::Unknown => counts.unknown += 1,
        }
    }
    counts.deliveries = overview.sessions.values().map(|s| s.receipts.len() as u64).sum();
    counts
}

/// The cluster of a message: that of the node it was published through.
fn origin<'a>(message: &Message<'a>) -> &'a str {
    message.operation.invoke.cluster()
}

fn lost(
    name: &str,
    session: &Session<'_>,
    overview: &Overview<'_>,
    linked_from: u64,
    counts: &mut Counts,
) -> Vec<Violation> {
    if !session.persistent {
        return Vec::new();
    }
    let received: HashSet<MessageId<'_>> = session.receipts.iter().map(Receipt::id).collect();
    let missing = |(id, message): &(&MessageId<'_>, &Message<'_>)| {
        let local = origin(message) == session.cluster;
        let crosses =
            message.topic().starts_with("x/") && message.operation.start_us() >= linked_from;
        // A message that clears a retained value has no payload to be known by.
        message.acknowledged()
            && !message.operation.invoke.flag("clear")
            && (local || crosses)
            && session.wanted(message).is_some_and(|s| s.qos > 0)
            && !received.contains(*id)
    };
    let mut missing: Vec<_> = overview.messages.iter().filter(missing).collect();
    counts.lost += missing.len() as u64;
    missing.sort_by_key(|(_, message)| message.operation.start_us());
    let total = missing.len();
    let tell = |(id, message): (&MessageId<'_>, &Message<'_>)| {
        let local = origin(message) == session.cluster;
        let promise = if local { Promise::P1 } else { Promise::P7 };
        let operation = &message.operation;
        let acknowledged = operation.end.map_or(0, |end| end.t_us);
        let text = format!(
            "lost: {name} never got {}#{} on {} (QoS {}, through {}, acknowledged at {} ms); {total} in all",
            id.0,
            id.1,
            message.topic(),
            message.qos,
            operation.invoke.node,
            acknowledged / 1_000,
        );
        Violation::new(promise, acknowledged, text)
    };
    missing.into_iter().take(EXAMPLES).map(tell).collect()
}

/// QoS 2 never comes twice within an epoch; QoS 1 only around a disconnect that explains it.
fn repeated(
    name: &str,
    session: &Session<'_>,
    overview: &Overview<'_>,
    counts: &mut Counts,
) -> Vec<Violation> {
    let mut first: HashMap<MessageId<'_>, Receipt<'_>> = HashMap::new();
    let mut found = Vec::new();
    for receipt in &session.receipts {
        let Some(earlier) = first.get(&receipt.id()).copied() else {
            first.insert(receipt.id(), *receipt);
            continue;
        };
        counts.duplicates += 1;
        let Some(message) = overview.messages.get(&receipt.id()) else { continue };
        let local = origin(message) == session.cluster;
        let qos = receipt.event.number("qos").min(message.qos);
        let at = receipt.event.t_us;
        let id = receipt.id();
        let across = circumstance(session, overview, message, earlier.event.t_us, at);
        let what = format!(
            "{name} got {}#{} on {} twice (QoS {qos}), at {} and {} ms{across}",
            id.0,
            id.1,
            message.topic(),
            earlier.event.t_us / 1_000,
            at / 1_000
        );
        if qos == 2 && local && earlier.epoch == receipt.epoch {
            found.push(Violation::new(Promise::P2, at, what));
        } else if qos == 0 && local {
            // Nobody repeats QoS 0: it came back over a link, or took two ways.
            found.push(Violation::new(Promise::P8, at, what));
        } else if !explained(earlier.event.t_us, at, session, message, overview) {
            let promise = if local { Promise::P1 } else { Promise::P7 };
            found.push(Violation::new(promise, at, format!("{what}, without a disconnect")));
        }
    }
    found
}

/// What happened around a repeat that a plan may leave unclaimed; part of the text, so that a plan
/// can name it.
fn circumstance(
    session: &Session<'_>,
    overview: &Overview<'_>,
    message: &Message<'_>,
    first: u64,
    again: u64,
) -> &'static str {
    let begun = message.operation.start_us();
    let publisher = overview.sessions.get(message.operation.invoke.proc.as_str());
    let mut lost = publisher.map(|p| &p.disconnects[..]).unwrap_or_default().iter();
    let taken = |at: &u64| *at + TAKE_OVER_US >= begun && *at <= again;
    let died = |(from, until): &(u64, u64)| {
        *from <= again && first.saturating_sub(AROUND_RESTART_US) <= *until
    };
    if session.takeovers.iter().any(taken) {
        ", after a take-over from an owner out of reach"
    } else if overview.restarts.iter().any(died) {
        ", across the restart of a node"
    } else if lost.any(|at| (begun..=again).contains(at)) {
        ", repeated by its publisher"
    } else {
        ""
    }
}

fn explained(
    first: u64,
    again: u64,
    session: &Session<'_>,
    message: &Message<'_>,
    overview: &Overview<'_>,
) -> bool {
    let around = |at: &u64| *at + AROUND_US >= first && *at <= again + AROUND_US;
    let publisher = message.operation.invoke.proc.as_str();
    let lost = overview.sessions.get(publisher).map(|s| &s.disconnects[..]).unwrap_or_default();
    let crossed = message.operation.invoke.cluster() != session.cluster;
    // A link re-connects when either side is hit.
    let hit =
        |(from, until): &(u64, u64)| *from <= again && first <= until.saturating_add(AROUND_US);
    (crossed && overview.faults.iter().any(hit))
        || session.disconnects.iter().any(around)
        || lost.iter().any(around)
}

fn phantoms(name: &str, session: &Session<'_>, overview: &Overview<'_>) -> Vec<Violation> {
    let unknown = session.receipts.iter().filter(|r| !overview.messages.contains_key(&r.id()));
    let tell = |receipt: &Receipt<'_>| {
        let (publisher, number) = receipt.id();
        let text = format!("phantom: {name} got {publisher}#{number}, which nobody sent");
        Violation::new(Promise::P1, receipt.event.t_us, text)
    };
    unknown.take(EXAMPLES).map(tell).collect()
}

/// A shared group as a whole gets each acknowledged message, and QoS 2 once.
fn groups(overview: &Overview<'_>, counts: &mut Counts) -> Vec<Violation> {
    let mut groups: HashMap<(&str, &str), Vec<&Session<'_>>> = HashMap::new();
    for session in overview.sessions.values() {
        for subscription in &session.subscriptions {
            if subscription.filter.starts_with("$share/") {
                groups.entry((session.cluster, subscription.filter)).or_default().push(session);
            }
        }
    }
    let mut found = Vec::new();
    for ((cluster, group), members) in groups {
        let filter = group.splitn(3, '/').nth(2).unwrap_or_default();
        let persistent = members.iter().all(|member| member.persistent);
        let begun = members.iter().flat_map(|m| m.subscriptions.iter().map(|s| s.from_us)).max();
        let got: HashSet<MessageId<'_>> =
            members.iter().flat_map(|m| m.receipts.iter().map(Receipt::id)).collect();
        let mut missing: Vec<_> = overview
            .messages
            .iter()
            .filter(|(id, message)| {
                message.acknowledged()
                    && persistent
                    && origin(message) == cluster
                    && Some(message.operation.start_us()) >= begun
                    && super::matches(filter, message.topic())
                    && !got.contains(*id)
            })
            .collect();
        counts.lost += missing.len() as u64;
        missing.sort_by_key(|(_, message)| message.operation.start_us());
        found.extend(missing.iter().take(EXAMPLES).map(|(id, message)| {
            let text = format!("lost: no member of {group} ever got {}#{}", id.0, id.1);
            Violation::new(Promise::P1, message.operation.end_us(), text)
        }));
    }
    found
}

/// "No matching subscribers" is a failure when a subscription certainly stood.
fn unmatched(overview: &Overview<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for ((publisher, number), message) in &overview.messages {
        let end = message.operation.end.filter(|end| end.kind == Kind::Ok && end.op == Op::Publish);
        let Some(end) = end.filter(|end| end.number("code") == NO_MATCHING_SUBSCRIBERS) else {
            continue;
        };
        let certain = overview.sessions.iter().find(|(_, session)| {
            session.persistent
                && session.cluster == origin(message)
                && session.wanted(message).is_some()
        });
        if let Some((name, _)) = certain {
            let text = format!(
                "{publisher}#{number} through {} was answered \"no matching subscribers\", but {name} was subscribed",
                end.node
            );
            found.push(Violation::new(Promise::P1, end.t_us, text));
        }
    }
    found.sort_by_key(|violation| violation.at_us);
    found.truncate(EXAMPLES);
    found
}
