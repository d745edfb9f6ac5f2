//! Leases: which members may acknowledge publishes, and when a subscription is visible to all of
//! them (ARCHITECTURE §4, first row). Pure: time comes in as an argument.
//!
//! Why it is safe. A member's lease counts from when it *sent* the request, the leader's record of
//! it from when it arrived, so the member's ends first. A grant never reaches further than one
//! lease after the leader last knew a quorum behind it, and a new leader waits one whole lease
//! from its election, so leases of an older leader have ended before it lets anybody answer.
//! A member that lags behind what was released gets none.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Add,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::types::NodeId;

/// Default length of a lease.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a member may lag before its lease is no longer renewed.
pub const LAG_MAX: Duration = Duration::from_secs(1);

/// A point on the clock that also counts while the machine is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LeaseTime(u64);

impl LeaseTime {
    /// Now, in milliseconds since boot.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000)
    }

    /// Time from `earlier` to this; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for LeaseTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration.as_millis() as u64)
    }
}

/// The lease of this node. Read on each acknowledgement, so it is one atomic number.
#[derive(Debug, Default)]
pub struct HeldLease {
    until: AtomicU64,
}

impl HeldLease {
    /// Whether this node may acknowledge what it matched before `now`.
    pub fn is_held(&self, now: LeaseTime) -> bool {
        now.0 < self.until.load(Ordering::Acquire)
    }

    /// A grant that was asked for at `sent`. Grants come late and out of order; the longest counts.
    pub(crate) fn granted(&self, sent: LeaseTime, duration: Duration) {
        self.until.fetch_max((sent + duration).0, Ordering::AcqRel);
    }
}

/// What the leader knows of one member's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Granted {
    applied: u64,
    until: LeaseTime,
}

/// Whether a change is visible on every member that may acknowledge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Yes,
    /// Not before somebody reports progress, or this time comes.
    NotBefore(LeaseTime),
}

/// The leases that a leader has given, for one term of leadership.
#[derive(Debug)]
pub(crate) struct Grantor {
    me: NodeId,
    lease: Duration,
    lag_max: Duration,
    /// Leases of earlier leaders have ended here.
    settled_at: LeaseTime,
    /// A quorum stood behind us at this time, or later.
    confirmed: Option<LeaseTime>,
    granted: BTreeMap<NodeId, Granted>,
    /// Members whose routes are being collected: no lease until they have applied that.
    collecting: BTreeSet<NodeId>,
    /// Somebody was told that changes up to here are visible.
    released: u64,
    /// Changes whose visibility is waited for, and since when.
    waiting: BTreeMap<u64, LeaseTime>,
}

impl Grantor {
    /// For a leader that was elected, or restarted, at `now`.
    pub(crate) fn new(me: NodeId, now: LeaseTime, lease: Duration, lag_max: Duration) -> Self {
        Self {
            me,
            lease,
            lag_max,
            settled_at: now + lease,
            confirmed: None,
            granted: BTreeMap::new(),
            collecting: BTreeSet::new(),
            released: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// A quorum has answered a heartbeat that was sent at `sent`.
    pub(crate) fn confirm(&mut self, sent: LeaseTime) {
        self.confirmed = self.confirmed.max(Some(sent));
    }

    /// A member asks for its lease and tells how far it has applied. Returns for how long.
    pub(crate) fn renew(
        &mut self,
        now: LeaseTime,
        member: NodeId,
        applied: u64,
    ) -> Option<Duration> {
        let known = self.granted.entry(member).or_insert(Granted { applied: 0, until: now });
        known.applied = known.applied.max(applied);
        let overdue = self
            .waiting
            .iter()
            .rev()
            .find(|(_, since)| now.since(**since) >= self.lag_max)
            .map_or(0, |(index, _)| *index);
        if known.applied < self.released.max(overdue) || self.collecting.contains(&member) {
            return None;
        }
        let until = self.confirmed? + self.lease;
        known.until = known.until.max(until);
        (until > now).then(|| until.since(now))
    }

    /// How long `member` has been without a lease, whoever gave it.
    pub(crate) fn without_lease(&self, now: LeaseTime, member: NodeId) -> Duration {
        let ended = self.granted.get(&member).map_or(self.settled_at, |known| known.until);
        now.since(ended.max(self.settled_at))
    }

    /// Whether the routes of `member` may be collected now. If so it gets no lease until
    /// [`Grantor::collected`] says where that stands in the log, and it has applied that
    /// (CHAOS P5: no route of a lease holder is ever collected).
    pub(crate) fn begin_collecting(
        &mut self,
        now: LeaseTime,
        member: NodeId,
        after: Duration,
    ) -> bool {
        let due = self.without_lease(now, member) >= after && now >= self.settled_at + after;
        due && self.collecting.insert(member)
    }

    /// The collection of `member` was applied at `index`, or failed.
    pub(crate) fn collected(&mut self, member: NodeId, index: Option<u64>) {
        self.collecting.remove(&member);
        self.released = self.released.max(index.unwrap_or(0));
    }

    /// Whether the change at `index` is applied on all that hold a lease. `alone`: no other node
    /// is or was a member, so nobody can hold one.
    pub(crate) fn visible(&mut self, now: LeaseTime, index: u64, alone: bool) -> Visibility {
        if !alone && now < self.settled_at {
            self.waiting.entry(index).or_insert(now);
            return Visibility::NotBefore(self.settled_at);
        }
        let behind = self
            .granted
            .iter()
            .filter(|(member, known)| {
                **member != self.me && known.until > now && known.applied < index
            })
            .map(|(_, known)| known.until)
            .max();
        match behind {
            Some(until) => {
                self.waiting.entry(index).or_insert(now);
                Visibility::NotBefore(until)
            }
            None => {
                self.released = self.released.max(index);
                self.waiting = self.waiting.split_off(&(index + 1));
                Visibility::Yes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: LeaseTime = LeaseTime(1_000_000);

    fn at(ms: u64) -> LeaseTime {
        T0 + Duration::from_millis(ms)
    }

    /// A leader whose waiting time is over, confirmed at 3,000 ms.
    fn settled() -> Grantor {
        let mut grantor = Grantor::new(1, T0, LEASE, LAG_MAX);
        grantor.confirm(at(3_000));
        grantor
    }

    #[test]
    fn a_new_leader_lets_nobody_answer_for_one_lease() {
        let mut grantor = Grantor::new(1, T0, LEASE, LAG_MAX);
        grantor.confirm(T0);
        assert_eq!(grantor.visible(at(2_999), 5, false), Visibility::NotBefore(at(3_000)));
        assert_eq!(grantor.visible(at(3_000), 5, false), Visibility::Yes);
    }

    #[test]
    fn alone_there_is_nobody_to_wait_for() {
        let mut grantor = Grantor::new(1, T0, LEASE, LAG_MAX);
        assert_eq!(grantor.visible(T0, 5, true), Visibility::Yes);
    }

    #[test]
    fn a_change_is_visible_when_every_lease_holder_has_applied_it() {
        let mut grantor = settled();
        assert!(grantor.renew(at(3_000), 2, 4).is_some());
        assert!(matches!(grantor.visible(at(3_001), 5, false), Visibility::NotBefore(_)));
        grantor.renew(at(3_002), 2, 5);
        assert_eq!(grantor.visible(at(3_002), 5, false), Visibility::Yes);
    }

    #[test]
    fn a_laggard_is_renewed_for_a_second_and_then_waited_out() {
        let mut grantor = settled();
        grantor.renew(at(3_000), 2, 4);
        grantor.visible(at(3_000), 5, false);
        grantor.confirm(at(3_900));
        assert!(grantor.renew(at(3_999), 2, 4).is_some(), "it may still catch up");
        grantor.confirm(at(4_000));
        assert_eq!(grantor.renew(at(4_000), 2, 4), None);
        assert_eq!(grantor.visible(at(6_899), 5, false), Visibility::NotBefore(at(6_900)));
        assert_eq!(grantor.visible(at(6_900), 5, false), Visibility::Yes);
        grantor.confirm(at(6_900));
        assert_eq!(grantor.renew(at(6_901), 2, 4), None, "it must catch up first");
        assert!(grantor.renew(at(6_902), 2, 5).is_some());
    }

    #[test]
    fn a_leader_without_a_quorum_grants_nothing_that_outlives_it() {
        let mut grantor = settled();
        assert_eq!(grantor.renew(at(5_000), 2, 4), Some(Duration::from_secs(1)));
        assert_eq!(grantor.renew(at(6_000), 2, 4), None);
    }

    #[test]
    fn a_late_grant_does_not_shorten_a_lease_and_counts_from_the_request() {
        let lease = HeldLease::default();
        assert!(!lease.is_held(T0));
        lease.granted(at(100), LEASE);
        lease.granted(at(50), LEASE);
        assert!(lease.is_held(at(3_099)));
        assert!(!lease.is_held(at(3_100)));
    }

    #[test]
    fn a_silent_members_routes_are_collected_once_and_it_gets_no_lease_meanwhile() {
        let after = Duration::from_secs(2);
        let mut grantor = settled();
        grantor.renew(at(3_000), 2, 4);
        assert!(!grantor.begin_collecting(at(7_999), 2, after), "its lease ended at 6,000");
        assert!(grantor.begin_collecting(at(8_000), 2, after));
        assert!(!grantor.begin_collecting(at(8_001), 2, after), "that is under way");
        grantor.confirm(at(8_001));
        assert_eq!(grantor.renew(at(8_001), 2, 4), None);
        grantor.collected(2, Some(5));
        assert_eq!(grantor.renew(at(8_002), 2, 4), None, "it must know of it first");
        assert!(grantor.renew(at(8_003), 2, 5).is_some());
        assert!(!grantor.begin_collecting(at(8_004), 2, after));
    }

    #[test]
    fn a_new_leader_waits_for_leases_of_the_old_one_before_it_collects() {
        let after = Duration::from_secs(2);
        let mut grantor = Grantor::new(1, T0, LEASE, LAG_MAX);
        assert!(!grantor.begin_collecting(at(4_999), 2, after));
        assert!(grantor.begin_collecting(at(5_000), 2, after));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Pass(u64),
        Confirm,
        Apply(usize, u64),
        /// A member asks; the answer reaches it after so many milliseconds.
        Renew(usize, u64),
        Publish,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u64..1_500).prop_map(Step::Pass),
            3 => Just(Step::Confirm),
            3 => (0usize..3, 0u64..4).prop_map(|(m, n)| Step::Apply(m, n)),
            4 => (0usize..3, 0u64..500).prop_map(|(m, delay)| Step::Renew(m, delay)),
            3 => Just(Step::Publish),
        ]
    }

    proptest! {
        /// Whenever the leader says "visible", no member that still trusts its lease lacks it.
        #[test]
        fn nobody_with_a_lease_lacks_what_was_released(
            steps in proptest::collection::vec(step(), 1..120)
        ) {
            let mut now = T0;
            let mut grantor = Grantor::new(1, now, LEASE, LAG_MAX);
            let members: [HeldLease; 3] = Default::default();
            let (mut applied, mut next, mut released) = ([0u64; 3], 1u64, 0u64);
            for step in steps {
                match step {
                    Step::Pass(ms) => now = now + Duration::from_millis(ms),
                    Step::Confirm => grantor.confirm(now),
                    Step::Apply(m, n) => applied[m] = (applied[m] + n).min(next),
                    Step::Renew(m, delay) => {
                        let sent = now;
                        now = now + Duration::from_millis(delay);
                        if let Some(duration) = grantor.renew(now, m as u64 + 2, applied[m]) {
                            members[m].granted(sent, duration);
                        }
                    }
                    Step::Publish => {
                        next += 1;
                        for index in released + 1..=next {
                            if grantor.visible(now, index, false) == Visibility::Yes {
                                released = index;
                            }
                        }
                    }
                }
                for (member, applied) in members.iter().zip(applied) {
                    prop_assert!(!member.is_held(now) || applied >= released);
                }
            }
        }
    }
}
