//! The first administrator (LINK-SPEC D-4, SECURITY A1): nobody has a password that others know.

use spanmq_access::{HashScheme, PasswordHash, Role, Secret};
use spanmq_state::AccessKind;

use crate::error::ApiError;
use crate::ports::{NoQuorum, Node};
use crate::records::{DashboardUser, dashboard_name};

/// How the first administrator came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAdmin {
    /// There are users already; nothing was changed.
    AlreadyThere,
    /// Made with the password of the configuration.
    Configured,
    /// Made with this random password, which is told nowhere else: print it once.
    Generated(Secret),
}

/// Why there is no first administrator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// Try again when there is a quorum.
    #[error("the first user cannot be made now: the cluster has no quorum")]
    NoQuorum,
    /// The password of the configuration cannot be used.
    #[error("dashboard.default_password cannot be used: {why}")]
    BadPassword {
        /// Why.
        why: String,
    },
    /// The state refused it.
    #[error("the first user could not be stored: {why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// Makes the first administrator unless the cluster has a user of the web UI. Several nodes may call
/// it at once: one of them makes it.
///
/// # Errors
/// [`BootstrapError`]
pub async fn bootstrap_admin(
    node: &dyn Node,
    username: &str,
    password: Option<Secret>,
) -> Result<FirstAdmin, BootstrapError> {
    // A restart without a quorum must not fail for a question that is settled.
    if has_users(node) {
        return Ok(FirstAdmin::AlreadyThere);
    }
    node.barrier().await.map_err(|NoQuorum| BootstrapError::NoQuorum)?;
    if has_users(node) {
        return Ok(FirstAdmin::AlreadyThere);
    }
    let configured = password.is_some();
    let password = password.unwrap_or_else(|| Secret::new(super::random_text(15)));
    let user = DashboardUser {
        username: username.to_owned(),
        password: hash(password.clone()).await?,
        role: Role::Administrator,
        description: "first administrator".to_owned(),
    };
    let name = dashboard_name(username);
    match super::create(node, AccessKind::User, name, user.to_record()).await {
        Ok(()) if configured => Ok(FirstAdmin::Configured),
        Ok(()) => Ok(FirstAdmin::Generated(password)),
        Err(ApiError { status: 409, .. }) => Ok(FirstAdmin::AlreadyThere),
        Err(ApiError { status: 503, .. }) => Err(BootstrapError::NoQuorum),
        Err(refusal) => Err(BootstrapError::Refused { why: refusal.message }),
    }
}

fn has_users(node: &dyn Node) -> bool {
    let mut any = false;
    node.read(&mut |state| any = !DashboardUser::all(state).is_empty());
    any
}

async fn hash(password: Secret) -> Result<PasswordHash, BootstrapError> {
    let salt = rand::random();
    let hashing = tokio::task::spawn_blocking(move || HashScheme::Argon2id.hash(&password, salt));
    let bad = |why: String| BootstrapError::BadPassword { why };
    hashing.await.map_err(|error| bad(error.to_string()))?.map_err(|error| bad(error.to_string()))
}
