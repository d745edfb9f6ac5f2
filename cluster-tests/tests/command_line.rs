//! `spanmq cluster …` and `spanmq link …` against real nodes, as a person or a script uses them:
//! tokens, status, links, exit codes. Where a cluster is formed, its nodes run as in production:
//! members talk TLS, who joins needs a token.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::Client;
use cluster_tests::harness::links::Setup;
use cluster_tests::harness::{API_KEY, API_SECRET, Node, NodeOptions, binary, eventually};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(20);

type Env<'a> = &'a [(&'a str, &'a str)];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn run(words: &[&str], env: Env<'_>) -> anyhow::Result<Output> {
    let mut command = Command::new(binary()?);
    Ok(command.args(words).env_clear().envs(env.iter().copied()).output()?)
}

fn cluster(node: &Node, words: &[&str]) -> anyhow::Result<Output> {
    spanmq(node, &[&["cluster"], words].concat())
}

/// `spanmq link …`, with the exit code it must have; what it printed.
fn link(node: &Node, code: i32, words: &[&str]) -> anyhow::Result<String> {
    let output = spanmq(node, &[&["link"], words].concat())?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    anyhow::ensure!(
        output.status.code() == Some(code),
        "{words:?}: {:?} {out} {err}",
        output.status
    );
    Ok(format!("{out}\n{err}"))
}

/// A command on `node`, with the key of the harness.
fn spanmq(node: &Node, words: &[&str]) -> anyhow::Result<Output> {
    let api = format!("http://{}", node.addresses().api);
    let env =
        [("SPANMQ_API", &*api), ("SPANMQ_API_KEY", API_KEY), ("SPANMQ_API_SECRET", API_SECRET)];
    run(words, &env)
}

fn status(node: &Node) -> anyhow::Result<Value> {
    let output = cluster(node, &["status", "-o", "json"])?;
    serde_json::from_slice(&output.stdout).with_context(|| text(&output.stderr))
}

fn node(dir: &Path, number: u32, flags: &[&str]) -> anyhow::Result<Node> {
    let options = NodeOptions {
        name: format!("n{number}@127.0.0.1"),
        cluster: "prod".to_owned(),
        flags: flags.iter().chain(&["--allow-anonymous"]).map(|flag| (*flag).to_owned()).collect(),
        env: vec![
            ("SPANMQ_MQTT__MAX_INFLIGT".to_owned(), "3".to_owned()),
            ("SPANMQ_AUTHORIZATION__NO_MATCH".to_owned(), "allow".to_owned()),
        ],
        ..NodeOptions::default()
    };
    Node::new(&dir.join(format!("n{number}")), options)
}

fn dir(name: &str) -> anyhow::Result<std::path::PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn crosses(to: &Node, from: &Node) -> anyhow::Result<()> {
    let mut subscriber = Client::simple(to.mqtt_port(), "s")?;
    subscriber.subscribe("t", 1)?;
    let mut publisher = Client::simple(from.mqtt_port(), "p")?;
    eventually(SETTLE, || {
        publisher.publish("t", b"across", 1)?;
        anyhow::ensure!(subscriber.payload()? == b"across");
        Ok(())
    })
}

#[test]
fn a_cluster_is_formed_with_a_token_and_a_dead_member_is_removed() -> anyhow::Result<()> {
    let dir = dir("command-line")?;
    let mut first = node(&dir, 1, &["--init"])?;
    first.start()?;
    let warned = "SPANMQ_MQTT__MAX_INFLIGT names no key and is ignored; did you mean \
                  SPANMQ_MQTT__MAX_INFLIGHT?";
    assert!(first.log().contains(warned), "{}", first.log());

    let made = cluster(&first, &["token", "--valid-for", "10m"])?;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let token = text(&made.stdout);
    assert!(token.starts_with("spanmq-join-") && !token.contains(char::is_whitespace), "{token}");
    let seed = first.addresses().cluster.to_string();
    assert!(text(&made.stderr).contains(&seed), "{}", text(&made.stderr));
    std::fs::write(dir.join("token"), &token)?;

    // One gets the token as text, the other as a file.
    let file = format!("file://{}", dir.join("token").display());
    let join = |number, token: &str| {
        node(&dir, number, &["--join", &seed, "--join-token", token, "--join-timeout", "30s"])
    };
    let mut others = [join(2, &token)?, join(3, &file)?];
    for other in &mut others {
        other.start()?;
        assert!(!other.log().contains(&token), "a token is a secret");
    }
    let healthy = cluster(&others[0], &["status", "--wait", "healthy", "--timeout", "20s"])?;
    assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stderr));
    let shown = text(&healthy.stdout);
    for member in ["n1@127.0.0.1", "n2@127.0.0.1", "n3@127.0.0.1", "prod", "leader"] {
        assert!(shown.contains(member), "{shown}");
    }
    crosses(&others[0], &others[1])?;

    let to = "n3@127.0.0.1";
    let transfer = cluster(&first, &["transfer-leader", to])?;
    assert_eq!(transfer.status.code(), Some(0), "{}", text(&transfer.stderr));
    eventually(SETTLE, || {
        anyhow::ensure!(status(&first)?["leader"] == to);
        Ok(())
    })?;
    others[1].kill();
    let unhealthy = cluster(&first, &["status", "--wait", "healthy", "--timeout", "2s"])?;
    assert_eq!(unhealthy.status.code(), Some(5), "{}", text(&unhealthy.stdout));
    // The others need an election first.
    eventually(SETTLE, || {
        let removed = cluster(&first, &["remove", to, "--yes"])?;
        anyhow::ensure!(removed.status.code() == Some(0), "{}", text(&removed.stderr));
        Ok(())
    })?;
    let healthy = cluster(&others[0], &["status", "--wait", "healthy", "--timeout", "20s"])?;
    assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stderr));
    assert_eq!(status(&first)?["nodes"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn every_way_to_fail_has_its_code_and_says_what_to_do() -> anyhow::Result<()> {
    let dir = dir("command-line-errors")?;
    let mut only = node(&dir, 1, &["--dev"])?;
    only.start()?;
    let api = format!("http://{}", only.addresses().api);
    let key = [("SPANMQ_API_KEY", API_KEY), ("SPANMQ_API_SECRET", API_SECRET)];
    let wrong = [("SPANMQ_API_KEY", API_KEY), ("SPANMQ_API_SECRET", "wrong")];
    let user = [("SPANMQ_USER", "admin"), ("SPANMQ_PASSWORD", "wrong")];
    let none: [(&str, &str); 0] = [];
    let nobody = "http://127.0.0.1:1";
    let cases: [(&[&str], &str, Env<'_>, i32, &str); 8] = [
        (&["status"], &api, &none, 2, "SPANMQ_API_KEY"),
        (&["status"], &api, &wrong, 1, "401"),
        (&["status"], &api, &user, 1, "401"),
        (&["status"], nobody, &key, 4, "is a node running there?"),
        (&["status"], "https://h", &key, 2, "on the node itself"),
        (&["remove", "n9@h", "--yes"], &api, &key, 3, "Node not found: n9@h"),
        (&["remove", "n1@127.0.0.1"], &api, &key, 2, "--yes"),
        (&["token"], &api, &key, 1, "409"),
    ];
    for (words, api, env, code, says) in cases {
        let output = run(&[&["cluster", "--api", api], words].concat(), env)?;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?} {api}: {stderr}");
        assert!(stderr.contains(says), "{words:?} {api}: {stderr}");
        assert!(!stderr.contains(API_SECRET) && output.stdout.is_empty(), "{stderr}");
    }
    Ok(())
}

#[test]
fn links_are_made_watched_changed_and_deleted() -> anyhow::Result<()> {
    let (east, west) = (Setup::default().start("east", 2)?, Setup::default().start("west", 1)?);
    let server = |node: &Node| format!("127.0.0.1:{}", node.mqtt_port());
    let (here, there) = (&east.nodes[1], &west.nodes[0]);
    let add = |to: &str, at: &str, id: &str| {
        ["add", to, "--server", at, "--topic", "t/#", "--clientid", id].map(str::to_owned)
    };
    for (node, words) in [
        (here, add("west", &server(there), "clink-east-")),
        (there, add("east", &server(&east.nodes[0]), "clink-west-")),
    ] {
        link(node, 0, &words.each_ref().map(String::as_str))?;
    }
    link(here, 0, &["show", "west", "--wait", "running", "--timeout", "30s"])?;
    link(there, 0, &["show", "east", "--wait", "running", "--timeout", "30s"])?;
    let list = link(&east.nodes[0], 0, &["ls"])?;
    anyhow::ensure!(list.contains("running") && list.contains(&server(there)), "{list}");
    let probe = link(here, 0, &["test", "west"])?;
    anyhow::ensure!(probe.contains("connack    ok"), "{probe}");

    let mut subscriber = Client::simple(there.mqtt_port(), "s")?;
    subscriber.subscribe("t/1", 1)?;
    eventually(SETTLE, || {
        let explained = link(here, 0, &["explain", "t/1"])?;
        anyhow::ensure!(explained.contains("west: forwarded"), "{explained}");
        Ok(())
    })?;
    link(here, 0, &["pause", "west"])?;
    link(here, 0, &["resume", "west"])?;
    link(here, 0, &["edit", "west", "--topic", "t/#", "--topic", "u/#"])?;
    let shown: Value = serde_json::from_str(&link(here, 0, &["show", "west", "-o", "json"])?)?;
    assert_eq!(shown["topics"], serde_json::json!(["t/#", "u/#"]));
    assert_eq!(shown["clientid"], "clink-east-", "what is not given stays");
    let disabled = link(here, 0, &["disable", "west"])?;
    anyhow::ensure!(disabled.contains("disabled"), "{disabled}");
    let waited = link(here, 5, &["show", "west", "--wait", "running", "--timeout", "1s"])?;
    anyhow::ensure!(waited.contains("error: link west is"), "{waited}");
    link(here, 0, &["enable", "west"])?;
    link(here, 0, &["show", "west", "--wait", "running", "--timeout", "30s"])?;

    let refused = link(here, 1, &["add", "b#d", "--server", "x", "--topic", "a/#/b"])?;
    anyhow::ensure!(
        refused.contains("Invalid name format") && refused.contains("a/#/b"),
        "{refused}"
    );
    link(here, 3, &["show", "nowhere"])?;
    link(here, 2, &["edit", "west"])?;
    link(here, 2, &["rm", "west"])?;
    link(here, 0, &["rm", "west", "--yes"])?;
    link(here, 3, &["show", "west"])?;
    Ok(())
}
