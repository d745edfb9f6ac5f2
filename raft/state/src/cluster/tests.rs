use super::*;
use crate::types::Incarnation;

fn member(id: NodeId, name: &str, disk_id: u128, incarnation: Incarnation) -> Member {
    Member {
        id,
        name: name.into(),
        disk_id,
        incarnation,
        cluster_addr: "h:1".into(),
        api_addr: "h:2".into(),
        mqtt_addrs: vec!["mqtt://h:3".into()],
        version: "0.1.0".into(),
        features: 1,
    }
}

fn apply(cluster: &mut Cluster, index: u64, command: ClusterCommand) -> ClusterReply {
    cluster.apply(index, &command, &mut Changes::default())
}

#[test]
fn a_cluster_is_founded_once_chaos_j2() {
    let mut c = Cluster::default();
    let found = |id| ClusterCommand::Found { cluster_id: id, name: "us-east".into() };
    assert_eq!(apply(&mut c, 1, found(7)), ClusterReply::Done { revision: 1 });
    assert_eq!(apply(&mut c, 2, found(8)), ClusterReply::AlreadyFounded { cluster_id: 7 });
    assert_eq!(c.identity().unwrap().cluster_id, 7);
}

#[test]
fn a_wiped_disk_with_a_known_id_is_refused_until_the_member_is_removed_chaos_j4() {
    let mut c = Cluster::default();
    apply(&mut c, 1, ClusterCommand::PutMember(member(1, "a@h", 10, 1)));
    let wiped = || ClusterCommand::PutMember(member(1, "a@h", 11, 2));
    assert_eq!(apply(&mut c, 2, wiped()), ClusterReply::IdTaken);
    apply(&mut c, 3, ClusterCommand::RemoveMember { id: 1 });
    assert_eq!(apply(&mut c, 4, wiped()), ClusterReply::Done { revision: 4 });
}

#[test]
fn names_are_unique_and_older_runs_are_void() {
    let mut c = Cluster::default();
    apply(&mut c, 1, ClusterCommand::PutMember(member(1, "a@h", 10, 5)));
    let twin = ClusterCommand::PutMember(member(2, "a@h", 20, 1));
    assert_eq!(apply(&mut c, 2, twin), ClusterReply::NameTaken { by: 1 });
    let late = ClusterCommand::PutMember(member(1, "a@h", 10, 4));
    assert_eq!(apply(&mut c, 3, late), ClusterReply::StaleIncarnation { stored: 5 });
    let same = ClusterCommand::PutMember(member(1, "a@h", 10, 5));
    assert_eq!(apply(&mut c, 4, same), ClusterReply::Unchanged);
}

#[test]
fn features_rise_only_when_every_member_can_follow() {
    let mut c = Cluster::default();
    apply(&mut c, 1, ClusterCommand::PutMember(member(1, "a@h", 10, 5)));
    let raise = |level| ClusterCommand::RaiseFeatures { level };
    assert_eq!(apply(&mut c, 2, raise(2)), ClusterReply::MemberTooOld { id: 1, features: 1 });
    assert_eq!(apply(&mut c, 3, raise(1)), ClusterReply::Done { revision: 3 });
    let old = ClusterCommand::PutMember(Member { features: 0, ..member(2, "b@h", 20, 1) });
    assert_eq!(apply(&mut c, 4, old), ClusterReply::MemberTooOld { id: 2, features: 0 });
}

#[test]
fn a_setting_has_the_revision_of_its_last_change() {
    let mut c = Cluster::default();
    let put =
        |v: Option<&str>| ClusterCommand::PutSetting { key: "k".into(), value: v.map(Arc::from) };
    assert_eq!(apply(&mut c, 1, put(None)), ClusterReply::NotFound);
    assert_eq!(apply(&mut c, 2, put(Some("1"))), ClusterReply::Done { revision: 2 });
    assert_eq!(apply(&mut c, 3, put(Some("1"))), ClusterReply::Unchanged);
    assert_eq!(c.setting("k").unwrap().revision, 2);
    let digest = c.digest();
    assert_eq!(apply(&mut c, 4, put(Some("2"))), ClusterReply::Done { revision: 4 });
    assert_ne!(c.digest(), digest);
}
