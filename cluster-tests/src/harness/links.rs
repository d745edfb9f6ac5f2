//! Two clusters and the links between them, configured over REST.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::eventually;
use super::node::{Node, NodeOptions};
use super::trio::Cluster;

/// Longest wait for a link to come up or a route to arrive; generous for loaded machines.
pub const SETTLE: Duration = Duration::from_secs(30);

/// Rules under which the links of these tests may do what the user guide lets them do, and other
/// clients everything but `$LINK/#`.
pub const ACL: &str =
    "{allow, {clientid, {re, \"^clink-\"}}, all, [\"$LINK/#\"]}.\n{allow, all, all, [\"#\"]}.\n";

/// What the clusters of a test are started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub flags: Vec<String>,
    /// Lines for the config file; `DIR` stands for the folder of `files`.
    pub config: String,
    /// Beside the config file: name and content.
    pub files: Vec<(String, String)>,
}

impl Setup {
    /// TTL of remote actors and period of the collector, scaled down so that a test can outlast
    /// them; heartbeats follow.
    #[must_use]
    pub fn short_ttl(ttl: Duration) -> Self {
        let ms = ttl.as_millis().to_string();
        let flags = ["--link-actor-ttl-ms", &ms, "--gc-interval-ms", "500"];
        Self { flags: flags.map(str::to_owned).to_vec(), ..Self::default() }
    }

    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Starts a cluster called `name`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, name: &str, size: usize) -> anyhow::Result<Cluster> {
        let dir: PathBuf = tempfile::tempdir()?.keep();
        if !self.files.iter().any(|(name, _)| name == "acl.conf") {
            std::fs::write(dir.join("acl.conf"), ACL)?;
        }
        for (file, content) in &self.files {
            std::fs::write(dir.join(file), content)?;
        }
        let config = format!(
            "authorization {{ sources = [{{type = file, path = \"DIR/acl.conf\"}}], no_match = deny }}\n{}",
            self.config
        );
        let config = Some(config.replace("DIR", &dir.display().to_string()));
        let template = NodeOptions { config, flags: self.flags.clone(), ..NodeOptions::default() };
        Cluster::start_with(name, size, &template)
    }
}

/// The body of a link from `local` to `remote`.
#[must_use]
pub fn link_body(local: &str, remote: &Cluster, topics: &[&str]) -> Value {
    json!({
        "name": remote.name,
        "server": format!("127.0.0.1:{}", remote.nodes[0].mqtt_port()),
        "clientid": format!("clink-{local}-"),
        "topics": topics,
        "pool_size": 2,
    })
}

/// Creates a link of `local`.
///
/// # Errors
/// When it is refused.
pub fn create_link(local: &Cluster, body: &Value) -> anyhow::Result<Value> {
    local.nodes[0].rest().post("/cluster/links", body)?.expect(201)
}

/// Replaces fields of a link that exists.
///
/// # Errors
/// When it is refused.
pub fn change_link(local: &Cluster, link: &str, fields: &Value) -> anyhow::Result<Value> {
    let rest = local.nodes[0].rest();
    let path = format!("/cluster/links/link/{link}");
    let mut body = rest.get(&path)?.expect(200)?;
    if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
        body.extend(fields.clone());
    }
    rest.put(&path, &body)?.expect(200)
}

/// Clusters `a` and `b`, linked both ways for `topics`, up and running.
///
/// # Errors
/// When they do not come up.
pub fn linked(
    setup: &Setup,
    a: usize,
    b: usize,
    topics: &[&str],
) -> anyhow::Result<(Cluster, Cluster)> {
    let (a, b) = (setup.start("a", a)?, setup.start("b", b)?);
    create_link(&a, &link_body("a", &b, topics))?;
    create_link(&b, &link_body("b", &a, topics))?;
    running(&a, "b")?;
    running(&b, "a")?;
    Ok((a, b))
}

/// Waits until every node of `cluster` says that its link is running.
///
/// # Errors
/// The link object as it still is.
pub fn running(cluster: &Cluster, link: &str) -> anyhow::Result<()> {
    link_becomes(cluster, link, |object| {
        let nodes = object["node_status"].as_array().map_or(0, Vec::len);
        object["status"] == "running" && nodes == cluster.nodes.len()
    })
    .map(|_| ())
}

/// Waits until the link object in the document dialect is as wanted, and gives it.
///
/// # Errors
/// The link object as it still is.
pub fn link_becomes(
    cluster: &Cluster,
    link: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let node = cluster.nodes.iter().find(|node| node.pid().is_some());
    let rest = node.context("no node runs")?.rest();
    eventually(SETTLE, || {
        let object = rest.get(&format!("/cluster/links/{link}"))?.expect(200)?;
        anyhow::ensure!(wanted(&object), "{object:#}");
        Ok(object)
    })
    .map_err(|error| error.context(logs(cluster)))
}

/// The ends of the nodes' logs, for whoever reads a failed run.
#[must_use]
pub fn logs(cluster: &Cluster) -> String {
    let end = |node: &Node| {
        let log = node.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(25)..].join("\n");
        format!("{} of {}:\n{last}\n", node.options.name, cluster.name)
    };
    cluster.nodes.iter().map(end).collect()
}

/// Waits until `node` knows exactly `count` routes of `link`.
///
/// # Errors
/// The metrics as they still are.
pub fn routes_learnt(node: &Node, link: &str, count: u64) -> anyhow::Result<()> {
    metrics_become(node, link, |metrics| metrics["routers"].as_u64() == Some(count)).map(|_| ())
}

/// Waits until the cluster-wide metrics of a link are as wanted, and gives them.
///
/// # Errors
/// The metrics as they still are.
pub fn metrics_become(
    node: &Node,
    link: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    eventually(SETTLE, || {
        let path = format!("/cluster/links/{link}/metrics");
        let metrics = node.rest().get(&path)?.expect(200)?["metrics"].clone();
        anyhow::ensure!(wanted(&metrics), "{metrics:#}");
        Ok(metrics)
    })
}

/// Whether the sums of R-7 hold: everything handed to the link is accounted for.
#[must_use]
pub fn adds_up(metrics: &Value) -> bool {
    let forwarding = &metrics["forwarding"];
    let count = |name: &str| forwarding[name].as_u64().unwrap_or(u64::MAX);
    let parts = ["success", "failed", "dropped", "queuing", "inflight"];
    count("matched") == parts.into_iter().map(count).fold(0, u64::saturating_add)
}
