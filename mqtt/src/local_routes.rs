//! The one owner of "which workers of this node want which filter".
//!
//! Workers report the first and last subscriber of a filter; they are summed up per node, in the
//! node's worker view at once and told to linking. A task proposes the node's first and last to
//! Raft in batches, and answers each worker in the order of its batches, when the change is
//! visible.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use left_right::ReadHandleFactory;
use parking_lot::Mutex;
use spanmq_state::command::{RouteChange, RouteCommand, RouteReply};
use spanmq_state::{Command, Reply};
use spanmq_topic::{SharedFilter, Subscription, TopicFilter};
use tokio::sync::mpsc;

use crate::config::Visibility;
use crate::interest::{InterestChange, InterestHub};
use crate::mail::Mail;
use crate::mailbox::Mailbox;
use crate::ports::{BoxFuture, Identity, Propose, ProposeError};
use crate::shared::Shared;
use crate::view::{Members, View, ViewOp, ViewReader, ViewWriter, view};

/// Changes in one log entry at most (ARCHITECTURE §5).
const CHANGES_PER_COMMAND: usize = 4_096;
/// Pause before the full set is announced again after a failure.
const ANNOUNCE_RETRY: Duration = Duration::from_secs(1);

/// What became of a batch of route changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteOutcome {
    Visible,
    /// No quorum: subscriptions made with it are refused (SUBACK 0x80).
    Failed,
}

/// One change of what one worker wants.
#[derive(Debug, Clone)]
pub(crate) enum RouteOp {
    Plain {
        filter: TopicFilter,
        wanted: bool,
    },
    /// The worker has so many members now.
    Shared {
        filter: Arc<SharedFilter>,
        members: u32,
        /// Of these, with a client that is connected.
        online: u32,
    },
}

/// The changes of one worker's turn.
#[derive(Debug)]
pub(crate) struct RouteBatch {
    pub(crate) worker: u16,
    /// Number of this batch on that worker; grows.
    pub(crate) batch: u64,
    pub(crate) ops: Vec<RouteOp>,
}

type Replies = BoxFuture<Result<Vec<Reply>, ProposeError>>;

/// Who is to be told, in order, when a proposal has ended.
struct InFlight {
    replies: Option<Replies>,
    waiting: Vec<(u16, u64)>,
}

/// Batches that the node's own view shows already, and what the cluster does not know of them yet.
struct Applied {
    changes: Vec<RouteChange>,
    waiting: Vec<(u16, u64)>,
}

impl Applied {
    /// Several as one proposal, in their order.
    fn sum(news: &mut Vec<Self>) -> Self {
        let mut all = Self { changes: Vec::new(), waiting: Vec::with_capacity(news.len()) };
        for Self { changes, waiting } in news.drain(..) {
            all.changes.extend(changes);
            all.waiting.extend(waiting);
        }
        all
    }
}

/// What the announcement of this run has come to.
enum Announcing {
    /// The full set is under way, or the pause after a failure.
    Waiting(BoxFuture<Announced>),
    Done,
}

enum Announced {
    Yes,
    No,
    TryAgain,
}

/// What the node wants: sums over its workers, and the view that its workers route by.
///
/// Workers report on their own threads, under one lock: a subscription is in the node's view when
/// the turn that read it ends, however long the rest takes. Publishing the view waits as long as
/// one match of another worker.
pub(crate) struct NodeRoutes {
    sums: Mutex<Sums>,
    readers: ReadHandleFactory<View>,
    interest: Arc<InterestHub>,
    /// What is applied and not proposed yet, in the order of the sums.
    applied: Mailbox<Applied>,
}

struct Sums {
    view: ViewWriter,
    plain: HashMap<TopicFilter, u64>,
    shared: HashMap<Arc<SharedFilter>, Vec<Members>>,
}

impl NodeRoutes {
    pub(crate) fn new(interest: Arc<InterestHub>) -> Self {
        let (view, readers) = view();
        let sums = Sums { view, plain: HashMap::new(), shared: HashMap::new() };
        Self { sums: Mutex::new(sums), readers, interest, applied: Mailbox::new() }
    }

    /// The view, for one thread.
    pub(crate) fn reader(&self) -> ViewReader {
        ViewReader::new(&self.readers)
    }

    /// Applies what a worker's turn has changed.
    pub(crate) fn report(&self, RouteBatch { worker, batch, ops }: RouteBatch) {
        let (mut changes, mut interest) = (Vec::new(), Vec::new());
        let mut sums = self.sums.lock();
        for op in ops {
            match op {
                RouteOp::Plain { filter, wanted } => {
                    sums.plain(worker, filter, wanted, &mut changes, &mut interest);
                }
                RouteOp::Shared { filter, members, online } => {
                    let members = Members { worker, members, online };
                    sums.shared(filter, members, &mut changes, &mut interest);
                }
            }
        }
        sums.view.publish();
        // Within the lock: all see the changes in the same order.
        self.interest.apply(&interest);
        self.applied.send(Applied { changes, waiting: vec![(worker, batch)] });
    }

    /// All routes of this node.
    fn all(&self) -> Vec<RouteChange> {
        let sums = self.sums.lock();
        let plain = sums.plain.keys().map(|filter| RouteChange::Add(filter.as_str().into()));
        let shared = sums.shared.iter().map(|(filter, counts)| {
            shared_change(filter, counts.iter().map(|of| of.members).sum())
        });
        plain.chain(shared).collect()
    }
}

impl Sums {
    fn plain(
        &mut self,
        worker: u16,
        filter: TopicFilter,
        wanted: bool,
        changes: &mut Vec<RouteChange>,
        interest: &mut Vec<InterestChange>,
    ) {
        let before = self.plain.get(&filter).copied().unwrap_or(0);
        let after = if wanted { before | 1 << worker } else { before & !(1 << worker) };
        if after == before {
            return;
        }
        if after == 0 {
            self.plain.remove(&filter);
            changes.push(RouteChange::Remove(filter.as_str().into()));
        } else {
            self.plain.insert(filter.clone(), after);
            if before == 0 {
                changes.push(RouteChange::Add(filter.as_str().into()));
            }
        }
        if (before == 0) != (after == 0) {
            let filter = Subscription::Plain(filter.clone());
            interest.push(InterestChange { filter, wanted: after != 0 });
        }
        self.view.append(ViewOp::Plain { filter, workers: after });
    }

    fn shared(
        &mut self,
        filter: Arc<SharedFilter>,
        now: Members,
        changes: &mut Vec<RouteChange>,
        interest: &mut Vec<InterestChange>,
    ) {
        let counts = self.shared.entry(filter.clone()).or_default();
        let before: u32 = counts.iter().map(|of| of.members).sum();
        counts.retain(|of| of.worker != now.worker);
        if now.members > 0 {
            // By number: the row of members is the same for all.
            counts.insert(counts.partition_point(|of| of.worker < now.worker), now);
        }
        let counts = counts.clone();
        let after: u32 = counts.iter().map(|of| of.members).sum();
        if after == 0 {
            self.shared.remove(&filter);
        }
        if after != before {
            changes.push(shared_change(&filter, after));
        }
        if (before == 0) != (after == 0) {
            let filter = Subscription::Shared((*filter).clone());
            interest.push(InterestChange { filter, wanted: after != 0 });
        }
        self.view.append(ViewOp::Shared { filter, workers: counts });
    }
}

/// Tells the cluster what the node wants, and the workers when it knows.
pub(crate) struct LocalRoutes {
    routes: Arc<NodeRoutes>,
    identity: Identity,
    propose: Arc<dyn Propose>,
    visibility: Visibility,
    workers: Vec<Mailbox<Mail>>,
    /// Batches that the first announcement answers.
    recovered: Vec<(u16, u64)>,
}

impl LocalRoutes {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            routes: shared.routes.clone(),
            identity: shared.ports.identity.clone(),
            propose: shared.ports.propose.clone(),
            visibility: shared.config.subscribe_visibility,
            workers: shared.workers.clone(),
            recovered: Vec::new(),
        }
    }

    /// The workers have reported what they recovered from the store, so it is in the node's view.
    /// The announcement carries these changes; who subscribes to one of these filters waits for it.
    pub(crate) fn recover(&mut self) {
        let mut recovered = Vec::new();
        self.routes.applied.take(&mut recovered);
        self.recovered = Applied::sum(&mut recovered).waiting;
    }

    /// Runs until the runtime stops.
    ///
    /// The first thing that the cluster hears of this run is all its routes, those of recovered
    /// sessions among them. Without a quorum that takes time; meanwhile the node's own view goes
    /// on, and subscriptions are answered when an attempt has succeeded or failed.
    pub(crate) async fn run(mut self) {
        let (answer, answers) = mpsc::unbounded_channel();
        let (failed, mut failures) = mpsc::channel(1);
        let workers = self.workers.clone();
        tokio::task::spawn_local(answer_in_order(answers, workers, failed));
        let mut announcing = self.announce();
        let waiting = std::mem::take(&mut self.recovered);
        let mut late = vec![Applied { changes: Vec::new(), waiting }];
        let mut news = Vec::new();
        loop {
            tokio::select! {
                () = self.routes.applied.arrived() => {
                    self.routes.applied.take(&mut news);
                    let applied = Applied::sum(&mut news);
                    match announcing {
                        Announcing::Waiting(_) => late.push(applied),
                        Announcing::Done => _ = answer.send(self.propose_applied(applied)),
                    }
                }
                Some(()) = failures.recv() => {
                    if matches!(announcing, Announcing::Done) {
                        announcing = self.announce();
                    }
                }
                announced = outcome_of(&mut announcing) => match announced {
                    Announced::Yes => {
                        announcing = Announcing::Done;
                        for applied in late.drain(..) {
                            let _ = answer.send(self.propose_applied(applied));
                        }
                    }
                    Announced::No => {
                        announcing = Announcing::Waiting(Box::pin(async {
                            tokio::time::sleep(ANNOUNCE_RETRY).await;
                            Announced::TryAgain
                        }));
                        for Applied { waiting, .. } in late.drain(..) {
                            let refused = Box::pin(async { Err(ProposeError::NoQuorum) });
                            let _ = answer.send(InFlight { replies: Some(refused), waiting });
                        }
                    }
                    Announced::TryAgain => announcing = self.announce(),
                }
            }
        }
    }

    fn propose_applied(&self, Applied { changes, waiting }: Applied) -> InFlight {
        let replies = (!changes.is_empty()).then(|| self.propose_changes(changes));
        InFlight { replies, waiting }
    }

    fn propose_changes(&self, changes: Vec<RouteChange>) -> Replies {
        let Identity { node, incarnation, .. } = self.identity;
        let commands = changes.chunks(CHANGES_PER_COMMAND).map(|changes| {
            let changes = changes.to_vec();
            Command::Route(RouteCommand::RouteBatch { node, incarnation, changes })
        });
        match self.visibility {
            Visibility::Cluster => self.propose.propose_visible(commands.collect()),
            Visibility::Local => self.propose.propose(commands.collect()),
        }
    }

    /// Announces this run of the node with all its routes of now.
    fn announce(&self) -> Announcing {
        let replies = self.propose.propose(self.replacement());
        Announcing::Waiting(Box::pin(async move {
            match replies.await {
                Ok(replies) if replies.iter().all(is_done) => return Announced::Yes,
                Ok(replies) => tracing::warn!(?replies, "the routes of this node were refused"),
                Err(error) => tracing::debug!(%error, "the routes of this node wait for a quorum"),
            }
            Announced::No
        }))
    }

    /// All routes of this node, in parts small enough for a log entry.
    fn replacement(&self) -> Vec<Command> {
        let all = self.routes.all();
        let parts = all.chunks(CHANGES_PER_COMMAND).count().max(1);
        let mut chunks = all.chunks(CHANGES_PER_COMMAND);
        let part = |part: usize| {
            let routes = chunks.next().unwrap_or_default().to_vec();
            Command::Route(RouteCommand::ReplaceNode {
                node: self.identity.node,
                incarnation: self.identity.incarnation,
                part: u32::try_from(part).unwrap_or(u32::MAX),
                last: part + 1 == parts,
                routes,
            })
        };
        (0..parts).map(part).collect()
    }
}

fn shared_change(filter: &SharedFilter, members: u32) -> RouteChange {
    let (group, filter) = (filter.group.clone(), filter.filter.as_str().into());
    RouteChange::Shared { group, filter, members }
}

async fn outcome_of(announcing: &mut Announcing) -> Announced {
    match announcing {
        Announcing::Waiting(outcome) => outcome.await,
        Announcing::Done => std::future::pending().await,
    }
}

fn is_done(reply: &Reply) -> bool {
    matches!(reply, Reply::Route(RouteReply::Done { .. }))
}

/// Awaits the proposals one after the other and tells the workers. Several are under way at a
/// time; only the answers are in order.
async fn answer_in_order(
    mut proposals: mpsc::UnboundedReceiver<InFlight>,
    workers: Vec<Mailbox<Mail>>,
    failed: mpsc::Sender<()>,
) {
    while let Some(InFlight { replies, waiting }) = proposals.recv().await {
        let outcome = match replies {
            None => RouteOutcome::Visible,
            Some(replies) => match replies.await {
                Ok(replies) if replies.iter().all(is_done) => RouteOutcome::Visible,
                // Also a missing announcement: the full set follows and repairs it.
                Ok(_) | Err(_) => RouteOutcome::Failed,
            },
        };
        if outcome == RouteOutcome::Failed {
            // Full means that an announcement is due already.
            let _ = failed.try_send(());
        }
        for (worker, batch) in waiting {
            if let Some(worker) = workers.get(usize::from(worker)) {
                worker.send(Mail::Routes { batch, outcome });
            }
        }
    }
}
