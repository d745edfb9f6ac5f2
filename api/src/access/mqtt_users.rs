//! MQTT users of the built-in database, under EMQX's path. Users that the bootstrap file brings stay
//! with the file; these here are replicated.

use actix_web::{HttpResponse, web};
use spanmq_access::User;
use spanmq_api_model::{ChangeMqttUser, MqttUser, MqttUsersQuery, NewMqttUser, Page, PageMeta};
use spanmq_state::{AccessKind, Revision};

use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::paging::limit_of;
use crate::records::{mqtt_name, mqtt_users};
use crate::server::Shared;
use crate::table::{Table, op};

const ID: &str = "password_based:built_in_database";
const USERS: &str = "/authentication/{id}/users";
const USER: &str = "/authentication/{id}/users/{user_id}";
const USER_ID_BYTES_MAX: usize = 1_024;

pub(super) fn endpoints(table: &mut Table) {
    table.get(
        USERS,
        op("mqtt users", "Lists MQTT users by id.")
            .query::<MqttUsersQuery>()
            .json::<Page<MqttUser>>(200)
            .fails(&[400, 404]),
        list,
    );
    table.post(
        USERS,
        op("mqtt users", "Adds an MQTT user.")
            .body::<NewMqttUser>()
            .json::<MqttUser>(201)
            .fails(&[404, 409, 503]),
        add,
    );
    table.get(
        USER,
        op("mqtt users", "Shows an MQTT user.").json::<MqttUser>(200).fails(&[404]),
        one,
    );
    table.put(
        USER,
        op("mqtt users", "Changes an MQTT user.")
            .body::<ChangeMqttUser>()
            .json::<MqttUser>(200)
            .fails(&[404, 409, 503]),
        change,
    );
    table.delete(
        USER,
        op("mqtt users", "Removes an MQTT user.").empty(204).fails(&[404, 503]),
        remove,
    );
}

fn check_id(id: &str) -> ApiResult<()> {
    match id {
        ID => Ok(()),
        _ => Err(ApiError::not_found(format!("Authenticator not found: {id}; there is {ID}"))),
    }
}

fn view(user: &User) -> MqttUser {
    MqttUser { user_id: user.user_id.clone(), is_superuser: user.is_superuser }
}

fn get(shared: &Shared, user_id: &str) -> ApiResult<(User, Revision)> {
    let mut found = None;
    shared.node.read(&mut |state| {
        let record = state.access().get(AccessKind::User, &mqtt_name(user_id));
        found = record.and_then(|record| {
            Some((User::from_record(record.record.reveal()).ok()?, record.revision))
        });
    });
    found.ok_or_else(|| ApiError::not_found(format!("User not found: {user_id}")))
}

async fn list(
    shared: web::Data<Shared>,
    id: web::Path<String>,
    query: web::Query<MqttUsersQuery>,
) -> ApiResult<HttpResponse> {
    check_id(&id)?;
    let limit = limit_of(query.limit)?;
    let mut data = Vec::new();
    shared.node.read(&mut |state| {
        let wanted = |user: &User| {
            query.like_user_id.as_ref().is_none_or(|part| user.user_id.contains(part.as_str()))
                && query.is_superuser.is_none_or(|is| is == user.is_superuser)
        };
        let users = mqtt_users(state, query.cursor.as_deref()).filter(wanted);
        data = users.take(limit + 1).map(|user| view(&user)).collect();
    });
    let hasnext = data.len() > limit;
    data.truncate(limit);
    let cursor = data.last().filter(|_| hasnext).map(|user| user.user_id.clone());
    let meta = PageMeta { limit, hasnext, cursor, unreachable: Vec::new() };
    Ok(HttpResponse::Ok().json(Page { data, meta }))
}

async fn add(
    shared: web::Data<Shared>,
    id: web::Path<String>,
    body: Body<NewMqttUser>,
) -> ApiResult<HttpResponse> {
    check_id(&id)?;
    let NewMqttUser { user_id, password, is_superuser } = body.0;
    if user_id.is_empty() || user_id.len() > USER_ID_BYTES_MAX {
        return Err(ApiError::bad_request("user_id: use 1 to 1024 bytes"));
    }
    check_password(password.reveal())?;
    let password = shared.passwords.hash(password.reveal()).await?;
    let user = User { user_id, password, is_superuser, namespace: None };
    let name = mqtt_name(&user.user_id);
    super::create(&*shared.node, AccessKind::User, name, user.to_record()).await?;
    Ok(HttpResponse::Created().json(view(&user)))
}

/// Devices have the passwords they have: only an empty one is refused.
fn check_password(password: &str) -> ApiResult<()> {
    match password.len() {
        1..=1_024 => Ok(()),
        _ => Err(ApiError::bad_request("password: use 1 to 1024 bytes")),
    }
}

async fn one(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
) -> ApiResult<HttpResponse> {
    check_id(&path.0)?;
    Ok(HttpResponse::Ok().json(view(&get(&shared, &path.1)?.0)))
}

async fn change(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    body: Body<ChangeMqttUser>,
) -> ApiResult<HttpResponse> {
    check_id(&path.0)?;
    let (mut user, revision) = get(&shared, &path.1)?;
    if let Some(password) = &body.0.password {
        check_password(password.reveal())?;
        user.password = shared.passwords.hash(password.reveal()).await?;
    }
    user.is_superuser = body.0.is_superuser.unwrap_or(user.is_superuser);
    let (name, record) = (mqtt_name(&user.user_id), user.to_record());
    super::put(&*shared.node, AccessKind::User, name, record, Some(revision)).await?;
    Ok(HttpResponse::Ok().json(view(&user)))
}

async fn remove(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
) -> ApiResult<HttpResponse> {
    check_id(&path.0)?;
    get(&shared, &path.1)?;
    super::delete(&*shared.node, AccessKind::User, mqtt_name(&path.1)).await?;
    Ok(HttpResponse::NoContent().finish())
}
