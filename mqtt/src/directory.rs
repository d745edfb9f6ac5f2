//! The session directory, as CONNECT uses it: claim, and install what was fetched.

use std::sync::Arc;

use spanmq_session::codec::encode_message;
use spanmq_session::{ConnectTerms, MessageId, Publisher, Will};
use spanmq_state::command::{
    Handover, Holder, SessionCommand, SessionReply, Subscription, Will as StoredWill,
};
use spanmq_state::{Command, Epoch, Opaque, Reply};

use crate::codec::Connect;
use crate::ports::Client;
use crate::shared::{Shared, wall_ms};

const NOT_AUTHORIZED: u8 = 0x87;
const SERVER_UNAVAILABLE: u8 = 0x88;

/// What the directory said.
pub(crate) struct Claimed {
    pub(crate) epoch: Epoch,
    pub(crate) previous: Option<Holder>,
    pub(crate) session_present: bool,
    pub(crate) subscriptions: Vec<Subscription>,
}

/// Claims the session for this node.
///
/// # Errors
/// The code for CONNACK: another principal's, or no quorum.
pub(crate) async fn claim_session(
    shared: &Shared,
    client: &Client,
    connect: &Connect,
    terms: &ConnectTerms,
    will: Option<&Will>,
) -> Result<Claimed, u8> {
    let command = SessionCommand::Claim {
        client_id: client.client_id.clone(),
        node: shared.ports.identity.node,
        clean_start: connect.clean_start,
        principal: client.principal.clone(),
        expiry_s: terms.expiry.interval(),
        persistent: terms.expiry.is_persistent(),
        will: will.map(|will| stored_will(will, client)),
        at_ms: wall_ms(),
    };
    match propose_one(shared, command).await? {
        SessionReply::Claimed { epoch, previous, session_present, subscriptions, .. } => {
            Ok(Claimed { epoch, previous, session_present, subscriptions })
        }
        SessionReply::PrincipalDiffers => Err(NOT_AUTHORIZED),
        SessionReply::Done | SessionReply::Stale { .. } | SessionReply::Unknown => {
            Err(SERVER_UNAVAILABLE)
        }
    }
}

async fn propose_one(shared: &Shared, command: SessionCommand) -> Result<SessionReply, u8> {
    let replies = shared.ports.propose.propose(vec![Command::Session(command)]).await;
    match replies.map(|mut replies| replies.pop()) {
        Ok(Some(Reply::Session(reply))) => Ok(reply),
        Ok(other) => {
            tracing::error!(?other, "the directory gave no answer");
            Err(SERVER_UNAVAILABLE)
        }
        Err(error) => {
            tracing::debug!(%error, "CONNECT without the directory");
            Err(SERVER_UNAVAILABLE)
        }
    }
}

/// The will as another node needs it, should this one die.
fn stored_will(will: &Will, client: &Client) -> StoredWill {
    let publisher =
        Publisher { username: client.username.clone(), peer: client.peer, version: client.version };
    let now = std::time::Instant::now();
    let id = MessageId([0; 16]);
    let from = client.client_id.clone();
    let message = will.clone().into_message(now, wall_ms(), id, from, publisher);
    let mut bytes = Vec::new();
    if let Err(error) = encode_message(&message, now, &mut bytes) {
        tracing::error!(%error, "a will could not be encoded");
    }
    StoredWill {
        topic: will.topic.as_str().into(),
        delay_s: will.delay_s,
        message: Opaque::new(bytes),
    }
}

/// What came of [`install`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Install {
    Done,
    /// Somebody claimed the session later.
    Stale,
    /// No answer: it may be committed or not.
    Unknown,
}

/// Tells the directory that this node holds the state.
pub(crate) async fn install(
    shared: &Shared,
    client_id: &Arc<str>,
    claimed: &Claimed,
    handover: Handover,
) -> Install {
    let (client_id, epoch) = (client_id.clone(), claimed.epoch);
    match propose_one(shared, SessionCommand::Installed { client_id, epoch, handover }).await {
        Ok(SessionReply::Done) => Install::Done,
        Ok(_) => Install::Stale,
        Err(_) => Install::Unknown,
    }
}

/// Gives a claim up: the last owner goes on.
pub(crate) async fn abandon(shared: &Shared, client_id: &Arc<str>, epoch: Epoch) {
    let command = SessionCommand::Abandon { client_id: client_id.clone(), epoch };
    // Without a quorum the claim stays until the next one.
    let _ = propose_one(shared, command).await;
}
