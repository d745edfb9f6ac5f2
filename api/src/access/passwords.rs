//! Password hashes cost some 20 ms of a core by design: they are made and checked beside the HTTP
//! workers, two at a time, and whoever fails too often waits.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use spanmq_access::{HashScheme, PasswordHash, Secret};
use tokio::sync::Semaphore;

use super::throttle::Throttle;
use crate::error::{ApiError, ApiResult};

/// Hashes under way at one time; each takes 19 MiB.
const AT_ONCE: usize = 2;
/// Who has not got a turn by then is asked to come back.
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// The checker of one node.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    throttle: Mutex<Throttle>,
    /// Checked in place of an unknown user's, so that the answer takes as long.
    decoy: OnceLock<PasswordHash>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            throttle: Mutex::default(),
            decoy: OnceLock::new(),
        }
    }
}

impl Passwords {
    /// Checks a password against the hash of a user, or against nobody's.
    ///
    /// # Errors
    /// 429 for those that failed too often, 503 when too many wait.
    pub(crate) async fn check(
        self: &Arc<Self>,
        name: &str,
        from: IpAddr,
        hash: Option<PasswordHash>,
        password: &str,
    ) -> ApiResult<bool> {
        self.throttle.lock().check(Instant::now(), name, from).map_err(|wait| {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let message = format!("Too many wrong passwords; wait {seconds} s");
            ApiError::new(429, "TOO_MANY_REQUESTS", message).retry_after(seconds)
        })?;
        let (this, password) = (self.clone(), Secret::new(password));
        let right = self
            .turn(move || match hash {
                Some(hash) => hash.verify(password.expose().as_bytes()),
                None => {
                    let _ = this.decoy().map(|hash| hash.verify(password.expose().as_bytes()));
                    false
                }
            })
            .await?;
        let mut throttle = self.throttle.lock();
        match right {
            true => throttle.succeeded(name, from),
            false => throttle.failed(Instant::now(), name, from),
        }
        Ok(right)
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: &str) -> ApiResult<PasswordHash> {
        let (password, salt) = (Secret::new(password), rand::random());
        self.turn(move || HashScheme::Argon2id.hash(&password, salt))
            .await?
            .map_err(|error| ApiError::bad_request(error.to_string()))
    }

    fn decoy(&self) -> Option<&PasswordHash> {
        if self.decoy.get().is_none() {
            let made = HashScheme::Argon2id.hash(&Secret::new("decoy"), [0; 16]).ok()?;
            let _ = self.decoy.set(made);
        }
        self.decoy.get()
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> ApiResult<T> {
        let busy = || ApiError::unavailable("Too many passwords are being checked; try again");
        let turn = tokio::time::timeout(TURN_LIMIT, self.turns.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        working.await.map_err(|_| ApiError::internal("The password could not be checked"))
    }
}
