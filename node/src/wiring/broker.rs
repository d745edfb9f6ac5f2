//! What the broker needs of the replicated state.

use std::sync::Arc;

use spanmq_mqtt::ports::{
    BoxFuture, Propose, ProposeError, Retained, RetainedSource, Routes, RoutesReader,
};
use spanmq_raft::{HeldLease, LeaseTime, RaftNode};
use spanmq_state::view::{Targets, ViewReader};
use spanmq_state::{Command, Reply};
use spanmq_topic::{TopicFilter, TopicName};

/// The Raft node as the broker sees it.
pub(crate) struct RaftPort(pub(crate) RaftNode);

fn refusal(error: &spanmq_raft::ProposeError) -> ProposeError {
    match error {
        spanmq_raft::ProposeError::Stopping => ProposeError::Stopping,
        spanmq_raft::ProposeError::DiskFull => ProposeError::DiskFull,
        spanmq_raft::ProposeError::Busy => ProposeError::Busy,
        _ => ProposeError::NoQuorum,
    }
}

impl Propose for RaftPort {
    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        let raft = self.0.clone();
        Box::pin(async move {
            let applied = raft.propose(commands).await;
            applied.map_err(|error| refusal(&error))
        })
    }

    fn propose_visible(
        &self,
        commands: Vec<Command>,
    ) -> BoxFuture<Result<Vec<Reply>, ProposeError>> {
        let raft = self.0.clone();
        Box::pin(async move {
            let applied = raft.propose_visible(commands).await;
            applied.map_err(|error| refusal(&error))
        })
    }
}

impl Routes for RaftPort {
    fn reader(&self) -> Box<dyn RoutesReader> {
        Box::new(Reader { lease: self.0.lease(), reader: self.0.reader() })
    }
}

/// One worker's reader.
struct Reader {
    lease: Arc<HeldLease>,
    reader: ViewReader,
}

impl RoutesReader for Reader {
    fn targets(&mut self, topic: &TopicName, into: &mut Targets) -> bool {
        self.reader.targets(topic.as_str(), into)
    }

    fn has_lease(&self) -> bool {
        self.lease.is_held(LeaseTime::now())
    }
}

impl RetainedSource for RaftPort {
    fn page(
        &self,
        filter: &TopicFilter,
        cursor: usize,
        limit: usize,
    ) -> (Vec<Retained>, Option<usize>) {
        let (page, next) = self.0.state().retained().page(filter.as_str(), cursor, limit);
        let retained = page.into_iter().map(|(topic, message)| Retained {
            topic: Arc::from(topic.as_str()),
            message: message.message,
            expiry_at_ms: message.expiry_at_ms,
        });
        (retained.collect(), next)
    }
}
