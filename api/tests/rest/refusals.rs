//! What every endpoint refuses in the same way (LINK-SPEC 4.1, A-3, SECURITY A1, A2).

use serde_json::{Value, json};

use crate::client::Http;
use crate::rig::Rig;

/// Every operation of the document, with its path parameters filled in.
pub fn operations() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(&spanmq_api::openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let filled = |path: &str| {
        let id = "password_based:built_in_database";
        let path = path.replace("/authentication/{id}", &format!("/authentication/{id}"));
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let operations = paths.into_iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().clone();
        item.into_iter()
            .map(move |(method, operation)| (method.to_uppercase(), filled(&path), operation))
    });
    operations.collect()
}

fn call(http: &Http, method: &str, path: &str) -> crate::client::Answer {
    http.call(method, path, None, &[("content-type", "application/json")])
}

#[test]
fn without_credentials_everything_but_health_and_login_is_401_a1() {
    let rig = Rig::start();
    let mut tried = 0;
    for (method, path, _) in operations() {
        let answer = call(&rig.stranger(), &method, &path);
        if ["/livez", "/readyz", "/login"].contains(&path.as_str()) {
            assert_ne!(answer.status, 401, "{method} {path}");
            continue;
        }
        let answer = answer.refused(401, "AUTHORIZATION_HEADER_ERROR");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"), "{path}");
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
    rig.stranger().get("/no/such/path").refused(401, "AUTHORIZATION_HEADER_ERROR");
}

#[test]
fn bad_credentials_are_told_apart_a3() {
    let rig = Rig::start();
    let with = |header: &str| rig.stranger().with(header).get("/nodes");
    with("Basic").refused(401, "AUTHORIZATION_HEADER_ERROR");
    with("Digest x").refused(401, "AUTHORIZATION_HEADER_ERROR");
    with("Basic %%%").refused(401, "AUTHORIZATION_HEADER_ERROR");
    rig.stranger().basic("admin", "wrong").get("/nodes").refused(401, "BAD_API_KEY_OR_SECRET");
    rig.stranger().basic("nobody", "x").get("/nodes").refused(401, "BAD_API_KEY_OR_SECRET");
    with("Bearer a.b.c").refused(401, "BAD_TOKEN");
}

#[test]
fn a_viewer_reads_everything_and_changes_nothing_a4() {
    let rig = Rig::start();
    for (method, path, _) in operations() {
        if path == "/events" {
            // A stream has no end; see `events`.
            continue;
        }
        let answer = call(&rig.viewer(), &method, &path);
        let open = ["/login"].contains(&path.as_str());
        let users = ["/users", "/api_key", "/logout"].iter().any(|start| path.starts_with(start));
        match method.as_str() {
            _ if open => {}
            _ if users => drop(answer.refused(401, "API_KEY_NOT_ALLOW")),
            "GET" => assert!(![401, 403].contains(&answer.status), "{path}: {answer:?}"),
            _ => drop(answer.refused(403, "UNAUTHORIZED_ROLE")),
        }
    }
}

#[test]
fn a_publisher_publishes_only_a4() {
    let rig = Rig::start();
    let publisher = rig.publisher();
    publisher.post("/publish", &json!({ "topic": "t", "payload": "x" })).expect(202);
    publisher.get("/clients").refused(403, "UNAUTHORIZED_ROLE");
    publisher.get("/cluster/links").refused(403, "UNAUTHORIZED_ROLE");
}

#[test]
fn bodies_that_are_too_large_broken_or_no_json_are_refused_one_by_one() {
    let rig = Rig::start();
    let json = [("content-type", "application/json")];
    let mut tried = 0;
    for (method, path, operation) in operations() {
        if operation.get("requestBody").is_none() || path == "/login" {
            continue;
        }
        // Keys may not manage users; these endpoints are in the tests of logins.
        if ["/users", "/api_key", "/logout"].iter().any(|start| path.starts_with(start)) {
            continue;
        }
        let send = |body: &str, headers: &[(&str, &str)]| {
            rig.admin().call(&method, &path, Some(body.to_owned()), headers)
        };
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
        send(&large, &json).refused(413, "PAYLOAD_TOO_LARGE");
        send("{", &json).refused(400, "BAD_REQUEST");
        send("", &json).refused(400, "BAD_REQUEST");
        send("x=1", &[("content-type", "text/plain")]).refused(415, "UNSUPPORTED_MEDIA_TYPE");
        let wrong = send("{\"no_such_field\":1}", &json);
        assert!([400, 404].contains(&wrong.status), "{method} {path}: {wrong:?}");
        tried += 1;
    }
    assert!(tried >= 9, "{tried}");
}

#[test]
fn another_method_is_405_and_another_path_404() {
    let rig = Rig::start();
    rig.admin().delete("/cluster").refused(405, "METHOD_NOT_ALLOWED");
    rig.admin().put("/cluster/links/test", &json!({ "server": "h:1", "topics": [] })).expect(405);
    rig.admin().get("/no/such/path").refused(404, "NOT_FOUND");
}

#[test]
fn bad_queries_are_400_with_the_field() {
    let rig = Rig::start();
    for path in [
        "/clients?limit=0",
        "/clients?limit=10001",
        "/clients?limit=x",
        "/clients?cursor=%25",
        "/clients?conn_state=asleep",
        "/subscriptions?cursor=e30",
        "/routes?limit=-1",
        "/retainer/messages?topic=a%23",
        "/cluster/links/explain",
        "/cluster/links/explain?topic=a/%23",
        "/authorization/check?clientid=c&action=fly&topic=t",
        "/audit?limit=0",
    ] {
        rig.admin().get(path).refused(400, "BAD_REQUEST");
    }
}

#[test]
fn without_a_quorum_writes_are_503_with_retry_after_and_reads_go_on() {
    let rig = Rig::start();
    let link = json!({ "name": "eu", "server": "127.0.0.1:1", "topics": ["t"] });
    rig.admin().post("/cluster/links", &link).expect(201);
    rig.lose_quorum();
    let refused = |answer: crate::client::Answer| {
        let answer = answer.refused(503, "SERVICE_UNAVAILABLE");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    };
    let other = json!({ "name": "us", "server": "127.0.0.1:1", "topics": ["t"] });
    refused(rig.admin().post("/cluster/links", &other));
    refused(rig.admin().put("/cluster/links", &other));
    refused(rig.admin().put("/cluster/links/link/eu", &link));
    refused(rig.admin().delete("/cluster/links/link/eu"));
    refused(rig.admin().post("/cluster/links/link/eu/pause", &json!({})));
    refused(rig.admin().delete("/retainer/message/t"));
    refused(rig.admin().delete("/alarms"));
    let users = "/authentication/password_based:built_in_database/users";
    refused(rig.admin().post(users, &json!({ "user_id": "u", "password": "p" })));
    let list = rig.admin().get("/cluster/links").expect(200);
    assert!(list.header("x-spanmq-stale").is_some(), "{list:?}");
    for path in ["/status", "/cluster", "/nodes", "/metrics", "/prometheus/stats", "/clients"] {
        rig.admin().get(path).expect(200);
    }
    rig.stranger().get("/livez").expect(200);
    rig.stranger().get("/readyz").expect(503);
    let verbose = rig.stranger().get("/readyz?verbose").expect(503).json();
    assert_eq!(verbose["ready"], false);
    assert_ne!(verbose["checks"]["quorum"], "ok");
}

#[test]
fn the_size_of_a_body_has_the_limit_that_is_set() {
    let rig = Rig::with(1, |config| config.body_bytes_max = 100);
    let send = |bytes: usize| {
        let body = format!("{{\"x\":\"{}\"}}", "y".repeat(bytes));
        rig.admin().call("POST", "/publish", Some(body), &[("content-type", "application/json")])
    };
    send(200).refused(413, "PAYLOAD_TOO_LARGE");
    send(50).refused(400, "BAD_REQUEST");
}
