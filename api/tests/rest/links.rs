//! Links in both dialects (LINK-SPEC 4.2, 4.3, 4.4).

use std::thread;

use serde_json::{Value, json};
use spanmq_state::Command;
use spanmq_state::command::{RemoteCommand, RemoteOp};

use crate::client::{Answer, Http, Mqtt};
use crate::rig::{Rig, eventually};

const LIST: &str = "/cluster/links";
const EU: &str = "/cluster/links/link/eu";

/// Nothing listens on port 1: the link stays "disconnected" or "connecting".
pub fn link(name: &str) -> Value {
    json!({ "name": name, "server": "127.0.0.1:1", "clientid": name, "topics": ["t/#"] })
}

fn without(mut value: Value, fields: &[&str]) -> Value {
    fields.iter().for_each(|field| drop(value.as_object_mut().unwrap().remove(*field)));
    value
}

#[test]
fn both_dialects_create_show_change_and_delete_the_same_link() {
    let rig = Rig::with(2, |_| {});
    let (a, b) = (rig.admin(), rig.admin_of(1));
    let made = a.post(LIST, &link("eu")).expect(201).json();
    assert_eq!((&made["name"], &made["enable"]), (&json!("eu"), &json!(true)));
    assert_eq!(made["pool_size"], 8, "defaults are filled in (R-4)");
    assert!(made["revision"].is_number() && made["warnings"].is_array());
    a.post(LIST, &link("eu")).refused(400, "ALREADY_EXISTS");
    assert_eq!(b.put(LIST, &link("us")).expect(201).json()["name"], "us");
    let change = json!({ "name": "us", "server": "127.0.0.1:1", "clientid": "us", "topics": [] });
    assert_eq!(b.put(LIST, &change).expect(200).json()["topics"], json!([]));
    let names = |http: &Http| -> Vec<Value> {
        let list = http.get(LIST).expect(200).json();
        list.as_array().unwrap().iter().map(|link| link["name"].clone()).collect()
    };
    assert_eq!(names(&a), ["eu", "us"], "in order of creation");
    assert_eq!(names(&b), names(&a));
    let body = without(link("eu"), &["name"]);
    let put = |path: &str, pool: u32| {
        let mut body = body.clone();
        body["pool_size"] = pool.into();
        b.put(path, &body).expect(200).json()["pool_size"].clone()
    };
    assert_eq!((put(EU, 2), put("/cluster/links/eu", 3)), (json!(2), json!(3)));
    assert_eq!(a.get("/cluster/links/eu").expect(200).json()["pool_size"], 3);
    assert_eq!(a.put(EU, &body).expect(200).json()["pool_size"], 8, "PUT replaces the entry (R-2)");
    a.delete("/cluster/links/us").expect(204);
    b.delete(EU).expect(204);
    assert_eq!(names(&a), [Value::Null; 0]);
    for answer in [a.get(EU), a.put(EU, &body), a.delete(EU), a.get("/cluster/links/eu/metrics")] {
        assert_eq!(answer.refused(404, "NOT_FOUND").message(), "Cluster link not found");
    }
}

#[test]
fn an_array_replaces_the_whole_list_or_nothing_of_it() {
    let rig = Rig::start();
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    let list = json!([link("us"), link("asia")]);
    let answer = http.put(LIST, &list).expect(200).json();
    let names: Vec<_> = answer.as_array().unwrap().iter().map(|l| l["name"].clone()).collect();
    assert_eq!(names, ["us", "asia"]);
    let bad = json!([link("x"), { "name": "y", "server": "h:1", "topics": ["#/x"] }]);
    http.put(LIST, &bad).refused(400, "BAD_REQUEST");
    let twice = json!([link("x"), link("x")]);
    http.put(LIST, &twice).refused(400, "BAD_REQUEST");
    assert_eq!(http.get(LIST).json().as_array().unwrap().len(), 2);
    assert_eq!(http.put(LIST, &json!([])).expect(200).json(), json!([]));
}

#[test]
fn a_link_called_link_is_reachable_in_both_dialects_r9() {
    let rig = Rig::start();
    rig.admin().post(LIST, &link("link")).expect(201);
    for path in ["/cluster/links/link", "/cluster/links/link/link"] {
        assert_eq!(rig.admin().get(path).expect(200).json()["name"], "link", "{path}");
    }
    rig.admin().post(LIST, &link("a b")).refused(400, "BAD_REQUEST");
}

#[test]
fn status_words_are_those_of_the_dialect_r10() {
    let rig = Rig::start();
    let http = rig.admin();
    let mut off = link("eu");
    off["enable"] = false.into();
    http.post(LIST, &off).expect(201);
    let status = |http: &Http, path: &str| {
        let answer = http.get(path).expect(200).json();
        let one = answer.get(0).cloned().unwrap_or(answer);
        (one["status"].clone(), one["node_status"][0]["status"].clone())
    };
    let both = |word: &str| (json!(word), json!(word));
    eventually("the disabled link on the node", || status(&http, LIST) == both("stopped"));
    assert_eq!(status(&http, "/cluster/links/eu"), both("stopped"));
    assert_eq!(status(&http, "/cluster/links/eu?style=emqx"), both("disconnected"));
    assert_eq!(status(&http, "/cluster/links?style=emqx"), both("disconnected"));
    assert_eq!(status(&http, EU), both("disconnected"));
    let setting = Rig::with(1, |config| config.links_style_emqx = true);
    setting.admin().post(LIST, &off).expect(201);
    eventually("the setting's words", || status(&setting.admin(), LIST) == both("disconnected"));
}

#[test]
fn a_node_that_is_away_makes_the_link_inconsistent_with_a_reason_r5() {
    let rig = Rig::with(2, |_| {});
    rig.admin().post(LIST, &link("eu")).expect(201);
    rig.nodes[1].running.store(false, std::sync::atomic::Ordering::SeqCst);
    let shown = rig.admin().get(EU).expect(200).json();
    assert_eq!(shown["status"], "inconsistent");
    let away = &shown["node_status"][1];
    assert_eq!((&away["node"], &away["status"]), (&json!("n2@127.0.0.1"), &json!("inconsistent")));
    assert!(away["reason"].is_object() || away["reason"].is_string(), "{away}");
    let metrics = rig.admin().get("/cluster/links/eu/metrics").expect(200).json();
    assert_eq!(metrics["node_metrics"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_read_can_be_sent_back_and_secrets_stay_r2_r6() {
    let rig = Rig::start();
    let http = rig.admin();
    let mut secret = link("eu");
    secret["username"] = "u".into();
    secret["password"] = "planted".into();
    secret["ssl"] = json!({ "enable": true, "verify": "verify_none", "password": "planted-too" });
    let made = http.post(LIST, &secret).expect(201);
    assert!(!made.text.contains("planted"), "{}", made.text);
    let warned = made.json()["warnings"].to_string();
    assert!(warned.contains("tls_verify_none"), "{warned}");
    let read = http.get(EU).expect(200).json();
    assert_eq!((&read["password"], &read["ssl"]["password"]), (&json!("******"), &json!("******")));
    let sent = http.put(EU, &read).expect(200).json();
    assert_eq!(
        without(sent, &["reason", "since", "node_status", "status", "replication_status"]),
        without(read.clone(), &["reason", "since", "node_status", "status", "replication_status"])
    );
    let stored =
        || rig.replicated.look(|s| s.links().get("eu").unwrap().config.reveal().to_owned());
    assert!(stored().contains("\"planted\"") && stored().contains("planted-too"));
    let mut renamed = read.clone();
    renamed["name"] = "other".into();
    assert_eq!(http.put(EU, &renamed).expect(200).json()["name"], "eu", "the path's name wins");
    let list = http.put(LIST, &json!([read])).expect(200);
    assert!(!list.text.contains("planted") && stored().contains("\"planted\""));
    http.delete(EU).expect(204);
    http.post(LIST, &read).expect(201);
    assert!(!stored().contains("planted") && !stored().contains("******"), "a create drops it");
    assert_eq!(http.get(EU).json().get("password"), None);
}

#[test]
fn concurrent_creates_and_deletes_have_one_winner_r3() {
    let rig = Rig::with(2, |_| {});
    let all = |call: fn(&Http) -> Answer| -> Vec<u16> {
        let callers: Vec<_> = (0..8).map(|n| rig.admin_of(n % 2)).collect();
        thread::scope(|scope| {
            let running: Vec<_> =
                callers.iter().map(|http| scope.spawn(move || call(http).status)).collect();
            let mut statuses: Vec<_> = running.into_iter().map(|t| t.join().unwrap()).collect();
            statuses.sort_unstable();
            statuses
        })
    };
    let created = all(|http| http.post(LIST, &link("eu")));
    assert_eq!(created, [201, 400, 400, 400, 400, 400, 400, 400]);
    let changed = all(|http| http.put(EU, &without(link("eu"), &["name"])));
    assert_eq!(changed, [200; 8]);
    let deleted = all(|http| http.delete(EU));
    assert_eq!(deleted, [204, 404, 404, 404, 404, 404, 404, 404]);
}

#[test]
fn if_match_lets_a_change_through_only_at_its_revision() {
    let rig = Rig::start();
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    let etag = http.get(EU).header("etag").unwrap().to_owned();
    let with = |method: &str, etag: &str, body: Value| {
        let headers = [("if-match", etag), ("content-type", "application/json")];
        http.call(method, EU, Some(body.to_string()), &headers)
    };
    let mut body = without(link("eu"), &["name"]);
    body["pool_size"] = 2.into();
    with("PUT", &etag, body.clone()).expect(200);
    body["pool_size"] = 3.into();
    with("PUT", &etag, body.clone()).refused(412, "PRECONDITION_FAILED");
    with("DELETE", &etag, json!({})).refused(412, "PRECONDITION_FAILED");
    with("PUT", "\"x\"", body).refused(400, "BAD_REQUEST");
    assert_eq!(http.get(EU).json()["pool_size"], 2);
    let now = http.get(EU).header("etag").unwrap().to_owned();
    with("DELETE", &now, json!({})).expect(204);
}

#[test]
fn pause_and_resume_survive_changes() {
    let rig = Rig::start();
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    let paused = http.post("/cluster/links/link/eu/pause", &json!({})).expect(200).json();
    assert_eq!(paused["paused"], true);
    assert_eq!(http.put(EU, &paused).expect(200).json()["paused"], true);
    let resumed = http.post("/cluster/links/link/eu/resume", &json!({})).expect(200).json();
    assert_eq!(resumed["paused"], false);
    http.post("/cluster/links/link/us/pause", &json!({})).refused(404, "NOT_FOUND");
}

#[test]
fn metrics_have_both_spellings_and_can_be_reset_r7_r11() {
    let rig = Rig::with(2, |_| {});
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    let emqx = http.get("/cluster/links/link/eu/metrics").expect(200).json();
    assert!(emqx["metrics"]["forwarding"]["matched"].is_number());
    assert!(emqx["metrics"]["router"]["routes"].is_number());
    assert!(emqx["metrics"].get("routers").is_none());
    let guide = http.get("/cluster/links/eu/metrics").expect(200).json();
    assert_eq!((&guide["metrics"]["routers"], &guide["metrics"]["routes"]), (&json!(0), &json!(0)));
    assert_eq!(guide["node_metrics"][1]["node"], "n2@127.0.0.1");
    let empty = json!({});
    http.put("/cluster/links/link/eu/metrics/reset", &empty).expect(204);
    http.put("/cluster/links/eu/metrics/reset", &empty).expect(204);
    http.put("/cluster/links/us/metrics/reset", &empty).refused(404, "NOT_FOUND");
}

fn learn(rig: &Rig, topics: &[&str]) {
    let (peer, actor) = ("eu".into(), "emqx@10.0.0.1".into());
    let init = RemoteCommand::ActorInit { peer, actor, incarnation: 1, at_ms: 1_000 };
    let ops =
        topics.iter().map(|topic| RemoteOp::Add { filter: (*topic).into(), id: (*topic).into() });
    let ops = RemoteCommand::RouteOps {
        peer: "eu".into(),
        actor: "emqx@10.0.0.1".into(),
        incarnation: 1,
        ops: ops.collect(),
    };
    rig.replicated.apply(vec![Command::Remote(init), Command::Remote(ops)]).unwrap();
}

#[test]
fn the_routes_of_a_link_are_shown_in_both_directions() {
    let rig = Rig::start();
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    learn(&rig, &["a/1", "a/2", "b"]);
    let mut client = Mqtt::connect(rig.mqtt(0), "c", None);
    client.subscribe("t/1", 0);
    client.subscribe("$share/g/#", 0);
    client.subscribe("other", 0);
    let get =
        |query: &str| http.get(&format!("/cluster/links/link/eu/routes{query}")).expect(200).json();
    eventually("our routes", || get("")["sent"].as_array().unwrap().len() == 2);
    let all = get("");
    assert_eq!(all["meta"]["learnt_count"], 3);
    let actor = json!({
        "actor": "emqx@10.0.0.1", "incarnation": 1, "last_seen": "1970-01-01T00:00:01.000Z",
        "routes": 3, "stale_routes": 0,
    });
    assert_eq!(all["actors"], json!([actor]));
    let nodes = json!(["n1@127.0.0.1"]);
    let sent = json!([
        { "topic": "t/#", "subscription": "$share/g/#", "nodes": nodes },
        { "topic": "t/1", "subscription": "t/1", "nodes": nodes },
    ]);
    assert_eq!(all["sent"], sent);
    let some = get("?filter=a/");
    let learnt = some["learnt"].as_array().unwrap();
    assert_eq!(learnt.len(), 2);
    assert_eq!(
        (&learnt[0]["actors"], &learnt[0]["stale"]),
        (&json!(["emqx@10.0.0.1"]), &json!(false))
    );
    let mut seen = Vec::new();
    for page in 1..=3 {
        let rows = get(&format!("?page={page}&limit=1"));
        assert_eq!(rows["meta"]["hasnext"], page < 3);
        seen.push(rows["learnt"][0]["topic"].as_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["a/1", "a/2", "b"]);
    http.get("/cluster/links/link/eu/routes?page=0").refused(400, "BAD_REQUEST");
    http.get("/cluster/links/link/us/routes").refused(404, "NOT_FOUND");
}

#[test]
fn explain_says_where_a_topic_goes_and_why() {
    let rig = Rig::start();
    let http = rig.admin();
    let explain = |topic: &str| {
        let answer = http.get(&format!("/cluster/links/explain?topic={topic}")).expect(200);
        answer.json()["links"][0].clone()
    };
    http.post(LIST, &link("eu")).expect(201);
    assert_eq!(explain("a/1")["because"], "the remote has not told us any route yet");
    learn(&rig, &["a/+"]);
    let yes = json!({
        "name": "eu", "forwarded": true, "matching": ["a/+"], "wanted": [],
        "because": "the remote asked for it",
    });
    assert_eq!(explain("a/1"), yes);
    let no = explain("t/1");
    assert_eq!((&no["forwarded"], &no["wanted"]), (&json!(false), &json!(["t/#"])));
    assert_eq!(no["because"], "no filter that the remote asked for matches");
    let because = |topic: &str| explain(topic)["because"].as_str().unwrap().to_owned();
    assert!(because("$LINK/x").contains("only $SYS/"), "{}", because("$LINK/x"));
    assert_eq!(because("$SYS/x"), "no filter that the remote asked for matches");
    http.post("/cluster/links/link/eu/pause", &json!({})).expect(200);
    assert!(explain("a/1")["because"].as_str().unwrap().contains("paused"));
    let mut off = link("eu");
    off["enable"] = false.into();
    http.put(EU, &off).expect(200);
    assert_eq!(explain("a/1")["because"], "the link is disabled here");
    assert_eq!(explain("a/1")["forwarded"], false);
}

#[test]
fn a_test_says_which_step_failed_and_stores_nothing() {
    let rig = Rig::start();
    let http = rig.admin();
    let test = |body: &Value| http.post("/cluster/links/test", body).expect(200).json();
    let refused = test(&link("eu"));
    assert_eq!((&refused["ok"], &refused["reached"]), (&json!(false), &json!("tcp")));
    assert_eq!(refused["reason"], "connection_refused");
    assert!(refused["message"].as_str().unwrap().len() > 20);
    assert_eq!(refused["steps"][0]["step"], "dns");
    let mut unknown = link("eu");
    unknown["server"] = "no-such-host.invalid:1883".into();
    assert_eq!(test(&unknown)["reached"], "dns");
    let mut broker = link("eu");
    broker["server"] = rig.mqtt(0).to_string().into();
    // The rig's broker has no linking behind it that would answer the handshake.
    let late = test(&broker);
    assert_eq!((&late["reached"], &late["ok"]), (&json!("handshake"), &json!(false)), "{late}");
    assert!(late["connack"]["maximum_qos"] == 2, "{late}");
    let steps: Vec<_> =
        late["steps"].as_array().unwrap().iter().map(|s| s["step"].clone()).collect();
    assert_eq!(steps, ["dns", "tcp", "connack", "suback", "handshake"]);
    assert_eq!(http.get(LIST).json(), json!([]));
}

#[test]
fn events_of_a_link_are_told_with_their_cause() {
    let rig = Rig::start();
    let http = rig.admin();
    http.post(LIST, &link("eu")).expect(201);
    let events = || http.get("/cluster/links/link/eu/events").expect(200).json();
    eventually("a failed attempt", || events().to_string().contains("connection_refused"));
    let first = events()[0].clone();
    assert_eq!(first["node"], "n1@127.0.0.1");
    assert!(first["at"].is_string() && first["part"].is_string() && first["state"].is_string());
    http.get("/cluster/links/link/us/events").refused(404, "NOT_FOUND");
}
