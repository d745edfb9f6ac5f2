//! `/users`: who may use the web UI and the API with a password.

use actix_web::{HttpRequest, HttpResponse, web};
use spanmq_access::Role;
use spanmq_api_model::{ChangePassword, ChangeUser, NewUser, RoleName, UserView};
use spanmq_state::{AccessKind, Revision};

use super::{login, role, role_name};
use crate::auth::Caller;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::records::{DashboardUser, dashboard_name};
use crate::server::Shared;
use crate::table::{Table, op};

/// Users of the web UI; more are refused.
const USERS_MAX: usize = 1_000;
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_BYTES_MAX: usize = 1_024;

pub(super) fn endpoints(table: &mut Table) {
    table.get("/users", op("access", "Lists the users of the web UI.").list::<UserView>(200), list);
    table.post(
        "/users",
        op("access", "Adds a user of the web UI.")
            .body::<NewUser>()
            .json::<UserView>(200)
            .fails(&[409, 503]),
        add,
    );
    table.put(
        "/users/{username}",
        op("access", "Changes role or description of a user.")
            .body::<ChangeUser>()
            .json::<UserView>(200)
            .fails(&[404, 409, 503]),
        change,
    );
    table.delete(
        "/users/{username}",
        op("access", "Removes a user and ends its logins.").empty(204).fails(&[400, 404, 503]),
        remove,
    );
    table.post(
        "/users/{username}/change_pwd",
        op("access", "Sets a new password and ends all logins of the user.")
            .body::<ChangePassword>()
            .empty(204)
            .fails(&[404, 409, 429, 503]),
        change_password,
    );
}

async fn list(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(all(&shared).iter().map(view).collect::<Vec<_>>())
}

fn all(shared: &Shared) -> Vec<DashboardUser> {
    let mut users = Vec::new();
    shared.node.read(&mut |state| users = DashboardUser::all(state));
    users
}

fn view(user: &DashboardUser) -> UserView {
    UserView {
        username: user.username.clone(),
        role: role_name(user.role),
        description: user.description.clone(),
    }
}

fn get(shared: &Shared, username: &str) -> ApiResult<(DashboardUser, Revision)> {
    let mut found = None;
    shared.node.read(&mut |state| found = DashboardUser::find(state, username));
    found.ok_or_else(|| ApiError::not_found(format!("User not found: {username}")))
}

async fn add(shared: web::Data<Shared>, body: Body<NewUser>) -> ApiResult<HttpResponse> {
    let NewUser { username, password, role, description } = body.0;
    check_name(&username)?;
    check_role(role)?;
    check_password("password", password.reveal())?;
    if all(&shared).len() >= USERS_MAX {
        return Err(ApiError::bad_request(format!("There are {USERS_MAX} users already")));
    }
    let user = DashboardUser {
        password: shared.passwords.hash(password.reveal()).await?,
        username,
        role: super::role(role),
        description,
    };
    let name = dashboard_name(&user.username);
    super::create(&*shared.node, AccessKind::User, name, user.to_record()).await?;
    Ok(HttpResponse::Ok().json(view(&user)))
}

fn check_name(name: &str) -> ApiResult<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        return Ok(());
    }
    Err(ApiError::bad_request("username: use 1 to 64 letters, digits, '.', '_', '-', '@'"))
}

fn check_role(role: RoleName) -> ApiResult<()> {
    match role {
        RoleName::Publisher => Err(ApiError::bad_request(
            "role: users are administrator or viewer; publisher is for keys",
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_password(field: &str, password: &str) -> ApiResult<()> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        let message = format!(
            "{field}: use at least {PASSWORD_CHARS_MIN} characters, at most {PASSWORD_BYTES_MAX} bytes"
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

async fn change(
    shared: web::Data<Shared>,
    username: web::Path<String>,
    body: Body<ChangeUser>,
) -> ApiResult<HttpResponse> {
    let (mut user, revision) = get(&shared, &username)?;
    if let Some(new) = body.0.role {
        check_role(new)?;
        if role(new) != Role::Administrator {
            not_the_last(&shared, &user)?;
        }
        user.role = role(new);
    }
    user.description = body.0.description.unwrap_or(user.description);
    store(&shared, &user, revision).await?;
    Ok(HttpResponse::Ok().json(view(&user)))
}

async fn store(shared: &Shared, user: &DashboardUser, revision: Revision) -> ApiResult<()> {
    let name = dashboard_name(&user.username);
    super::put(&*shared.node, AccessKind::User, name, user.to_record(), Some(revision)).await
}

/// Nobody could repair a cluster without an administrator.
fn not_the_last(shared: &Shared, user: &DashboardUser) -> ApiResult<()> {
    let other = |other: &DashboardUser| {
        other.role == Role::Administrator && other.username != user.username
    };
    if user.role != Role::Administrator || all(shared).iter().any(other) {
        return Ok(());
    }
    Err(ApiError::bad_request("This is the last administrator; make another one first"))
}

async fn remove(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    username: web::Path<String>,
) -> ApiResult<HttpResponse> {
    let (user, _) = get(&shared, &username)?;
    if user.username == caller.name {
        return Err(ApiError::bad_request("Users cannot remove themselves"));
    }
    not_the_last(&shared, &user)?;
    super::delete(&*shared.node, AccessKind::User, dashboard_name(&user.username)).await?;
    login::end_all(&shared, &user.username).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Users change their own password only: the old one is asked for, whoever asks.
async fn change_password(
    shared: web::Data<Shared>,
    caller: web::ReqData<Caller>,
    request: HttpRequest,
    username: web::Path<String>,
    body: Body<ChangePassword>,
) -> ApiResult<HttpResponse> {
    let (mut user, revision) = get(&shared, &username)?;
    if user.username != caller.name {
        return Err(ApiError::new(403, "UNAUTHORIZED_ROLE", "Users change their own password"));
    }
    let ChangePassword { old_pwd, new_pwd } = body.0;
    check_password("new_pwd", new_pwd.reveal())?;
    let (from, hash) = (login::address(&request), Some(user.password.clone()));
    if !shared.passwords.check(&username, from, hash, old_pwd.reveal()).await? {
        return Err(ApiError::new(400, "BAD_USERNAME_OR_PWD", "old_pwd: it is another one"));
    }
    user.password = shared.passwords.hash(new_pwd.reveal()).await?;
    store(&shared, &user, revision).await?;
    login::end_all(&shared, &user.username).await?;
    Ok(HttpResponse::NoContent().finish())
}
