//! Three nodes: they form, agree, lose leaders, catch up, shrink (CHAOS §8, J and R scenarios at
//! the level of this crate).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{
    Site, agree, eventually, holds, join, put, put_once, ready, route, setting, three, value,
    voters,
};
use spanmq_raft::{Formation, Phase, PortSecurity, ProposeError, RaftNode, Role};
use spanmq_state::view::Targets;

fn sites() -> [Site; 3] {
    [Site::new("n1"), Site::new("n2"), Site::new("n3")]
}

fn leader_of(nodes: &[RaftNode]) -> Option<usize> {
    nodes.iter().position(|node| node.status().role == Role::Leader)
}

#[tokio::test]
async fn three_nodes_form_and_every_one_of_them_takes_proposals() {
    let sites = sites();
    let nodes = three(&sites).await;
    for (n, node) in nodes.iter().enumerate() {
        put(node, &format!("from.{n}"), "1").await;
        assert_eq!(value(node, &format!("from.{n}")).as_deref(), Some("1"), "applied here");
    }
    for node in &nodes {
        node.read_barrier().await.unwrap();
        assert_eq!(value(node, "from.2").as_deref(), Some("1"), "after a barrier everywhere");
    }
    agree(&nodes.each_ref()).await;
    assert_eq!(nodes[0].status().failures_tolerated, 1);
}

#[tokio::test]
async fn a_subscription_that_is_visible_is_in_the_view_of_every_node_with_a_lease() {
    let sites = sites();
    let nodes = three(&sites).await;
    holds("all hold leases", || nodes.iter().all(RaftNode::lease_held)).await;
    for n in 0..20 {
        let filter = format!("v/{n}");
        nodes[n % 3].propose_visible(route(&nodes[n % 3], &filter)).await.unwrap();
        for node in &nodes {
            let (mut reader, mut targets) = (node.reader(), Targets::default());
            assert!(reader.targets(&filter, &mut targets));
            // Looked at after matching, as a publisher does.
            assert!(!targets.is_empty() || !node.lease_held(), "round {n}");
        }
    }
}

#[tokio::test]
async fn when_the_leader_dies_another_takes_over_and_nothing_is_lost() {
    let sites = sites();
    let mut nodes = Vec::from(three(&sites).await);
    put(&nodes[1], "before", "1").await;
    let dead = leader_of(&nodes).unwrap();
    drop(nodes.remove(dead));
    eventually("another leads", async || leader_of(&nodes)).await;
    put(&nodes[0], "after", "1").await;
    put(&nodes[1], "after", "2").await;
    assert_eq!(value(&nodes[1], "before").as_deref(), Some("1"));
    let back = sites[dead].restart(Formation::Wait).await;
    ready(&[&back]).await;
    assert_eq!(value(&back, "after").as_deref(), Some("2"));
    agree(&[&nodes[0], &nodes[1], &back]).await;
}

#[tokio::test]
async fn the_routes_of_a_dead_member_go_and_those_of_the_living_stay() {
    let sites = sites()
        .map(|site| Site { tune: |options| options.lease = Duration::from_millis(1_500), ..site });
    let mut nodes = Vec::from(three(&sites).await);
    for (n, node) in nodes.iter().enumerate() {
        node.propose_visible(route(node, &format!("of/{n}"))).await.unwrap();
    }
    let dead = (leader_of(&nodes).unwrap() + 1) % 3;
    drop(nodes.remove(dead));
    let wanted = |n: usize| {
        let (mut reader, mut targets) = (nodes[0].reader(), Targets::default());
        reader.targets(&format!("of/{n}"), &mut targets) && !targets.is_empty()
    };
    holds("its routes go", || !wanted(dead)).await;
    assert!((0..3).filter(|n| *n != dead).all(wanted));
}

#[tokio::test]
async fn without_a_quorum_proposals_fail_in_time_and_reads_are_not_called_fresh() {
    let sites = sites().map(|site| Site {
        tune: |options| options.propose_timeout = Duration::from_millis(800),
        ..site
    });
    let mut nodes = Vec::from(three(&sites).await);
    put(&nodes[0], "a", "1").await;
    let alone = nodes.pop().unwrap();
    alone.read_barrier().await.unwrap();
    nodes.clear();
    eventually("it notices", async || {
        let refused = put_once(&alone, "a", "2").await.err()?;
        matches!(refused, ProposeError::NoQuorum).then_some(())
    })
    .await;
    assert_eq!(alone.read_barrier().await, Err(ProposeError::NoQuorum));
    assert_eq!(value(&alone, "a").as_deref(), Some("1"), "what it has stays readable");
    holds("its lease ends", || !alone.lease_held()).await;
}

#[tokio::test]
async fn a_straggler_gets_a_snapshot_and_catches_up_without_new_writes() {
    let sites = sites().map(|site| Site { tune: |options| options.snapshot_after = 30, ..site });
    let [first, second, third] = three(&sites).await;
    third.shutdown().await;
    drop(third);
    for n in 0..150 {
        put(&first, "n", &n.to_string()).await;
    }
    // Twice the snapshot distance behind is what openraft sends a snapshot for.
    holds("the log is purged", || first.status().purged.is_some_and(|index| index > 60)).await;
    holds("on both", || second.status().purged.is_some_and(|index| index > 60)).await;
    let third = sites[2].restart(Formation::Wait).await;
    holds("it catches up", || value(&third, "n").as_deref() == Some("149")).await;
    assert!(third.status().snapshot.is_some());
    agree(&[&first, &second, &third]).await;
}

#[tokio::test]
async fn all_nodes_restarted_at_once_serve_again() {
    let sites = sites();
    let nodes = three(&sites).await;
    put(&nodes[2], "a", "1").await;
    drop(nodes);
    let mut back = Vec::new();
    for site in &sites {
        back.push(site.restart(Formation::Wait).await);
    }
    ready(&back.iter().collect::<Vec<_>>()).await;
    put(&back[1], "a", "2").await;
    agree(&back.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_member_that_comes_back_under_another_address_is_found_again() {
    let mut sites = sites();
    let [first, second, third] = three(&sites).await;
    third.shutdown().await;
    drop(third);
    sites[2].port = common::free_port();
    let third = sites[2].restart(Formation::Wait).await;
    ready(&[&third]).await;
    put(&third, "a", "1").await;
    agree(&[&first, &second, &third]).await;
}

#[tokio::test]
async fn a_wiped_node_is_refused_until_the_old_member_is_removed() {
    let sites = sites();
    let [first, second, third] = three(&sites).await;
    let old = third.id();
    third.shutdown().await;
    drop(third);
    eventually("the directory can be emptied", async || {
        std::fs::remove_dir_all(sites[2].data_dir()).ok()
    })
    .await;
    let wiped = sites[2].join(&[&first]);
    let reason = tokio::time::timeout(common::PATIENCE, wiped.ready()).await.unwrap().unwrap_err();
    assert!(reason.contains("belongs to member") && reason.contains("remove"), "{reason}");
    assert_eq!(first.status().members.len(), 3, "nothing changed");
    drop(wiped);
    second.remove(old).await.unwrap();
    let again = sites[2].restart(join(&[&second])).await;
    ready(&[&again]).await;
    voters(&first, 3).await;
    put(&again, "a", "1").await;
    agree(&[&first, &second, &again]).await;
}

#[tokio::test]
async fn joining_through_a_node_that_is_cut_off_fails_in_time_and_changes_nothing() {
    let sites = sites().map(|site| Site {
        tune: |options| options.propose_timeout = Duration::from_millis(700),
        ..site
    });
    let mut nodes = Vec::from(three(&sites).await);
    let alone = nodes.remove(0);
    nodes.clear();
    let newcomer = Site::new("n4");
    let formation = Formation::Join {
        seeds: vec![alone.cluster_addr()],
        token: None,
        timeout: Some(Duration::from_secs(2)),
    };
    let node = newcomer.start(formation);
    let reason = tokio::time::timeout(common::PATIENCE, node.ready()).await.unwrap().unwrap_err();
    assert!(reason.contains("no leader with a quorum"), "{reason}");
    assert_eq!(alone.status().members.len(), 3);
    assert_eq!(node.status().cluster_id, None);
}

#[tokio::test]
async fn nodes_with_equal_join_flags_wait_until_one_is_told_to_found_the_cluster() {
    let sites = sites();
    let seeds: Vec<String> = sites.iter().map(|site| format!("127.0.0.1:{}", site.port)).collect();
    let formation = || Formation::Join { seeds: seeds.clone(), token: None, timeout: None };
    let nodes: Vec<RaftNode> = sites.iter().map(|site| site.start(formation())).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(nodes.iter().all(|node| *node.phase().borrow() == Phase::Joining));
    nodes[0].init_cluster().await.unwrap();
    ready(&nodes.iter().collect::<Vec<_>>()).await;
    voters(&nodes[0], 3).await;
    let id = nodes[0].status().cluster_id;
    assert!(nodes.iter().all(|node| node.status().cluster_id == id));
    // The first one, wiped and restarted with the same flags, is refused; it founds nothing.
    let mut nodes = nodes;
    let first = nodes.remove(0);
    first.shutdown().await;
    drop(first);
    eventually("the directory can be emptied", async || {
        std::fs::remove_dir_all(sites[0].data_dir()).ok()
    })
    .await;
    let wiped = sites[0].start(formation());
    let reason = tokio::time::timeout(common::PATIENCE, wiped.ready()).await.unwrap().unwrap_err();
    assert!(reason.contains("belongs to member"), "{reason}");
    assert_eq!(wiped.status().cluster_id, None);
}

#[tokio::test]
async fn a_member_joins_while_the_log_is_purged_and_snapshots_are_sent() {
    let sites = sites().map(|site| Site { tune: |options| options.snapshot_after = 10, ..site });
    let first = sites[0].init();
    ready(&[&first]).await;
    for n in 0..100 {
        put(&first, &format!("k.{n}"), "1").await;
    }
    let second = sites[1].join(&[&first]);
    let third = sites[2].join(&[&first]);
    let writing = async {
        for n in 0..100 {
            put(&first, "w", &n.to_string()).await;
        }
    };
    let joining = [&second, &third];
    tokio::join!(writing, ready(&joining));
    voters(&first, 3).await;
    agree(&[&first, &second, &third]).await;
    assert_eq!(value(&third, "w").as_deref(), Some("99"));
}

#[tokio::test]
async fn a_node_with_a_damaged_log_does_not_start_and_the_others_go_on() {
    let sites = sites();
    let [first, second, third] = three(&sites).await;
    for n in 0..20 {
        put(&first, "n", &n.to_string()).await;
    }
    third.read_barrier().await.unwrap();
    third.shutdown().await;
    drop(third);
    let segment = sites[2].data_dir().join("raft/log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    eventually("it is refused", async || {
        let refused = RaftNode::start(sites[2].options(Formation::Wait)).err()?;
        let cause = std::error::Error::source(&refused)?.to_string();
        assert!(cause.contains("damaged at offset") && cause.contains("spanmq repair"), "{cause}");
        Some(())
    })
    .await;
    put(&second, "n", "on").await;
}

#[tokio::test]
async fn two_clusters_of_one_name_stay_two() {
    let (one, other) = (Site::new("n1"), Site::new("n2"));
    let first = one.init();
    let second = other.init();
    ready(&[&first, &second]).await;
    let seeds = join(&[&first]);
    let ids = (first.status().cluster_id, second.status().cluster_id);
    second.shutdown().await;
    drop(second);
    let second = other.restart(seeds).await;
    ready(&[&second]).await;
    assert_eq!((first.status().cluster_id, second.status().cluster_id), ids, "--join is ignored");
    assert_eq!(first.status().members.len(), 1);
    assert_eq!(second.status().members.len(), 1);
}

#[tokio::test]
async fn members_leave_one_after_the_other_also_the_leader() {
    let sites = sites();
    let mut nodes = Vec::from(three(&sites).await);
    put(&nodes[0], "a", "1").await;
    for left in [2, 1] {
        let leader = eventually("a leader", async || leader_of(&nodes)).await;
        let gone = nodes.remove(leader);
        eventually("it may leave", async || gone.leave().await.ok()).await;
        assert_eq!(*gone.phase().borrow(), Phase::Removed);
        eventually("it is gone", async || {
            (nodes[0].status().members.len() == left && leader_of(&nodes).is_some()).then_some(())
        })
        .await;
        put(&nodes[0], "a", &left.to_string()).await;
    }
    let refused = nodes[0].leave().await.unwrap_err().to_string();
    assert!(refused.contains("only member that votes"), "{refused}");
}

#[tokio::test]
async fn a_removed_node_does_not_come_back_by_itself() {
    let sites = sites();
    let [first, second, third] = three(&sites).await;
    first.remove(third.id()).await.unwrap();
    first.remove(third.id()).await.unwrap();
    voters(&second, 2).await;
    assert!(second.status().two_voters);
    holds("it is told", || *third.phase().borrow() == Phase::Removed).await;
    drop(third);
    eventually("it does not start", async || {
        let refused = RaftNode::start(sites[2].options(Formation::Wait)).err()?.to_string();
        refused.contains("has left its cluster").then_some(())
    })
    .await;
}

#[tokio::test]
async fn leadership_is_handed_over_on_request() {
    let sites = sites();
    let nodes = three(&sites).await;
    let target = nodes[2].id();
    nodes[1].transfer_leader(Some(target)).await.unwrap();
    holds("the other leads", || nodes[0].status().leader == Some(target)).await;
    put(&nodes[0], "a", "1").await;
}

#[tokio::test]
async fn members_above_the_limit_learn_and_do_not_vote() {
    let tune = |options: &mut spanmq_raft::RaftOptions| options.voters_max = 1;
    let sites = [Site::tuned("n1", tune), Site::tuned("n2", tune)];
    let first = sites[0].init();
    ready(&[&first]).await;
    let second = sites[1].join(&[&first]);
    ready(&[&second]).await;
    put(&second, "a", "1").await;
    agree(&[&first, &second]).await;
    assert_eq!(second.status().role, Role::Learner);
}

#[tokio::test]
async fn nodes_answer_each_others_queries() {
    let sites = sites();
    let nodes = three(&sites).await;
    for node in &nodes {
        let id = node.id();
        node.peers().on_query(256, move |from, body: Bytes| async move {
            Ok(format!("{id} to {from}: {}", String::from_utf8_lossy(&body)).into())
        });
    }
    let (asker, asked) = (&nodes[0], &nodes[1]);
    let answer = eventually("an answer", async || {
        let limit = Duration::from_secs(5);
        asker.peers().query(asked.id(), 256, Bytes::from_static(b"hi"), limit).await.ok()
    })
    .await;
    assert_eq!(answer, format!("{} to {}: hi", asked.id(), asker.id()));
    let unknown = asker.peers().query(asked.id(), 999, Bytes::new(), Duration::from_secs(5)).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn with_tls_a_token_lets_a_node_in_and_a_node_without_one_stays_out() {
    let tune = |options: &mut spanmq_raft::RaftOptions| options.security = PortSecurity::ClusterCa;
    let sites = [Site::tuned("n1", tune), Site::tuned("n2", tune), Site::tuned("n3", tune)];
    let first = sites[0].init();
    ready(&[&first]).await;
    let token = first.join_token(None).unwrap();
    let with_token = |token| Formation::Join {
        seeds: vec![first.cluster_addr()],
        token,
        timeout: Some(common::PATIENCE),
    };
    let second = sites[1].start(with_token(Some(token)));
    ready(&[&second]).await;
    put(&second, "a", "1").await;
    agree(&[&first, &second]).await;
    let stranger = sites[2].start(with_token(None));
    let reason = stranger.ready().await.unwrap_err();
    assert!(reason.contains("join token is needed"), "{reason}");
    second.shutdown().await;
    drop(second);
    let second = sites[1].restart(Formation::Wait).await;
    ready(&[&second]).await;
    put(&second, "a", "2").await;
    let _ = setting("unused", "1");
}
