//! Two clusters of three nodes, each a child process of this binary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// A start on a busy machine may take so long.
const START_LIMIT: Duration = Duration::from_secs(60);
const NAMES: [&str; 2] = ["us-east", "eu-west"];
const NODES: usize = 3;
/// What crosses the link, both ways.
const TOPICS: [&str; 1] = ["fleet/#"];
/// Rules of both clusters: links may link, everybody may do everything else.
const ACL: &str = "\
{allow, {clientid, {re, \"^clink-\"}}, all, [\"$LINK/#\"]}.
{allow, all, all, [\"#\"]}.
";

struct DemoNode {
    dir: PathBuf,
    name: String,
    cluster: &'static str,
    join: Option<String>,
    addresses: Option<Addresses>,
    child: Option<Child>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Addresses {
    mqtt: std::collections::BTreeMap<String, std::net::SocketAddr>,
    api: std::net::SocketAddr,
    cluster: String,
}

/// Both clusters; dropping them ends the processes and removes the folder.
pub(super) struct Clusters {
    nodes: Vec<Vec<DemoNode>>,
    secret: String,
    // Dropped last: the nodes' folders lie in it.
    _dir: tempfile::TempDir,
}

impl Clusters {
    pub(super) fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("no temporary folder can be made")?;
        let secret = format!("{:032x}", rand::random::<u128>());
        fs::write(dir.path().join("keys"), format!("demo:{secret}\n"))?;
        fs::write(dir.path().join("acl.conf"), ACL)?;
        let config = "authorization { sources = [{type = file, path = \"acl.conf\"}], no_match = deny }\n\
                      api_key.bootstrap_file = \"keys\"\n";
        fs::write(dir.path().join("spanmq.conf"), config)?;
        let mut clusters = Self { nodes: Vec::new(), secret, _dir: dir };
        let folder = clusters._dir.path().to_owned();
        for cluster in NAMES {
            let nodes = (1..=NODES).map(|n| DemoNode::new(&folder, cluster, n)).collect();
            clusters.nodes.push(nodes);
        }
        // The first node of each cluster, then all others at once.
        for cluster in &mut clusters.nodes {
            cluster[0].spawn(&folder)?;
        }
        for cluster in &mut clusters.nodes {
            let seed = cluster[0].wait_ready()?.cluster.clone();
            for node in &mut cluster[1..] {
                node.join = Some(seed.clone());
                node.spawn(&folder)?;
            }
        }
        for node in clusters.nodes.iter_mut().flatten() {
            node.wait_ready()?;
        }
        Ok(clusters)
    }

    /// Links the clusters both ways and waits until both links run on all nodes.
    pub(super) fn link(&self) -> anyhow::Result<()> {
        for (local, remote) in [(0, 1), (1, 0)] {
            let servers: Vec<String> =
                self.nodes[remote].iter().map(|n| format!("127.0.0.1:{}", n.mqtt_port())).collect();
            let body = json!({
                "name": NAMES[remote],
                "server": servers.join(","),
                "clientid": format!("clink-{}-", NAMES[local]),
                "topics": TOPICS,
                "pool_size": 2,
            });
            let (status, answer) = self.rest(local, "POST", "/cluster/links", Some(&body))?;
            anyhow::ensure!(status == 201, "the link was refused: {answer}");
        }
        for (local, remote) in [(0, 1), (1, 0)] {
            let path = format!("/cluster/links/{}", NAMES[remote]);
            let start = Instant::now();
            loop {
                let (_, link) = self.rest(local, "GET", &path, None)?;
                if link["status"] == "running" {
                    break;
                }
                if start.elapsed() > START_LIMIT {
                    bail!(
                        "the link from {} to {} does not run: {link}",
                        NAMES[local],
                        NAMES[remote]
                    );
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Waits until us-east has learnt `count` routes from eu-west.
    pub(super) fn wait_for_routes(&self, count: u64) -> anyhow::Result<()> {
        let path = format!("/cluster/links/{}/metrics", NAMES[1]);
        let start = Instant::now();
        loop {
            let (_, metrics) = self.rest(0, "GET", &path, None)?;
            if metrics["metrics"]["routers"].as_u64() >= Some(count) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < START_LIMIT, "the route does not arrive: {metrics}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn rest(
        &self,
        cluster: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        use base64::Engine as _;
        let login = format!("demo:{}", self.secret);
        let login = base64::engine::general_purpose::STANDARD.encode(login);
        let api = self.nodes[cluster][0].addresses()?.api;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("http://{api}/api/v5{path}");
        let authorization = format!("Basic {login}");
        let mut response = match (method, body) {
            ("POST", Some(body)) => {
                agent.post(url).header("authorization", authorization).send_json(body)?
            }
            _ => agent.get(url).header("authorization", authorization).call()?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// MQTT port of a node.
    pub(super) fn port(&self, cluster: usize, node: usize) -> u16 {
        self.nodes[cluster][node].mqtt_port()
    }

    pub(super) fn name(&self, cluster: usize, node: usize) -> String {
        format!("{} of {}", self.nodes[cluster][node].name, NAMES[cluster])
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (cluster, nodes) in NAMES.iter().zip(&self.nodes) {
            let ports: Vec<String> = nodes.iter().map(|n| n.mqtt_port().to_string()).collect();
            let api = nodes[0].addresses.as_ref().map_or(String::new(), |a| a.api.to_string());
            text += &format!("  {cluster:<8} mqtt ports {}   api http://{api}\n", ports.join(" "));
        }
        text += &format!("  link     {} both ways, key demo:{}\n", TOPICS.join(" "), self.secret);
        text
    }

    pub(super) fn kill(&mut self, cluster: usize, node: usize) {
        self.nodes[cluster][node].kill();
    }

    pub(super) fn restart(&mut self, cluster: usize, node: usize) -> anyhow::Result<()> {
        let folder = self._dir.path().to_owned();
        let node = &mut self.nodes[cluster][node];
        node.spawn(&folder)?;
        node.wait_ready()?;
        Ok(())
    }
}

impl DemoNode {
    fn new(folder: &Path, cluster: &'static str, number: usize) -> Self {
        let name = format!("n{number}@127.0.0.1");
        let dir = folder.join(cluster).join(&name);
        Self { dir, name, cluster, join: None, addresses: None, child: None }
    }

    fn spawn(&mut self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let _ = fs::remove_file(self.dir.join("data/addresses.json"));
        let log = File::create(self.dir.join("log"))?;
        // A node keeps the ports of its first run, as a real one would.
        let known = self.addresses.as_ref();
        let any = || "127.0.0.1:0".to_owned();
        let mqtt = known.map_or_else(any, |a| format!("127.0.0.1:{}", mqtt_port(a)));
        let api = known.map_or_else(any, |a| a.api.to_string());
        let port = known.map_or_else(any, |a| a.cluster.clone());
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["start", "--dev", "--exit-with-stdin", "--node-name", &self.name])
            .args(["--cluster-name", self.cluster, "--listen-mqtt", &mqtt])
            .args(["--listen-api", &api, "--listen-cluster", &port])
            .arg("--config")
            .arg(folder.join("spanmq.conf"))
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        match &self.join {
            Some(seed) => command.args(["--join", seed]),
            None => command.arg("--init"),
        };
        self.child = Some(command.spawn().context("a node cannot be started")?);
        Ok(())
    }

    fn wait_ready(&mut self) -> anyhow::Result<&Addresses> {
        let file = self.dir.join("data/addresses.json");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                bail!("{} of {} ended ({status}): {last}", self.name, self.cluster);
            }
            let text = fs::read(&file).unwrap_or_default();
            if let Ok(addresses) = serde_json::from_slice(&text) {
                return Ok(self.addresses.insert(addresses));
            }
            if start.elapsed() > START_LIMIT {
                bail!("{} of {} is not ready after {START_LIMIT:?}", self.name, self.cluster);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn addresses(&self) -> anyhow::Result<&Addresses> {
        self.addresses.as_ref().context("the node was never ready")
    }

    fn mqtt_port(&self) -> u16 {
        self.addresses.as_ref().map_or(0, mqtt_port)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn mqtt_port(addresses: &Addresses) -> u16 {
    addresses.mqtt.get("tcp:default").map_or(0, std::net::SocketAddr::port)
}

impl Drop for DemoNode {
    fn drop(&mut self) {
        self.kill();
    }
}
