//! The node as the REST API sees it.

use std::sync::Arc;

use super::access::Access;
use bytes::Bytes;
use spanmq_access::{Action, ClientInfo, Decision};
use spanmq_api::AuditLog;
use spanmq_api::ports::{
    BoxFuture, ClusterView, JoinTokenView, MemberView, NoQuorum, Node, NotChanged, NotMade,
};
use spanmq_linking::Linking;
use spanmq_mqtt::BrokerHandle;
use spanmq_raft::{MembershipError, ProposeError, RaftNode};
use spanmq_state::{Applied, Command, NodeId, State};

/// Kind of the API's questions on the query stream.
pub(crate) const QUESTION: u16 = spanmq_raft::APPLICATION_KINDS + 2;

/// What the handlers reach.
pub(crate) struct ApiPort {
    pub(crate) raft: RaftNode,
    pub(crate) linking: Arc<Linking>,
    pub(crate) broker: BrokerHandle,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) name: Arc<str>,
    pub(crate) cluster: Arc<str>,
}

impl Node for ApiPort {
    fn id(&self) -> NodeId {
        self.raft.id()
    }

    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    fn cluster_name(&self) -> Arc<str> {
        self.cluster.clone()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn resident_memory(&self) -> Option<u64> {
        crate::watch::resident_memory()
    }

    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Applied, NotMade>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let proposed = raft.propose_at(commands).await.map_err(|error| match error {
                ProposeError::DiskFull => NotMade::DiskFull,
                ProposeError::Unknown | ProposeError::NotVisible => NotMade::Open,
                _ => NotMade::NoQuorum,
            })?;
            Ok(Applied { index: proposed.index, replies: proposed.replies })
        })
    }

    fn barrier(&self) -> BoxFuture<Result<(), NoQuorum>> {
        let raft = self.raft.clone();
        Box::pin(async move { raft.read_barrier().await.map(|_| ()).map_err(|_| NoQuorum) })
    }

    fn read(&self, look: &mut dyn FnMut(&State)) {
        look(&self.raft.state());
    }

    fn cluster(&self) -> ClusterView {
        let status = self.raft.status();
        let view = |member: &spanmq_raft::MemberStatus| {
            let known = self.raft.state().cluster().member(member.id).cloned();
            let leads = status.leader == Some(member.id);
            MemberView {
                id: member.id,
                name: member.name.as_str().into(),
                running: member.reachable,
                role: match (leads, member.voter) {
                    (true, _) => "leader",
                    (false, true) => "follower",
                    (false, false) => "learner",
                },
                cluster_addr: member.addr.as_str().into(),
                api_addr: known.as_ref().map_or_else(|| "".into(), |known| known.api_addr.clone()),
                version: known.as_ref().map_or_else(|| "".into(), |known| known.version.clone()),
            }
        };
        // A leader that is cut off goes on calling itself one: those that answer are counted.
        let voters = status.members.iter().filter(|member| member.voter);
        let majority = voters.clone().count() / 2 + 1;
        let answering = voters.filter(|member| member.reachable).count();
        let mut members: Vec<MemberView> = status.members.iter().map(view).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        ClusterView {
            members,
            leader: status.leader,
            term: status.term,
            applied: status.applied.unwrap_or(0),
            failures_tolerated: answering.saturating_sub(majority),
            quorum: status.leader.is_some() && answering >= majority,
        }
    }

    fn ask(&self, node: NodeId, question: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let limit = std::time::Duration::from_secs(5);
            let answer = raft.peers().query(node, QUESTION, Bytes::from(question), limit).await;
            answer.ok().map(|bytes| bytes.to_vec())
        })
    }

    fn join_token(&self, valid_s: Option<u64>) -> Result<JoinTokenView, String> {
        let valid_for = valid_s.map(std::time::Duration::from_secs);
        let token = self.raft.join_token(valid_for).map_err(|error| error.to_string())?;
        let expires_unix_s = (token.expires_unix_s > 0).then_some(token.expires_unix_s);
        Ok(JoinTokenView { token: token.reveal(), expires_unix_s })
    }

    fn remove_member(&self, node: NodeId) -> BoxFuture<Result<(), NotChanged>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let own = node == raft.id();
            let removed = if own { raft.leave().await } else { raft.remove(node).await };
            removed.map_err(not_changed)
        })
    }

    fn transfer_leader(&self, to: Option<NodeId>) -> BoxFuture<Result<(), NotChanged>> {
        let raft = self.raft.clone();
        Box::pin(async move { raft.transfer_leader(to).await.map_err(not_changed) })
    }

    fn linking(&self) -> Arc<Linking> {
        self.linking.clone()
    }

    fn broker(&self) -> BrokerHandle {
        self.broker.clone()
    }

    fn check_access(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision {
        self.access.check(client, action, topic)
    }

    #[cfg(feature = "testing")]
    fn debug_state(&self) -> serde_json::Value {
        super::debug::state(&self.raft.status())
    }

    #[cfg(feature = "testing")]
    fn debug_snapshot(&self) -> BoxFuture<Result<(), NoQuorum>> {
        let raft = self.raft.clone();
        Box::pin(async move { raft.snapshot().await.map_err(|_| NoQuorum) })
    }

    fn audit(&self) -> Arc<AuditLog> {
        self.audit.clone()
    }
}

fn not_changed(error: MembershipError) -> NotChanged {
    match error {
        MembershipError::Refused(sentence) => NotChanged::Refused(sentence),
        MembershipError::NoQuorum => NotChanged::NotMade(NotMade::NoQuorum),
        MembershipError::Unknown | MembershipError::Stopping => NotChanged::NotMade(NotMade::Open),
    }
}

/// A checked link as the replicated state takes it.
pub(crate) fn spec(
    link: &spanmq_link_protocol::config::LinkConfig,
) -> spanmq_state::command::LinkSpec {
    use spanmq_link_protocol::config::Reveal;
    spanmq_state::command::LinkSpec {
        name: link.name.as_str().into(),
        server: link.server.as_text().into(),
        clientid: link.clientid.as_str().into(),
        enable: link.enable,
        config: spanmq_state::SecretText::new(link.to_json(Reveal::Stored).to_string()),
        counter: link.ps_actor_incarnation,
    }
}
