//! Clients, subscriptions and routes of two nodes.

use serde_json::{Value, json};

use crate::client::{Http, Mqtt};
use crate::rig::{Rig, eventually};

/// `a`, `c` on the first node, `b` on the second.
fn three_clients(rig: &Rig) -> Vec<Mqtt> {
    let mut clients = vec![
        Mqtt::connect(rig.mqtt(0), "a", Some("ann")),
        Mqtt::connect(rig.mqtt(1), "b", None),
        Mqtt::connect(rig.mqtt(0), "c", Some("ann")),
    ];
    clients[0].subscribe("t/1", 1);
    clients[0].subscribe("t/+", 0);
    clients[1].subscribe("$share/g/t/#", 1);
    clients
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|row| row["clientid"].as_str().unwrap()).collect()
}

fn get(http: &Http, path: &str) -> Value {
    http.get(path).expect(200).json()
}

#[test]
fn clients_of_all_nodes_are_one_list_in_pages() {
    let rig = Rig::with(2, |_| {});
    let _clients = three_clients(&rig);
    let http = rig.admin();
    let all = get(&http, "/clients");
    assert_eq!(ids(&all), ["a", "b", "c"]);
    assert_eq!(all["meta"]["hasnext"], false);
    let row = &all["data"][0];
    assert_eq!((&row["username"], &row["node"]), (&json!("ann"), &json!("n1@127.0.0.1")));
    assert_eq!((&row["connected"], &row["proto_ver"]), (&json!(true), &json!(4)));
    assert_eq!((&row["subscriptions_cnt"], &row["keepalive"]), (&json!(2), &json!(60)));
    assert!(
        row["connected_at"].as_str().unwrap().ends_with('Z') && row["ip_address"] == "127.0.0.1"
    );
    let page = get(&http, "/clients?limit=2");
    assert_eq!((ids(&page), &page["meta"]["hasnext"]), (vec!["a", "b"], &json!(true)));
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let rest = get(&http, &format!("/clients?limit=2&cursor={cursor}"));
    assert_eq!((ids(&rest), rest["meta"].get("cursor")), (vec!["c"], None));
    for (query, expected) in [
        ("clientid=b", vec!["b"]),
        ("username=ann", vec!["a", "c"]),
        ("like_username=nn", vec!["a", "c"]),
        ("like_clientid=c", vec!["c"]),
        ("node=n2@127.0.0.1", vec!["b"]),
        ("conn_state=disconnected", vec![]),
        ("conn_state=connected&username=ann&limit=1", vec!["a"]),
    ] {
        assert_eq!(ids(&get(&http, &format!("/clients?{query}"))), expected, "{query}");
    }
}

#[test]
fn a_node_that_is_away_is_named_and_its_clients_are_not_called_unknown() {
    let rig = Rig::with(2, |_| {});
    let _clients = three_clients(&rig);
    rig.nodes[1].running.store(false, std::sync::atomic::Ordering::SeqCst);
    let all = get(&rig.admin(), "/clients");
    assert_eq!(ids(&all), ["a", "c"]);
    assert_eq!(all["meta"]["unreachable"], json!(["n2@127.0.0.1"]));
    rig.admin().get("/clients/b").refused(503, "SERVICE_UNAVAILABLE");
    rig.admin().delete("/clients/b").refused(503, "SERVICE_UNAVAILABLE");
    rig.admin().get("/clients/x").refused(404, "NOT_FOUND");
    let metrics = get(&rig.admin(), "/metrics");
    assert_eq!(metrics[1], json!({ "node": "n2@127.0.0.1", "reachable": false }));
}

#[test]
fn a_client_is_kicked_through_any_node() {
    let rig = Rig::with(2, |_| {});
    let mut clients = three_clients(&rig);
    let http = rig.admin();
    assert_eq!(get(&http, "/clients/b")["node"], "n2@127.0.0.1");
    http.delete("/clients/b").expect(204);
    assert!(clients[1].is_closed());
    eventually("the session's end", || http.get("/clients/b").status == 404);
    http.delete("/clients/b").refused(404, "NOT_FOUND");
    rig.viewer().delete("/clients/a").refused(403, "UNAUTHORIZED_ROLE");
    get(&http, "/clients/a");
}

#[test]
fn subscriptions_are_listed_by_client_and_filter() {
    let rig = Rig::with(2, |_| {});
    let _clients = three_clients(&rig);
    let http = rig.admin();
    let topics = |value: &Value| -> Vec<String> {
        let rows = value.get("data").unwrap_or(value).as_array().unwrap();
        rows.iter().map(|row| row["topic"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(topics(&get(&http, "/clients/b/subscriptions")), ["$share/g/t/#"]);
    assert_eq!(topics(&get(&http, "/clients/c/subscriptions")), [""; 0]);
    http.get("/clients/x/subscriptions").refused(404, "NOT_FOUND");
    let all = get(&http, "/subscriptions");
    assert_eq!(topics(&all), ["t/+", "t/1", "$share/g/t/#"]);
    let first = json!({
        "clientid": "a", "node": "n1@127.0.0.1", "topic": "t/+", "qos": 0, "nl": 0, "rap": 0,
    });
    assert_eq!(all["data"][0], first);
    let page = get(&http, "/subscriptions?limit=1");
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let rest = get(&http, &format!("/subscriptions?cursor={cursor}"));
    assert_eq!(topics(&rest), ["t/1", "$share/g/t/#"]);
    assert_eq!(topics(&get(&http, "/subscriptions?match_topic=t/2")), ["t/+", "$share/g/t/#"]);
    assert_eq!(topics(&get(&http, "/subscriptions?topic=t/1")), ["t/1"]);
    assert_eq!(topics(&get(&http, "/subscriptions?clientid=b")), ["$share/g/t/#"]);
}

#[test]
fn routes_name_the_nodes_that_want_a_filter() {
    let rig = Rig::with(2, |_| {});
    let mut clients = three_clients(&rig);
    clients[2].subscribe("t/1", 0);
    clients[1].subscribe("t/1", 0);
    let http = rig.admin();
    eventually("the routes", || http.get("/routes").json()["data"].as_array().unwrap().len() == 3);
    let one = get(&http, "/routes?topic=t/1")["data"][0].clone();
    assert_eq!(one, json!({ "topic": "t/1", "nodes": ["n1@127.0.0.1", "n2@127.0.0.1"] }));
    let shared = get(&http, "/routes?topic=t/%23")["data"][0].clone();
    let members = json!([{ "node": "n2@127.0.0.1", "members": 1 }]);
    assert_eq!(shared["groups"], json!([{ "group": "g", "nodes": members }]));
    let mut seen = Vec::new();
    let mut path = "/routes?limit=1".to_owned();
    loop {
        let page = get(&http, &path);
        seen.push(page["data"][0]["topic"].as_str().unwrap().to_owned());
        let Some(cursor) = page["meta"]["cursor"].as_str() else { break };
        path = format!("/routes?limit=1&cursor={cursor}");
    }
    seen.sort();
    assert_eq!(seen, ["t/#", "t/+", "t/1"]);
    let second = get(&http, "/routes?node=n2@127.0.0.1");
    assert_eq!(second["data"].as_array().unwrap().len(), 2);
    assert_eq!(get(&http, "/routes?topic=none")["data"], json!([]));
}
