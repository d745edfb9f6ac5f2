//! `/login`, `/logout`, and what a bearer token is worth (LINK-SPEC A-2).
//!
//! A login is a replicated record, so that every node knows it and a logout ends it everywhere. It
//! lives for `dashboard.token_expired_time` since its last use, and at most a day. Without a quorum a
//! login holds on the node that made it only: an operator must get in just then.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpRequest, HttpResponse, web};
use parking_lot::Mutex;
use spanmq_access::Role;
use spanmq_api_model::{License, LoginAnswer, LoginRequest, LogoutRequest};
use spanmq_state::{AccessKind, Revision};

use super::token::{self, Claims};
use super::{put_command, random_text, role_name};
use crate::auth::Caller;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::records::{DashboardUser, Login, token_name};
use crate::server::{Shared, now_ms};
use crate::table::{Table, op};

const ISSUER: &str = "SpanMQ";
/// A token ends then, however often it is used.
const LIFE_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// The use of a token is written down at most so often.
const RENEWED_EVERY_MS: u64 = 60_000;
/// Logins per user; the oldest ends.
const PER_USER_MAX: usize = 20;
/// Logins that only this node knows; more are refused.
const LOCAL_MAX: usize = 64;

/// Logins made without a quorum.
#[derive(Default)]
pub(crate) struct LocalLogins(Mutex<HashMap<String, Login>>);

pub(super) fn endpoints(table: &mut Table) {
    table.post(
        "/login",
        op("access", "Trades a password for a bearer token.")
            .open()
            .body::<LoginRequest>()
            .json::<LoginAnswer>(200)
            .fails(&[401, 429, 503]),
        login,
    );
    table.post(
        "/logout",
        op("access", "Ends the caller's login.").body::<LogoutRequest>().empty(204).fails(&[503]),
        logout,
    );
}

async fn login(
    shared: web::Data<Shared>,
    request: HttpRequest,
    body: Body<LoginRequest>,
) -> ApiResult<HttpResponse> {
    let LoginRequest { username, password } = body.0;
    let user = find_user(&shared, &username);
    let from = address(&request);
    let hash = user.as_ref().map(|user| user.password.clone());
    let right = shared.passwords.check(&username, from, hash, password.reveal()).await?;
    let user = user.filter(|_| right).ok_or_else(wrong)?;
    let (id, login) = new_login(&shared, &username);
    let token = signed(&id, &login);
    store(&shared, id, login).await?;
    Ok(HttpResponse::Ok().json(LoginAnswer {
        token,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        license: License { edition: "opensource".to_owned() },
        role: role_name(user.role),
        password_expire_in_seconds: 0,
    }))
}

fn wrong() -> ApiError {
    ApiError::new(401, "BAD_USERNAME_OR_PWD", "Auth failed")
}

pub(super) fn address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip())
}

fn find_user(shared: &Shared, username: &str) -> Option<DashboardUser> {
    let mut found = None;
    shared.node.read(&mut |state| found = DashboardUser::find(state, username));
    found.map(|(user, _)| user)
}

fn new_login(shared: &Shared, username: &str) -> (String, Login) {
    let now = now_ms();
    let login = Login {
        v: Login::VERSION,
        username: username.to_owned(),
        key: random_text(32),
        issued_ms: now,
        expires_ms: now + life_ms(shared),
        until_ms: now + LIFE_MAX_MS,
    };
    (random_text(16), login)
}

fn life_ms(shared: &Shared) -> u64 {
    u64::try_from(shared.config.token_life.as_millis()).unwrap_or(u64::MAX).min(LIFE_MAX_MS)
}

fn signed(id: &str, login: &Login) -> String {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: login.username.clone(),
        jti: id.to_owned(),
        iat: login.issued_ms / 1_000,
        exp: login.until_ms / 1_000,
    };
    token::sign(&claims, login.key.as_bytes())
}

async fn store(shared: &Shared, id: String, login: Login) -> ApiResult<()> {
    let mut old = Vec::new();
    shared.node.read(&mut |state| old = Login::of_user(state, &login.username));
    let surplus = (old.len() + 1).saturating_sub(PER_USER_MAX);
    let now = now_ms();
    let mut ending = old.into_iter().enumerate();
    let ended = ending.by_ref().filter(|(n, (_, old))| *n < surplus || old.expires_ms <= now);
    let mut commands: Vec<_> = ended.map(|(_, (id, _))| delete_command(&id)).collect();
    let put = put_command(AccessKind::User, token_name(&id), login.to_record(), true, None);
    commands.push(spanmq_state::Command::Access(put));
    match shared.node.propose(commands).await {
        Ok(_) => Ok(()),
        Err(no_quorum) => {
            let mut local = shared.local_logins.0.lock();
            local.retain(|_, login| login.expires_ms > now);
            if local.len() >= LOCAL_MAX {
                return Err(no_quorum.into());
            }
            local.insert(id, login);
            Ok(())
        }
    }
}

fn delete_command(id: &str) -> spanmq_state::Command {
    spanmq_state::Command::Access(spanmq_state::command::AccessCommand::Delete {
        kind: AccessKind::User,
        name: token_name(id).into(),
        expected: None,
    })
}

/// Who a token stands for; its use makes it live longer.
///
/// # Errors
/// 401 `BAD_TOKEN` or `TOKEN_TIME_OUT`.
pub(crate) async fn check(shared: &Shared, text: &str) -> ApiResult<(Caller, Role)> {
    let bad = || ApiError::new(401, "BAD_TOKEN", "The token is not known; log in again");
    let token = token::parse(text).ok_or_else(bad)?;
    let id = token.claims.jti.clone();
    let mut found = find(shared, &id);
    if found.is_none() && shared.catch_up().await {
        found = find(shared, &id);
    }
    let (login, revision) = found.ok_or_else(bad)?;
    if !token.is_signed_with(login.key.as_bytes()) {
        return Err(bad());
    }
    let now = now_ms();
    if login.expires_ms <= now || login.until_ms <= now {
        return Err(ApiError::new(401, "TOKEN_TIME_OUT", "The token has expired; log in again"));
    }
    let user = find_user(shared, &login.username).ok_or_else(bad)?;
    if let Some(revision) = revision {
        renew(shared, &id, login, revision, now);
    }
    Ok((Caller { name: user.username, login: Some(id) }, user.role))
}

fn find(shared: &Shared, id: &str) -> Option<(Login, Option<Revision>)> {
    if let Some(login) = shared.local_logins.0.lock().get(id) {
        return Some((login.clone(), None));
    }
    let mut found = None;
    shared.node.read(&mut |state| found = Login::find(state, id));
    found.map(|(login, revision)| (login, Some(revision)))
}

/// In the background, at most once a minute; of several at once the revision lets one through.
fn renew(shared: &Shared, id: &str, mut login: Login, revision: Revision, now: u64) {
    let expires = (now + life_ms(shared)).min(login.until_ms);
    if expires < login.expires_ms.saturating_add(RENEWED_EVERY_MS) {
        return;
    }
    login.expires_ms = expires;
    let put =
        put_command(AccessKind::User, token_name(id), login.to_record(), false, Some(revision));
    let node = shared.node.clone();
    actix_web::rt::spawn(async move {
        // Without a quorum the next use tries again.
        let _ = node.propose(vec![spanmq_state::Command::Access(put)]).await;
    });
}

async fn logout(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    body: Body<LogoutRequest>,
) -> ApiResult<HttpResponse> {
    let id = caller.login.as_deref().filter(|_| body.0.username == caller.name);
    let id = id.ok_or_else(|| ApiError::bad_request("username: log out with your own name"))?;
    if shared.local_logins.0.lock().remove(id).is_none() {
        shared.node.propose(vec![delete_command(id)]).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Ends all logins of a user: the password is another one, or the user is gone.
pub(super) async fn end_all(shared: &Shared, username: &str) -> ApiResult<()> {
    shared.local_logins.0.lock().retain(|_, login| login.username != username);
    let mut ids = Vec::new();
    shared.node.read(&mut |state| ids = Login::of_user(state, username));
    if !ids.is_empty() {
        shared.node.propose(ids.iter().map(|(id, _)| delete_command(id)).collect()).await?;
    }
    Ok(())
}
