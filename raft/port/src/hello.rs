//! The first word on every connection, and the pure decision whether to talk on.

use serde::{Deserialize, Serialize};

use crate::identity::{ClusterId, Identity, InstanceId, Known, NodeId};

/// The newest protocol that this build speaks.
pub const PROTOCOL_VERSION: u16 = 1;
/// The oldest protocol that this build still speaks (rolling upgrades).
pub const PROTOCOL_OLDEST: u16 = 1;
/// Longest node or cluster name that a peer may show.
const NAME_BYTES_MAX: usize = 255;

/// What a connection is for. Each purpose has its own socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Small consensus requests.
    Raft,
    /// Ordered one-way messages; the number is the lane.
    Wire(u16),
    /// Status, metrics, hand-over, forwarding.
    Query,
    /// A node that is not a member yet asks to become one.
    Join,
}

/// What each side says first. New fields go to the end: an older reader skips them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol_version: u16,
    pub protocol_oldest: u16,
    pub purpose: Purpose,
    /// Runs with `--dev`: plain text, loopback only.
    pub dev: bool,
    pub cluster_id: Option<ClusterId>,
    pub cluster_name: String,
    pub node_id: NodeId,
    pub node_name: String,
    pub instance: InstanceId,
    pub incarnation: u64,
}

impl Hello {
    /// What `identity` says when it opens or takes a connection for `purpose`.
    pub fn new(identity: &Identity, purpose: Purpose, dev: bool) -> Self {
        Self {
            protocol_version: PROTOCOL_VERSION,
            protocol_oldest: PROTOCOL_OLDEST,
            purpose,
            dev,
            cluster_id: identity.cluster_id,
            cluster_name: identity.cluster_name.clone(),
            node_id: identity.node_id,
            node_name: identity.node_name.clone(),
            instance: identity.instance,
            incarnation: identity.incarnation,
        }
    }
}

/// Why a connection is not wanted. The text is one sentence with the remedy; it is shown on both
/// sides and says "this node" for the one that refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "node {node:?} speaks cluster protocol {oldest} to {newest} and this node {our_oldest} to {our_newest}; upgrade the older one"
    )]
    ProtocolVersion { node: String, oldest: u16, newest: u16, our_oldest: u16, our_newest: u16 },
    #[error(
        "a node or cluster name of the other side is empty, longer than 255 bytes or holds control characters; give it a plain name"
    )]
    BadName,
    #[error(
        "one side runs with --dev (plain text) and the other does not; start both with --dev on loopback or both without"
    )]
    DevMismatch,
    #[error(
        "node {node:?} belongs to cluster {theirs:?} and this node to cluster {ours:?}; correct the cluster name or the address"
    )]
    OtherClusterName { node: String, theirs: String, ours: String },
    #[error(
        "node {node:?} belongs to another cluster with the same name (id {theirs}, not {ours}); point it at its own cluster, or wipe its data directory and join again"
    )]
    OtherCluster { node: String, theirs: ClusterId, ours: ClusterId },
    #[error(
        "node {node:?} is not a member of a cluster and may only ask to join; start it with --join"
    )]
    NotAMember { node: String },
    #[error(
        "this node does not belong to a cluster yet; wait until it has joined, or name another member"
    )]
    NotReady,
    #[error("this node was told to dial itself; remove its own address from the list of members")]
    Itself,
    #[error(
        "node {node:?} uses node id {id}, which is this node's own; give one of them another id"
    )]
    SameNodeId { node: String, id: NodeId },
    #[error(
        "node id {id} is known with another data directory (instance {known}, not {presented}); remove the old member first, then let node {node:?} join again"
    )]
    ReusedNodeId { node: String, id: NodeId, known: InstanceId, presented: InstanceId },
    #[error(
        "node {node:?} (id {id}) was removed from this cluster; wipe its data directory and join again"
    )]
    Removed { node: String, id: NodeId },
    #[error("node id {expected} was dialled and node id {found} answered; correct the address")]
    WrongNode { expected: NodeId, found: NodeId },
    #[error(
        "node {node:?} speaks as run {found} and run {latest} of it was here already; end its older process"
    )]
    OldIncarnation { node: String, found: u64, latest: u64 },
    #[error("this node does not serve {purpose:?} connections; update it or dial another member")]
    NotServed { purpose: Purpose },
    #[error(
        "this node has {limit} cluster connections, its limit; raise established_max or look for a peer that opens too many"
    )]
    TooManyConnections { limit: u32 },
}

/// Which end of the connection asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Dialler,
    Acceptor,
}

/// Whether to go on with a peer that said `theirs`, when we say `ours`; both sides ask.
/// `known` is what we know of its node id. Returns the protocol version to speak.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn check(side: Side, ours: &Hello, theirs: &Hello, known: Known) -> Result<u16, Refusal> {
    let node = || theirs.node_name.clone();
    let protocol = ours.protocol_version.min(theirs.protocol_version);
    if protocol < ours.protocol_oldest || protocol < theirs.protocol_oldest {
        return Err(Refusal::ProtocolVersion {
            node: node(),
            oldest: theirs.protocol_oldest,
            newest: theirs.protocol_version,
            our_oldest: ours.protocol_oldest,
            our_newest: ours.protocol_version,
        });
    }
    // Names end up in logs and texts: nobody may forge lines there.
    if !is_plain(&theirs.node_name) || !is_plain(&theirs.cluster_name) {
        return Err(Refusal::BadName);
    }
    if ours.dev != theirs.dev {
        return Err(Refusal::DevMismatch);
    }
    if ours.cluster_name != theirs.cluster_name {
        return Err(Refusal::OtherClusterName {
            node: node(),
            theirs: theirs.cluster_name.clone(),
            ours: ours.cluster_name.clone(),
        });
    }
    if ours.instance == theirs.instance {
        return Err(Refusal::Itself);
    }
    check_cluster(side, ours, theirs)?;
    check_node(side, ours, theirs, known)?;
    Ok(protocol)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// A blank node may only ask to join. It answers nobody: one that answered Raft would lend a
/// vote which it may have given before its disk was wiped (J4).
fn check_cluster(side: Side, ours: &Hello, theirs: &Hello) -> Result<(), Refusal> {
    let joining = theirs.purpose == Purpose::Join;
    match (ours.cluster_id, theirs.cluster_id) {
        (Some(ours), Some(their_id)) if ours != their_id => {
            Err(Refusal::OtherCluster { node: theirs.node_name.clone(), theirs: their_id, ours })
        }
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) if joining && side == Side::Acceptor => Ok(()),
        (Some(_), None) => Err(Refusal::NotAMember { node: theirs.node_name.clone() }),
        (None, Some(_)) if joining && side == Side::Dialler => Ok(()),
        (None, _) => Err(Refusal::NotReady),
    }
}

fn check_node(side: Side, ours: &Hello, theirs: &Hello, known: Known) -> Result<(), Refusal> {
    let (node, id) = (theirs.node_name.clone(), theirs.node_id);
    // A blank node may come back under the number of a removed one; the owner decides.
    let blank =
        side == Side::Acceptor && theirs.purpose == Purpose::Join && theirs.cluster_id.is_none();
    if id == NodeId::UNASSIGNED {
        return if blank { Ok(()) } else { Err(Refusal::NotAMember { node }) };
    }
    if id == ours.node_id {
        return Err(Refusal::SameNodeId { node, id });
    }
    match known {
        Known::Member(instance) if instance != theirs.instance => {
            Err(Refusal::ReusedNodeId { node, id, known: instance, presented: theirs.instance })
        }
        Known::Removed if !blank => Err(Refusal::Removed { node, id }),
        Known::Removed | Known::Member(_) | Known::Unknown => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(node: u64, cluster: Option<u8>, purpose: Purpose) -> Hello {
        let identity = Identity {
            cluster_id: cluster.map(|byte| ClusterId([byte; 16])),
            cluster_name: "east".into(),
            node_id: NodeId(node),
            node_name: format!("n{node}"),
            instance: InstanceId([node as u8; 16]),
            incarnation: 1,
        };
        Hello::new(&identity, purpose, false)
    }

    fn both(a: &Hello, b: &Hello) -> (Result<u16, Refusal>, Result<u16, Refusal>) {
        (check(Side::Dialler, a, b, Known::Unknown), check(Side::Acceptor, b, a, Known::Unknown))
    }

    #[test]
    fn members_of_one_cluster_talk() {
        let (a, b) = (hello(1, Some(7), Purpose::Raft), hello(2, Some(7), Purpose::Raft));
        assert_eq!(both(&a, &b), (Ok(1), Ok(1)));
    }

    #[test]
    fn nodes_of_two_clusters_of_one_name_refuse_each_other_on_both_sides() {
        let (a, b) = (hello(1, Some(7), Purpose::Raft), hello(2, Some(8), Purpose::Raft));
        let (at_dialler, at_acceptor) = both(&a, &b);
        assert!(matches!(at_dialler, Err(Refusal::OtherCluster { .. })));
        assert!(matches!(at_acceptor, Err(Refusal::OtherCluster { .. })));
    }

    #[test]
    fn another_cluster_name_is_refused() {
        let a = hello(1, Some(7), Purpose::Raft);
        let b = Hello { cluster_name: "west".into(), ..hello(2, Some(7), Purpose::Raft) };
        assert!(matches!(both(&a, &b).0, Err(Refusal::OtherClusterName { .. })));
    }

    #[test]
    fn a_blank_node_may_ask_to_join_and_nothing_else() {
        let member = |purpose| hello(2, Some(7), purpose);
        assert_eq!(
            both(&hello(0, None, Purpose::Join), &member(Purpose::Join)),
            (Ok(1), Ok(1)),
            "no number is needed to join"
        );
        let blank = hello(1, None, Purpose::Raft);
        let (at_dialler, at_acceptor) = both(&blank, &member(Purpose::Raft));
        assert_eq!(at_dialler, Err(Refusal::NotReady));
        assert!(matches!(at_acceptor, Err(Refusal::NotAMember { .. })));
    }

    #[test]
    fn a_blank_node_answers_nobody() {
        for purpose in [Purpose::Raft, Purpose::Query, Purpose::Wire(0), Purpose::Join] {
            let (at_dialler, at_acceptor) =
                both(&hello(1, Some(7), purpose), &hello(2, None, purpose));
            assert!(matches!(at_dialler, Err(Refusal::NotAMember { .. })));
            assert_eq!(at_acceptor, Err(Refusal::NotReady));
        }
        let (a, b) = (hello(0, None, Purpose::Join), hello(2, None, Purpose::Join));
        assert_eq!(both(&a, &b), (Err(Refusal::NotReady), Err(Refusal::NotReady)));
    }

    #[test]
    fn a_wiped_node_that_uses_its_id_again_is_refused_until_the_old_member_is_gone() {
        let (ours, theirs) = (hello(1, Some(7), Purpose::Join), hello(2, None, Purpose::Join));
        let old = Known::Member(InstanceId([99; 16]));
        let refused = check(Side::Acceptor, &ours, &theirs, old);
        assert!(matches!(refused, Err(Refusal::ReusedNodeId { .. })));
        assert_eq!(check(Side::Acceptor, &ours, &theirs, Known::Removed), Ok(1));
        let same = Known::Member(theirs.instance);
        assert_eq!(check(Side::Acceptor, &ours, &theirs, same), Ok(1));
    }

    #[test]
    fn a_removed_member_is_told_so() {
        let (ours, theirs) = (hello(1, Some(7), Purpose::Raft), hello(2, Some(7), Purpose::Raft));
        let refused = check(Side::Acceptor, &ours, &theirs, Known::Removed);
        assert!(matches!(refused, Err(Refusal::Removed { .. })));
    }

    #[test]
    fn a_node_that_dials_itself_or_its_own_number_is_told_so() {
        let a = hello(1, Some(7), Purpose::Raft);
        assert_eq!(both(&a, &a).0, Err(Refusal::Itself));
        let twin = Hello { instance: InstanceId([9; 16]), ..a.clone() };
        assert!(matches!(both(&a, &twin).1, Err(Refusal::SameNodeId { .. })));
    }

    #[test]
    fn dev_and_real_nodes_do_not_mix() {
        let a = hello(1, Some(7), Purpose::Raft);
        let b = Hello { dev: true, ..hello(2, Some(7), Purpose::Raft) };
        assert_eq!(both(&a, &b), (Err(Refusal::DevMismatch), Err(Refusal::DevMismatch)));
    }

    #[test]
    fn names_that_could_forge_log_lines_are_refused() {
        let ours = hello(1, Some(7), Purpose::Raft);
        for name in ["", "n2\nERROR", "\u{1b}[31m", &"n".repeat(256)] {
            let theirs = Hello { node_name: name.to_owned(), ..hello(2, Some(7), Purpose::Raft) };
            assert_eq!(both(&ours, &theirs).0, Err(Refusal::BadName));
        }
    }

    #[test]
    fn the_newest_common_protocol_is_spoken() {
        let spoken = |oldest, newest| Hello {
            protocol_oldest: oldest,
            protocol_version: newest,
            ..hello(2, Some(7), Purpose::Raft)
        };
        let ours =
            Hello { protocol_oldest: 2, protocol_version: 3, ..hello(1, Some(7), Purpose::Raft) };
        assert_eq!(both(&ours, &spoken(1, 2)), (Ok(2), Ok(2)));
        assert_eq!(both(&ours, &spoken(3, 5)), (Ok(3), Ok(3)));
        assert!(matches!(both(&ours, &spoken(1, 1)).0, Err(Refusal::ProtocolVersion { .. })));
        assert!(matches!(both(&ours, &spoken(4, 5)).1, Err(Refusal::ProtocolVersion { .. })));
    }
}
