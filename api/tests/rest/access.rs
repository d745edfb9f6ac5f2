//! Logins, users, keys and MQTT users (LINK-SPEC A-1…A-4, D-4, SECURITY A1, A2, A9).

use std::time::Duration;

use serde_json::{Value, json};
use spanmq_api::{FirstAdmin, bootstrap_admin};

use crate::client::Http;
use crate::rig::{Rig, eventually};

const PASSWORD: &str = "correct horse";

fn with_admin(rig: &Rig) -> Http {
    let made = rig.block_on(bootstrap_admin(&*rig.nodes[0], "admin", Some(PASSWORD.into())));
    assert_eq!(made, Ok(FirstAdmin::Configured));
    login(rig, "admin", PASSWORD)
}

fn login(rig: &Rig, username: &str, password: &str) -> Http {
    let body = json!({ "username": username, "password": password });
    let answer = rig.stranger().post("/login", &body).expect(200).json();
    rig.stranger().bearer(answer["token"].as_str().unwrap())
}

#[test]
fn the_first_administrator_is_made_once_with_a_random_or_the_configured_password_a1() {
    let rig = Rig::start();
    let FirstAdmin::Generated(password) =
        rig.block_on(bootstrap_admin(&*rig.nodes[0], "admin", None)).unwrap()
    else {
        panic!("no password")
    };
    assert!(password.expose().len() >= 20);
    let again = rig.block_on(bootstrap_admin(&*rig.nodes[0], "admin", Some(PASSWORD.into())));
    assert_eq!(again, Ok(FirstAdmin::AlreadyThere));
    login(&rig, "admin", password.expose()).get("/users").expect(200);
    rig.lose_quorum();
    let settled = rig.block_on(bootstrap_admin(&*rig.nodes[0], "admin", None));
    assert_eq!(settled, Ok(FirstAdmin::AlreadyThere), "also without a quorum");
    for guess in ["public", "admin", ""] {
        let body = json!({ "username": "admin", "password": guess });
        rig.stranger().post("/login", &body).refused(401, "BAD_USERNAME_OR_PWD");
    }
}

#[test]
fn a_login_gives_a_token_that_a_logout_ends_on_every_node_a2() {
    let rig = Rig::with(2, |_| {});
    with_admin(&rig);
    let body = json!({ "username": "admin", "password": PASSWORD });
    let answer = rig.stranger().post("/login", &body).expect(200).json();
    assert_eq!(answer["role"], "administrator");
    assert_eq!(answer["license"]["edition"], "opensource");
    assert!(answer["version"].is_string() && answer["password_expire_in_seconds"].is_number());
    let token = answer["token"].as_str().unwrap();
    let there = rig.admin_of(1).bearer(token);
    there.get("/users").expect(200);
    let here = rig.stranger().bearer(token);
    here.post("/logout", &json!({ "username": "bob" })).refused(400, "BAD_REQUEST");
    here.post("/logout", &json!({ "username": "admin" })).expect(204);
    there.get("/users").refused(401, "BAD_TOKEN");
    let mut forged = token.to_owned();
    forged.replace_range(token.len() - 2.., "AA");
    rig.stranger().bearer(&forged).get("/nodes").refused(401, "BAD_TOKEN");
}

#[test]
fn a_token_that_is_not_used_expires_a2() {
    let rig = Rig::with(1, |config| config.token_life = Duration::ZERO);
    with_admin(&rig).get("/nodes").refused(401, "TOKEN_TIME_OUT");
}

#[test]
fn without_a_quorum_an_operator_still_gets_in_on_this_node() {
    let rig = Rig::with(2, |_| {});
    with_admin(&rig);
    rig.lose_quorum();
    let body = json!({ "username": "admin", "password": PASSWORD });
    let token = rig.stranger().post("/login", &body).expect(200).json()["token"].clone();
    let token = token.as_str().unwrap();
    rig.stranger().bearer(token).get("/status").expect(200);
    rig.admin_of(1).bearer(token).get("/status").refused(401, "BAD_TOKEN");
    rig.stranger().bearer(token).post("/logout", &json!({ "username": "admin" })).expect(204);
    rig.stranger().bearer(token).get("/status").refused(401, "BAD_TOKEN");
}

#[test]
fn twenty_wrong_logins_are_slowed_down_a2() {
    let rig = Rig::start();
    with_admin(&rig);
    let wrong = |name: &str| {
        let body = json!({ "username": name, "password": "guess" });
        rig.stranger().post("/login", &body)
    };
    let answers: Vec<_> = (0..20).map(|_| wrong("admin")).collect();
    let slowed: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(slowed.len() >= 10, "{} of 20", slowed.len());
    assert_eq!(slowed[0].code(), "TOO_MANY_REQUESTS");
    assert!(slowed[0].header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // Also a user that does not exist, so that the answer does not tell who does.
    let unknown: Vec<_> = (0..20).map(|_| wrong("nobody").status).collect();
    assert!(unknown[0] == 401 && unknown[19] == 429, "{unknown:?}");
}

#[test]
fn users_are_added_changed_and_removed() {
    let rig = Rig::start();
    let admin = with_admin(&rig);
    let bob = json!({ "username": "bob", "password": "bobs secret", "role": "viewer" });
    let made = admin.post("/users", &bob).expect(200).json();
    assert_eq!(made, json!({ "username": "bob", "role": "viewer", "description": "" }));
    admin.post("/users", &bob).refused(409, "ALREADY_EXISTS");
    assert_eq!(admin.get("/users").expect(200).json().as_array().unwrap().len(), 2);
    let viewer = login(&rig, "bob", "bobs secret");
    viewer.get("/users").expect(200);
    viewer.post("/users", &bob).refused(403, "UNAUTHORIZED_ROLE");
    let change = json!({ "role": "administrator", "description": "d" });
    assert_eq!(admin.put("/users/bob", &change).expect(200).json()["description"], "d");
    viewer.delete("/users/admin").expect(204);
    viewer.delete("/users/bob").refused(400, "BAD_REQUEST");
    viewer.put("/users/bob", &json!({ "role": "viewer" })).refused(400, "BAD_REQUEST");
    admin.get("/users").refused(401, "BAD_TOKEN");
    viewer.put("/users/eve", &json!({})).refused(404, "NOT_FOUND");
    viewer.delete("/users/eve").refused(404, "NOT_FOUND");
}

#[test]
fn a_new_password_ends_all_logins_and_only_its_owner_sets_it() {
    let rig = Rig::start();
    let admin = with_admin(&rig);
    admin
        .post("/users", &json!({ "username": "bob", "password": "bobs secret", "role": "viewer" }));
    let bob = login(&rig, "bob", "bobs secret");
    let change = |old: &str, new: &str| json!({ "old_pwd": old, "new_pwd": new });
    let path = "/users/bob/change_pwd";
    admin.post(path, &change("bobs secret", "other secret")).refused(403, "UNAUTHORIZED_ROLE");
    bob.post(path, &change("wrong", "other secret")).refused(400, "BAD_USERNAME_OR_PWD");
    bob.post(path, &change("bobs secret", "short")).refused(400, "BAD_REQUEST");
    bob.post(path, &change("bobs secret", "other secret")).expect(204);
    bob.get("/nodes").refused(401, "BAD_TOKEN");
    login(&rig, "bob", "other secret").get("/nodes").expect(200);
}

#[test]
fn bad_users_are_refused_one_by_one() {
    let rig = Rig::start();
    let admin = with_admin(&rig);
    let good = json!({ "username": "bob", "password": "bobs secret" });
    let bad = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        admin.post("/users", &body).refused(400, "BAD_REQUEST").message()
    };
    assert!(bad("username", json!("a/b")).contains("username"));
    assert!(bad("username", json!(7)).contains("username"));
    assert!(bad("password", json!("short")).contains("password"));
    assert!(bad("role", json!("king")).contains("role"));
    assert!(bad("role", json!("publisher")).contains("publisher is for keys"));
    assert!(bad("extra", json!(1)).contains("extra"));
    admin.post("/users", &json!({ "username": "bob" })).refused(400, "BAD_REQUEST");
    let text = admin.post("/users", &json!({ "username": 1, "password": "hunter22" })).text;
    assert!(!text.contains("hunter22"), "{text}");
}

#[test]
fn keys_are_made_with_a_secret_that_is_shown_once_a1() {
    let rig = Rig::start();
    let admin = with_admin(&rig);
    let new = json!({ "name": "ci", "desc": "d", "role": "viewer" });
    let made = admin.post("/api_key", &new).expect(200).json();
    let (key, secret) =
        (made["api_key"].as_str().unwrap(), made["api_secret"].as_str().unwrap().to_owned());
    let http = rig.stranger().basic(key, &secret);
    http.get("/nodes").expect(200);
    http.delete("/alarms").refused(403, "UNAUTHORIZED_ROLE");
    http.get("/users").refused(401, "API_KEY_NOT_ALLOW");
    for path in ["/api_key", "/api_key/ci"] {
        assert!(!admin.get(path).expect(200).text.contains(&secret));
    }
    let shown = admin.get("/api_key/ci").json();
    assert_eq!((&shown["expired_at"], &shown["expired"]), (&json!("infinity"), &json!(false)));
    admin.post("/api_key", &new).refused(409, "ALREADY_EXISTS");
    let past = json!({ "expired_at": "2001-01-01T00:00:00Z" });
    assert_eq!(admin.put("/api_key/ci", &past).expect(200).json()["expired"], true);
    http.get("/nodes").refused(401, "BAD_API_KEY_OR_SECRET");
    let on = json!({ "expired_at": "infinity", "enable": false });
    admin.put("/api_key/ci", &on).expect(200);
    http.get("/nodes").refused(401, "BAD_API_KEY_OR_SECRET");
    admin.put("/api_key/ci", &json!({ "enable": true })).expect(200);
    http.get("/nodes").expect(200);
    admin.delete("/api_key/ci").expect(204);
    admin.delete("/api_key/ci").refused(404, "NOT_FOUND");
    http.get("/nodes").refused(401, "BAD_API_KEY_OR_SECRET");
}

#[test]
fn scopes_confine_a_key_and_bad_keys_are_refused_a4() {
    let rig = Rig::start();
    let admin = with_admin(&rig);
    let new = json!({ "name": "links", "scopes": ["cluster_operations"] });
    let made = admin.post("/api_key", &new).expect(200).json();
    let http = rig
        .stranger()
        .basic(made["api_key"].as_str().unwrap(), made["api_secret"].as_str().unwrap());
    http.get("/cluster/links").expect(200);
    http.get("/clients").refused(403, "UNAUTHORIZED_ROLE");
    for bad in [
        json!({ "name": "a b" }),
        json!({ "name": "x", "scopes": ["all"] }),
        json!({ "name": "x", "expired_at": "tomorrow" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "extra": 1 }),
    ] {
        admin.post("/api_key", &bad).refused(400, "BAD_REQUEST");
    }
    for n in 0..96 {
        admin.post("/api_key", &json!({ "name": format!("k{n}") })).expect(200);
    }
    admin.post("/api_key", &json!({ "name": "one-more" })).refused(400, "BAD_REQUEST");
}

#[test]
fn mqtt_users_are_kept_apart_from_users_of_the_web_ui() {
    let rig = Rig::start();
    with_admin(&rig);
    let http = rig.admin();
    let users = "/authentication/password_based:built_in_database/users";
    assert_eq!(http.get(users).expect(200).json()["data"], json!([]));
    for id in ["a", "b/c", "d"] {
        let body = json!({ "user_id": id, "password": "p", "is_superuser": id == "d" });
        http.post(users, &body).expect(201);
    }
    http.post(users, &json!({ "user_id": "a", "password": "p" })).refused(409, "ALREADY_EXISTS");
    http.post(users, &json!({ "user_id": "", "password": "p" })).refused(400, "BAD_REQUEST");
    http.post(users, &json!({ "user_id": "x", "password": "" })).refused(400, "BAD_REQUEST");
    let page = http.get(&format!("{users}?limit=2")).expect(200).json();
    assert_eq!(page["data"][1], json!({ "user_id": "b/c", "is_superuser": false }));
    let cursor = page["meta"]["cursor"].as_str().unwrap().replace('/', "%2F");
    let rest = http.get(&format!("{users}?limit=2&cursor={cursor}")).expect(200).json();
    assert_eq!(rest["data"], json!([{ "user_id": "d", "is_superuser": true }]));
    assert_eq!(rest["meta"]["hasnext"], false);
    let one = format!("{users}/b%2Fc");
    http.get(&one).expect(200);
    let changed = http.put(&one, &json!({ "password": "q", "is_superuser": true })).expect(200);
    assert_eq!(changed.json()["is_superuser"], true);
    let user = rig.replicated.look(|state| spanmq_api::mqtt_user(state, "b/c")).unwrap();
    assert!(user.password.verify(b"q") && !user.password.verify(b"p"));
    assert!(rig.replicated.look(|state| spanmq_api::mqtt_user(state, "admin")).is_none());
    http.delete(&one).expect(204);
    http.delete(&one).refused(404, "NOT_FOUND");
    http.get("/authentication/jwt/users").refused(404, "NOT_FOUND");
}

#[test]
fn the_rules_explain_their_decision() {
    let rig = Rig::start();
    let check = |query: &str| rig.admin().get(&format!("/authorization/check?{query}")).expect(200);
    let allowed = check("clientid=c&username=ann&action=publish&topic=a/x").json();
    let rule = json!({ "result": "allow", "cause": "rule", "file": "acl.conf", "line": 1 });
    assert_eq!(allowed, rule);
    assert_eq!(check("clientid=c&action=subscribe&topic=b/x").json()["line"], 2);
    assert_eq!(check("clientid=c&action=subscribe&topic=c").json()["cause"], "no_match");
    assert_eq!(check("clientid=c&action=publish&topic=$LINK/x").json()["cause"], "reserved");
}

#[test]
fn every_change_is_in_the_audit_log_without_its_secrets_o5() {
    let rig = Rig::with(2, |_| {});
    let admin = with_admin(&rig);
    let link = json!({ "name": "eu", "server": "h:1", "topics": [], "password": "planted-1" });
    rig.admin_of(1).post("/cluster/links", &link).expect(201);
    admin.post("/users", &json!({ "username": "bob", "password": "planted-2" })).expect(200);
    let made = admin.post("/api_key", &json!({ "name": "ci" })).expect(200).json();
    admin.post("/publish", &json!({ "topic": "t", "payload": "planted-3" })).expect(202);
    rig.stranger().delete("/cluster/links/link/eu").expect(401);
    rig.viewer().delete("/cluster/links/link/eu").expect(403);
    let records = rig.admin().get("/audit").expect(200);
    for secret in ["planted-", PASSWORD, made["api_secret"].as_str().unwrap()] {
        assert!(!records.text.contains(secret), "{}", records.text);
    }
    let records = records.json();
    let records = records.as_array().unwrap();
    let find = |path: &str, status: u64| {
        let fits = |r: &&Value| r["operation"] == path && r["http_status_code"] == status;
        records.iter().find(fits).unwrap_or_else(|| panic!("{path} {status}: {records:?}"))
    };
    let created = find("/api/v5/cluster/links", 201);
    assert_eq!(created["node"], "n2@127.0.0.1");
    assert_eq!(created["source"], "admin");
    assert_eq!(created["body"]["password"], "******");
    assert_eq!(created["operation_result"], "success");
    assert_eq!(find("/api/v5/cluster/links/link/eu", 401)["source"], "");
    assert_eq!(find("/api/v5/cluster/links/link/eu", 403)["operation_result"], "failure");
    find("/api/v5/users", 200);
    assert_eq!(find("/api/v5/login", 200)["source"], "admin");
    assert!(records.iter().all(|r| r["operation"] != "/api/v5/publish"));
    let newest = rig.admin().get("/audit?limit=1&node=n1@127.0.0.1").expect(200).json();
    assert_eq!(newest.as_array().unwrap().len(), 1);
    eventually("audit of one source", || {
        let of = rig.admin().get("/audit?source=viewer").json();
        of.as_array().unwrap().iter().all(|r| r["source"] == "viewer") && of != json!([])
    });
}
