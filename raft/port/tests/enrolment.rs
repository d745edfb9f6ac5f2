//! Join tokens: the right one gets a node in, others do not; certificate files and renewal.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use common::*;
use spanmq_port::{
    CaError, Credentials, DialMap, EnrolError, JoinToken, PortTuning, Security, enrol,
};
use time::OffsetDateTime;

struct First {
    _dir: tempfile::TempDir,
    credentials: Arc<Credentials>,
    node: Node,
}

async fn first() -> First {
    let dir = tempfile::tempdir().unwrap();
    let credentials = Credentials::init(&dir.path().join("tls"), "east", "n1").unwrap();
    let security = Security::Tls(Arc::clone(&credentials));
    let node = start(NodeOptions { security, ..options(1) }).await;
    First { _dir: dir, credentials, node }
}

struct Joiner {
    _dir: tempfile::TempDir,
    tls: PathBuf,
}

impl Joiner {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tls = dir.path().join("tls");
        Self { _dir: dir, tls }
    }

    async fn enrol(&self, at: &Node, token: &JoinToken) -> Result<Arc<Credentials>, EnrolError> {
        let (map, tuning) = (DialMap::default(), PortTuning::default());
        enrol(&at.address(), &map, token, "n2", &self.tls, &tuning).await
    }
}

/// A chain of causes as one text.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", told(cause)))
}

#[tokio::test]
async fn the_right_token_makes_a_member_that_can_enrol_others() {
    let first = first().await;
    let token = first.credentials.token(None).unwrap();
    let (second, third) = (Joiner::new(), Joiner::new());
    let credentials = second.enrol(&first.node, &token).await.unwrap();
    assert_eq!(credentials.fingerprint(), first.credentials.fingerprint());
    let loaded = Credentials::load(&second.tls).unwrap().unwrap();
    let b = start(NodeOptions { security: Security::Tls(loaded), ..options(2) }).await;
    let peer = first.node.knows(&b);
    up(&peer).await;
    assert!(peer.raft(ECHO, Bytes::from_static(b"x"), PATIENCE).await.is_ok());
    up(&b.knows(&first.node)).await;

    // A token that the first node printed is good at the second, and one of the second's too.
    third.enrol(&b, &token).await.unwrap();
    let seconds = credentials.token(Some(Duration::from_secs(3_600))).unwrap();
    Joiner::new().enrol(&first.node, &seconds).await.unwrap();
    assert_eq!(first.node.context.counters().snapshot().enrolled, 2);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_counted_and_leaves_nothing_behind() {
    let (first, other) = (first().await, first().await);
    let right = first.credentials.token(None).unwrap();
    let mut wrong = other.credentials.token(None).unwrap();
    wrong.fingerprint = right.fingerprint;
    let joiner = Joiner::new();
    let refused = joiner.enrol(&first.node, &wrong).await.unwrap_err();
    assert!(told(&refused).contains("print a new one"), "{}", told(&refused));
    assert!(!joiner.tls.exists());
    eventually(|| first.node.context.counters().snapshot().enrol_refused == 1).await;
    joiner.enrol(&first.node, &right).await.unwrap();
}

#[tokio::test]
async fn a_token_whose_expiry_was_changed_is_worth_nothing() {
    let first = first().await;
    let token = first.credentials.token(Some(Duration::from_secs(60))).unwrap();
    let mut forever = token;
    forever.expires_unix_s = 0;
    let refused = Joiner::new().enrol(&first.node, &forever).await.unwrap_err();
    assert!(told(&refused).contains("was changed"), "{}", told(&refused));
}

#[tokio::test]
async fn a_token_of_another_cluster_is_noticed_by_the_joiner() {
    let (first, other) = (first().await, first().await);
    let token = other.credentials.token(None).unwrap();
    let refused = Joiner::new().enrol(&first.node, &token).await.unwrap_err();
    assert!(matches!(refused, EnrolError::WrongCluster { .. }), "{refused:?}");
    assert!(refused.to_string().contains("does not belong to the cluster that made this"));
}

#[tokio::test]
async fn an_enrolled_directory_is_not_written_again() {
    let first = first().await;
    let token = first.credentials.token(None).unwrap();
    let joiner = Joiner::new();
    joiner.enrol(&first.node, &token).await.unwrap();
    let before = std::fs::read(joiner.tls.join("node.pem")).unwrap();
    let again = joiner.enrol(&first.node, &token).await;
    assert!(matches!(again, Err(EnrolError::Store(CaError::Exists { .. }))));
    assert_eq!(std::fs::read(joiner.tls.join("node.pem")).unwrap(), before);
}

#[test]
fn init_writes_private_files_once() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    assert!(Credentials::load(&tls).unwrap().is_none());
    let made = Credentials::init(&tls, "east", "n1").unwrap();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&tls), 0o700);
    for file in ["cluster-ca.pem", "cluster-ca.key", "node.pem"] {
        assert_eq!(mode(&tls.join(file)), 0o600, "{file}");
    }
    assert!(matches!(Credentials::init(&tls, "east", "n1"), Err(CaError::Exists { .. })));
    let loaded = Credentials::load(&tls).unwrap().unwrap();
    assert_eq!(loaded.fingerprint(), made.fingerprint());
    assert!(!format!("{loaded:?}").contains("PRIVATE"));
}

#[test]
fn a_crash_before_the_last_step_of_init_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tls.new")).unwrap();
    std::fs::write(dir.path().join("tls.new/cluster-ca.key"), "half").unwrap();
    Credentials::init(&dir.path().join("tls"), "east", "n1").unwrap();
    assert!(!dir.path().join("tls.new").exists());
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    Credentials::init(&tls, "east", "n1").unwrap();
    std::fs::remove_file(tls.join("cluster-ca.key")).unwrap();
    let missing = Credentials::load(&tls).unwrap_err();
    assert!(missing.to_string().contains("cluster-ca.key is missing"), "{missing}");
    std::fs::write(tls.join("cluster-ca.key"), "rubbish").unwrap();
    assert!(Credentials::load(&tls).is_err());
}

#[tokio::test]
async fn a_certificate_is_renewed_in_its_last_third() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    let old = Credentials::init(&tls, "east", "n1").unwrap();
    let days = |days| OffsetDateTime::now_utc() + time::Duration::days(days);
    assert!(old.renew_if_due(&tls, "n1", days(200)).unwrap().is_none());
    let new = old.renew_if_due(&tls, "n1", days(300)).unwrap().unwrap();
    assert!(new.not_after() > old.not_after());
    assert_eq!(new.fingerprint(), old.fingerprint());
    let loaded = Credentials::load(&tls).unwrap().unwrap();
    assert_eq!(loaded.not_after(), new.not_after());
    assert!(!loaded.renewal_is_due(days(300)));
}

#[tokio::test]
async fn new_connections_use_the_renewed_certificate_and_standing_ones_stay() {
    let first = first().await;
    let token = first.credentials.token(None).unwrap();
    let second = Joiner::new().enrol(&first.node, &token).await.unwrap();
    let b = start(NodeOptions { security: Security::Tls(second), ..options(2) }).await;
    let peer = b.knows(&first.node);
    up(&peer).await;
    let renewed = Joiner::new().enrol(&first.node, &token).await.unwrap();
    b.context.replace_security(Security::Tls(renewed));
    assert!(peer.raft(ECHO, Bytes::new(), PATIENCE).await.is_ok());
    assert_eq!(peer.counters().snapshot().reconnects, 0);
    soon(peer.wire(0).connect()).await.unwrap();
}
