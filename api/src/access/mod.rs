//! Users of the web UI, their logins, API keys, MQTT users, and questions to the rules.

mod check;
mod first;
mod keys;
pub(crate) mod login;
mod mqtt_users;
mod passwords;
mod throttle;
mod token;
mod users;

pub use first::{BootstrapError, FirstAdmin, bootstrap_admin};
pub(crate) use login::LocalLogins;
pub(crate) use passwords::Passwords;

use spanmq_access::Role;
use spanmq_api_model::RoleName;
use spanmq_state::command::{AccessCommand, AccessReply};
use spanmq_state::{AccessKind, Command, Reply, Revision, SecretText};

use crate::error::{ApiError, ApiResult};
use crate::ports::Node;
use crate::table::Table;

pub(crate) fn endpoints(table: &mut Table) {
    login::endpoints(table);
    users::endpoints(table);
    keys::endpoints(table);
    mqtt_users::endpoints(table);
    check::endpoints(table);
}

/// Adds or replaces a record; `expected` is the revision that was read.
async fn put(
    node: &dyn Node,
    kind: AccessKind,
    name: String,
    record: String,
    expected: Option<Revision>,
) -> ApiResult<()> {
    propose(node, put_command(kind, name, record, false, expected)).await
}

/// Adds a record that must be new.
async fn create(node: &dyn Node, kind: AccessKind, name: String, record: String) -> ApiResult<()> {
    propose(node, put_command(kind, name, record, true, None)).await
}

async fn delete(node: &dyn Node, kind: AccessKind, name: String) -> ApiResult<()> {
    let command = AccessCommand::Delete { kind, name: name.into(), expected: None };
    propose(node, command).await
}

fn put_command(
    kind: AccessKind,
    name: String,
    record: String,
    create_only: bool,
    expected: Option<Revision>,
) -> AccessCommand {
    let record = SecretText::new(record);
    AccessCommand::Put { kind, name: name.into(), record, create_only, expected }
}

async fn propose(node: &dyn Node, command: AccessCommand) -> ApiResult<()> {
    let applied = node.propose(vec![Command::Access(command)]).await?;
    match applied.replies.into_iter().next() {
        Some(Reply::Access(AccessReply::Done { .. })) => Ok(()),
        Some(Reply::Access(AccessReply::AlreadyExists)) => {
            Err(ApiError::new(409, "ALREADY_EXISTS", "It exists already; change it instead"))
        }
        Some(Reply::Access(AccessReply::NotFound)) => Err(ApiError::not_found("Not found")),
        Some(Reply::Access(AccessReply::Conflict { .. })) => {
            let message = "It was changed meanwhile; read it and try again";
            Err(ApiError::new(409, "CONFLICT", message))
        }
        _ => Err(ApiError::internal("The change was answered in an unknown way")),
    }
}

fn role_name(role: Role) -> RoleName {
    match role {
        Role::Administrator => RoleName::Administrator,
        Role::Viewer => RoleName::Viewer,
        Role::Publisher => RoleName::Publisher,
    }
}

fn role(name: RoleName) -> Role {
    match name {
        RoleName::Administrator => Role::Administrator,
        RoleName::Viewer => Role::Viewer,
        RoleName::Publisher => Role::Publisher,
    }
}

/// Random text of `bytes` × 8 bits.
fn random_text(bytes: usize) -> String {
    use base64::Engine as _;
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}
