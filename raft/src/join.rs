//! Who is let in, who votes, who may go. Pure: the leader asks before it changes the membership.

use serde::{Deserialize, Serialize};

use crate::types::{NodeId, NodeInfo};

/// A node asks to be a member, or tells its new address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JoinRequest {
    pub(crate) node: NodeId,
    pub(crate) info: NodeInfo,
}

/// What the leader does about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// As a learner; it votes later.
    Add,
    /// It is a member and has moved.
    Move,
    AlreadyMember,
}

/// Why a membership change is refused; the sentence says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MembershipRefusal {
    #[error(
        "the name {name:?} belongs to member {id}, which lives in another data directory; if that \
         node is gone for good, remove it (`spanmq cluster remove {name}`) and join again, else \
         choose another --node-name"
    )]
    NameTaken { name: String, id: NodeId },
    #[error(
        "node id {id} belongs to member {name:?}, which lives in another data directory; remove \
         that member first, then join again"
    )]
    IdTaken { name: String, id: NodeId },
    #[error(
        "the address {addr} belongs to member {name:?}; give each node its own --advertise-cluster"
    )]
    AddressTaken { name: String, addr: String },
    #[error("no member is called {wanted}; `spanmq cluster status` lists them")]
    NoSuchMember { wanted: String },
    #[error("node {name:?} is the only member that votes; stop it instead of removing it")]
    LastVoter { name: String },
}

/// Whether `request` is granted, given the present members.
pub(crate) fn admit<'a>(
    members: impl IntoIterator<Item = (&'a NodeId, &'a NodeInfo)>,
    request: &JoinRequest,
) -> Result<Admission, MembershipRefusal> {
    let wanted = &request.info;
    let mut admission = Admission::Add;
    for (id, member) in members {
        if *id == request.node && member.instance != wanted.instance {
            return Err(MembershipRefusal::IdTaken { name: member.name.clone(), id: *id });
        }
        if *id == request.node {
            let same = member == wanted;
            admission = if same { Admission::AlreadyMember } else { Admission::Move };
        } else if member.name == wanted.name {
            return Err(MembershipRefusal::NameTaken { name: member.name.clone(), id: *id });
        } else if member.addr == wanted.addr {
            let addr = member.addr.clone();
            return Err(MembershipRefusal::AddressTaken { name: member.name.clone(), addr });
        }
    }
    Ok(admission)
}

/// How far a learner is behind the leader, in entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Learner {
    pub(crate) id: NodeId,
    pub(crate) lag: Option<u64>,
}

/// A learner this near to the end of the log may vote.
const VOTER_LAG_MAX: u64 = 100;

/// The learner that is to vote next, if another voter is wanted.
pub(crate) fn next_voter(voters: usize, voters_max: usize, learners: &[Learner]) -> Option<NodeId> {
    if voters >= voters_max {
        return None;
    }
    let ready =
        learners.iter().filter(|learner| learner.lag.is_some_and(|lag| lag <= VOTER_LAG_MAX));
    ready.min_by_key(|learner| (learner.lag, learner.id)).map(|learner| learner.id)
}

/// How many voters may fail before the cluster cannot decide any more.
pub(crate) fn failures_tolerated(voters: usize) -> usize {
    voters.saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, addr: &str, instance: u8) -> NodeInfo {
        NodeInfo { name: name.into(), addr: addr.into(), instance: [instance; 16] }
    }

    fn members() -> Vec<(NodeId, NodeInfo)> {
        vec![(1, info("n1@a", "a:1", 1)), (2, info("n2@b", "b:1", 2))]
    }

    fn ask(node: NodeId, info: NodeInfo) -> Result<Admission, MembershipRefusal> {
        let members = members();
        let members = members.iter().map(|(id, info)| (id, info));
        admit(members, &JoinRequest { node, info })
    }

    #[test]
    fn a_new_node_is_added_and_asking_again_changes_nothing() {
        assert_eq!(ask(3, info("n3@c", "c:1", 3)), Ok(Admission::Add));
        assert_eq!(ask(2, info("n2@b", "b:1", 2)), Ok(Admission::AlreadyMember));
    }

    #[test]
    fn a_member_may_move_to_a_free_address() {
        assert_eq!(ask(2, info("n2@b", "b:2", 2)), Ok(Admission::Move));
        let refused = ask(2, info("n2@b", "a:1", 2));
        assert!(matches!(refused, Err(MembershipRefusal::AddressTaken { .. })));
    }

    #[test]
    fn a_wiped_node_is_refused_until_the_old_member_is_removed() {
        let refused = ask(9, info("n2@b", "b:1", 9)).unwrap_err();
        assert!(matches!(&refused, MembershipRefusal::NameTaken { id: 2, .. }));
        assert!(refused.to_string().contains("remove n2@b"), "{refused}");
        let refused = ask(2, info("n2@b", "b:1", 9));
        assert!(matches!(refused, Err(MembershipRefusal::IdTaken { .. })));
    }

    #[test]
    fn the_learner_that_is_nearest_votes_next_while_voters_are_wanted() {
        let learner = |id, lag| Learner { id, lag };
        let learners =
            [learner(4, Some(101)), learner(5, Some(3)), learner(6, None), learner(7, Some(3))];
        assert_eq!(next_voter(3, 5, &learners), Some(5));
        assert_eq!(next_voter(5, 5, &learners), None);
        assert_eq!(next_voter(3, 5, &learners[..1]), None);
    }

    #[test]
    fn a_majority_must_remain() {
        let tolerated: Vec<_> = (0..=5).map(failures_tolerated).collect();
        assert_eq!(tolerated, [0, 0, 0, 1, 1, 2]);
    }
}
