//! One node: it founds a cluster, keeps what it acknowledged, and comes back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::{Site, holds, join, put_once, ready, route, setting, value};
use spanmq_raft::{Formation, IdentityError, Phase, ProposeError, RaftNode, Role, StartError};
use spanmq_state::{Reply, command::ClusterReply, view::Targets};

#[tokio::test]
async fn a_new_node_serves_proposals_and_reads() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    let replies = put_once(&node, "a.b", "1").await.unwrap();
    assert!(matches!(replies[..], [Reply::Cluster(ClusterReply::Done { .. })]));
    assert_eq!(value(&node, "a.b").as_deref(), Some("1"));
    assert!(node.read_barrier().await.is_ok());
    let status = node.status();
    assert_eq!(
        (status.role, status.leader, status.failures_tolerated),
        (Role::Leader, Some(node.id()), 0)
    );
    holds("the node announces itself", || node.state().cluster().member(node.id()).is_some()).await;
    holds("it holds its own lease", || node.lease_held()).await;
    node.shutdown().await;
    assert_eq!(put_once(&node, "a.b", "2").await, Err(ProposeError::Stopping));
}

#[tokio::test]
async fn a_route_is_in_the_view_when_its_proposal_resolves() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    node.propose_visible(route(&node, "a/+")).await.unwrap();
    let (mut reader, mut targets) = (node.reader(), Targets::default());
    assert!(reader.targets("a/b", &mut targets));
    assert_eq!(targets.nodes, [node.id()]);
}

#[tokio::test]
async fn many_callers_share_entries_and_each_gets_its_own_replies() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    let before = node.status().applied.unwrap();
    let calls: Vec<_> = (0..500)
        .map(|n| {
            let node = node.clone();
            let commands = vec![setting(&format!("k.{n}"), "1"), setting(&format!("k.{n}"), "1")];
            tokio::spawn(async move { node.propose(commands).await })
        })
        .collect();
    for call in calls {
        let replies = call.await.unwrap().unwrap();
        let done = matches!(replies[0], Reply::Cluster(ClusterReply::Done { .. }));
        assert!(done && replies[1] == Reply::Cluster(ClusterReply::Unchanged), "{replies:?}");
    }
    assert!(node.status().applied.unwrap() - before < 400, "entries are shared");
}

#[tokio::test]
async fn a_proposal_that_is_too_long_is_refused_and_the_next_one_is_not() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    let refused = put_once(&node, "a.b", &"x".repeat(9 << 20)).await;
    assert!(matches!(refused, Err(ProposeError::TooLarge { .. })));
    put_once(&node, "a.b", "1").await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_each_of_many_power_cuts() {
    let site = Site::new("n1");
    let mut node = site.init();
    ready(&[&node]).await;
    for round in 0..10 {
        put_once(&node, "round", &round.to_string()).await.unwrap();
        drop(node);
        // The same flags as at first are harmless (J6).
        node = site.restart(Formation::Init).await;
        ready(&[&node]).await;
        assert_eq!(value(&node, "round"), Some(round.to_string()));
    }
    assert_eq!(node.incarnation(), 11);
}

#[tokio::test]
async fn snapshots_are_taken_and_a_restart_begins_with_one() {
    let site = Site::tuned("n1", |options| options.snapshot_after = 20);
    let node = site.init();
    ready(&[&node]).await;
    for n in 0..100 {
        put_once(&node, "n", &n.to_string()).await.unwrap();
    }
    holds("the log is purged", || node.status().purged.is_some_and(|index| index > 20)).await;
    let digest = node.status().digest;
    node.shutdown().await;
    drop(node);
    let node = site.restart(Formation::Wait).await;
    ready(&[&node]).await;
    assert_eq!(value(&node, "n").as_deref(), Some("99"));
    holds("the same state again", || {
        node.state().cluster().member(node.id()).is_some() || node.status().digest == digest
    })
    .await;
}

#[tokio::test]
async fn a_restarted_node_serves_quickly() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    put_once(&node, "a", "1").await.unwrap();
    node.shutdown().await;
    drop(node);
    let began = Instant::now();
    let node = site.restart(Formation::Wait).await;
    ready(&[&node]).await;
    // The aim is 150 ms; here only that no election time-out is waited for.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_node_that_waits_founds_its_cluster_once() {
    let site = Site::new("n1");
    let node = site.start(Formation::Wait);
    holds("it waits", || *node.phase().borrow() == Phase::Waiting).await;
    assert_eq!(put_once(&node, "a", "1").await, Err(ProposeError::NotAMember));
    node.init_cluster().await.unwrap();
    ready(&[&node]).await;
    put_once(&node, "a", "1").await.unwrap();
    let refused = node.init_cluster().await.unwrap_err().to_string();
    assert!(refused.contains("belongs to cluster"), "{refused}");
}

#[tokio::test]
async fn a_single_node_may_move_to_another_address() {
    let mut site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    node.shutdown().await;
    drop(node);
    site.port = common::free_port();
    let node = site.restart(Formation::Wait).await;
    ready(&[&node]).await;
    let addr = node.cluster_addr();
    holds("the membership follows", || node.status().members[0].addr == addr).await;
    put_once(&node, "a", "1").await.unwrap();
}

#[tokio::test]
async fn a_directory_is_not_used_by_two_nodes_nor_under_another_name() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    let refused = RaftNode::start(site.options(Formation::Init)).err().unwrap();
    assert!(matches!(refused, StartError::Identity(IdentityError::InUse(_))), "{refused}");
    node.shutdown().await;
    drop(node);
    let mut other = site.options(Formation::Init);
    other.node_name = "n9@test".into();
    common::eventually("the lock is free", async || {
        let refused = RaftNode::start(other.clone()).err().unwrap();
        matches!(refused, StartError::Identity(IdentityError::WrongName { .. })).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_member_that_lost_its_raft_data_does_not_start() {
    let site = Site::new("n1");
    let node = site.init();
    ready(&[&node]).await;
    node.shutdown().await;
    drop(node);
    std::fs::remove_dir_all(site.data_dir().join("raft")).unwrap();
    common::eventually("the lock is free", async || {
        let refused = RaftNode::start(site.options(Formation::Init)).err().unwrap();
        matches!(refused, StartError::Identity(IdentityError::RaftDataGone { .. })).then_some(())
    })
    .await;
}

#[tokio::test]
async fn joining_nobody_fails_in_time_and_changes_nothing() {
    let site = Site::new("n1");
    let formation = Formation::Join {
        seeds: vec!["127.0.0.1:1".into()],
        token: None,
        timeout: Some(Duration::from_millis(500)),
    };
    let node = site.start(formation);
    let reason = node.ready().await.unwrap_err();
    assert!(reason.contains("no member let this node in"), "{reason}");
    drop(node);
    let node = site.restart(Formation::Init).await;
    ready(&[&node]).await;
    let _ = join(&[&node]);
}
