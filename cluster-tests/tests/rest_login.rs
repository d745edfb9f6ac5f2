//! Logins on a real cluster of three: what one node grants counts on all, and so does its end
//! (LINK-SPEC A-2, D-4, SECURITY A1).

use anyhow::Context;
use cluster_tests::harness::{Cluster, Node, NodeOptions};
use serde_json::{Value, json};

/// Status and body of a call with a bearer token, or without any credentials.
fn call(
    node: &Node,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{}/api/v5{path}", node.addresses().api))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = agent.run(request.body(body.to_string())?)?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

#[test]
fn a_login_counts_on_every_node_and_so_does_its_end() -> anyhow::Result<()> {
    let config = "dashboard { default_password = \"correct horse\" }\n".to_owned();
    let options = NodeOptions { config: Some(config), ..NodeOptions::default() };
    let cluster = Cluster::start_with("rest-login", 3, &options)?;
    let none = json!({});
    for (n, node) in cluster.nodes.iter().enumerate() {
        let (status, _) = call(node, "GET", "/nodes", None, &none)?;
        anyhow::ensure!(status == 401, "without credentials: {status}");
        for guess in ["public", "admin", ""] {
            let body = json!({ "username": "admin", "password": guess });
            let (status, answer) = call(node, "POST", "/login", None, &body)?;
            anyhow::ensure!(status == 401, "{guess:?}: {answer}");
        }
        let body = json!({ "username": "admin", "password": "correct horse" });
        let (status, answer) = call(node, "POST", "/login", None, &body)?;
        anyhow::ensure!(status == 200, "{answer}");
        let token = answer["token"].as_str().context("token")?;
        let next = &cluster.nodes[(n + 1) % 3];
        let (status, users) = call(next, "GET", "/users", Some(token), &none)?;
        anyhow::ensure!(status == 200 && users[0]["username"] == "admin", "{status}: {users}");
        let (status, _) =
            call(next, "POST", "/logout", Some(token), &json!({ "username": "admin" }))?;
        anyhow::ensure!(status == 204, "{status}");
        let (status, answer) = call(next, "GET", "/users", Some(token), &none)?;
        anyhow::ensure!(status == 401 && answer["code"] == "BAD_TOKEN", "{status}: {answer}");
    }
    let logs: String = cluster.nodes.iter().map(Node::log).collect();
    anyhow::ensure!(!logs.contains("correct horse"), "the password is in a log");
    Ok(())
}
