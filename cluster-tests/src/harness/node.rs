//! One `spanmq start` process: its folder, its flags, its addresses, its death.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use super::eventually;
use super::rest::Rest;

/// API key that every node of the harness is started with; administrator.
/// Key of an administrator on every node of the harness.
pub const API_KEY: &str = "harness";
/// Its secret.
pub const API_SECRET: &str = "harness-secret-for-tests-only";
/// How long a start may take on a loaded machine before the test gives up.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The `spanmq` binary under test: `SPANMQ_BIN`, else the one beside the test executable.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SPANMQ_BIN") {
        return Ok(path.into());
    }
    let me = std::env::current_exe()?;
    let found = me.ancestors().skip(1).take(2).map(|d| d.join("spanmq")).find(|p| p.is_file());
    found.with_context(|| {
        format!(
            "no spanmq binary beside {}; run `cargo build -p spanmq --features testing`",
            me.display()
        )
    })
}

/// How to start a node. Each start of the same [`Node`] uses the same options.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    pub name: String,
    pub cluster: String,
    /// Flags beyond those that the harness always gives.
    pub flags: Vec<String>,
    /// Text of the config file, if the test wants one.
    pub config: Option<String>,
    pub env: Vec<(String, String)>,
    /// Where the first run listens for peers; none takes a free port. For those whose peers have to
    /// know before the node has joined.
    pub listen_cluster: Option<std::net::SocketAddr>,
}

/// Where a running node listens; the node writes it to `<data-dir>/addresses.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// Listener name (`tcp:default`, `wss:edge`) → address.
    pub mqtt: std::collections::BTreeMap<String, std::net::SocketAddr>,
    pub api: std::net::SocketAddr,
    pub cluster: std::net::SocketAddr,
}

/// A node of the harness, running or not. Dropping it kills the process.
pub struct Node {
    pub options: NodeOptions,
    dir: PathBuf,
    child: Option<Child>,
    addresses: Option<Addresses>,
    runs: u32,
    /// Somebody else reads the logs for panics.
    log_is_judged: bool,
}

impl Node {
    /// Prepares a node in `dir`; nothing runs yet.
    ///
    /// # Errors
    /// When the folder or its files cannot be written.
    pub fn new(dir: &Path, options: NodeOptions) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("api-keys"), format!("{API_KEY}:{API_SECRET}\n"))?;
        if let Some(config) = &options.config {
            fs::write(dir.join("spanmq.conf"), config)?;
        }
        Ok(Self {
            options,
            dir: dir.to_owned(),
            child: None,
            addresses: None,
            runs: 0,
            log_is_judged: false,
        })
    }

    /// Another configuration file, for the next start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&mut self, text: &str) -> anyhow::Result<()> {
        self.options.config = Some(text.to_owned());
        Ok(fs::write(self.dir.join("spanmq.conf"), text)?)
    }

    /// Starts the process without waiting until it serves.
    ///
    /// # Errors
    /// When the binary is missing or cannot be started.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        self.runs += 1;
        let _ = fs::remove_file(self.data_dir().join("addresses.json"));
        let log = File::create(self.log_path())?;
        let cluster = self.options.listen_cluster;
        let cluster = cluster.map_or_else(|| "127.0.0.1:0".to_owned(), |a| a.to_string());
        let mut command = Command::new(binary()?);
        command
            .arg("start")
            .args(["--node-name", &self.options.name, "--cluster-name", &self.options.cluster])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen-cluster", &self.fixed("--listen-cluster", &cluster)])
            .args(["--listen-mqtt", &self.fixed("--listen-mqtt", "127.0.0.1:0")])
            .args(["--listen-api", &self.fixed("--listen-api", "127.0.0.1:0")])
            .arg("--exit-with-stdin")
            .args(&self.options.flags)
            .env(
                "SPANMQ_API_KEY__BOOTSTRAP_FILE",
                format!("\"{}\"", self.dir.join("api-keys").display()),
            )
            .envs(self.options.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        if self.options.config.is_some() {
            command.arg("--config").arg(self.dir.join("spanmq.conf"));
        }
        self.child = Some(command.spawn().context("cannot start spanmq")?);
        Ok(())
    }

    /// A node keeps the ports of its first run, as a real one would.
    fn fixed(&self, flag: &str, first: &str) -> String {
        let known = self.addresses.as_ref().and_then(|a| match flag {
            "--listen-cluster" => Some(a.cluster),
            "--listen-mqtt" => a.mqtt.get("tcp:default").copied(),
            _ => Some(a.api),
        });
        known.map_or_else(|| first.to_owned(), |a| a.to_string())
    }

    /// Starts the node and waits until it serves clients.
    ///
    /// # Errors
    /// When it ends or does not serve in time; the error carries the end of its log.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    /// Waits until the node has bound its ports and says it is ready.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let path = self.data_dir().join("addresses.json");
        let result = eventually(START_LIMIT, || {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                return Ok(Err(anyhow::anyhow!("node ended: {status}")));
            }
            let addresses: Addresses =
                serde_json::from_slice(&fs::read(&path).context("no addresses yet")?)?;
            let ready = Rest::new(addresses.api, API_KEY, API_SECRET).get("/readyz")?;
            anyhow::ensure!(ready.status == 200, "readyz answers {}: {}", ready.status, ready.text);
            Ok(Ok(addresses))
        });
        match result.and_then(|inner| inner) {
            Ok(addresses) => {
                self.addresses = Some(addresses);
                Ok(())
            }
            Err(error) => {
                Err(error.context(format!("{}; log:\n{}", self.options.name, self.log_tail())))
            }
        }
    }

    /// Waits until the process has ended by itself and gives its exit code and output.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> anyhow::Result<(Option<i32>, String)> {
        let code = eventually(limit, || {
            let child = self.child.as_mut().context("not started")?;
            child.try_wait()?.context("still running")
        })?;
        self.child = None;
        Ok((code.code(), self.log()))
    }

    /// SIGKILL: what was not written is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM and wait for the graceful end.
    ///
    /// # Errors
    /// When the node has not ended after 20 s.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let (code, log) = self.wait_exit(Duration::from_secs(20))?;
        if code != Some(0) {
            bail!("{} ended with {code:?}:\n{log}", self.options.name);
        }
        Ok(())
    }

    /// Sends a signal to the running process (SIGSTOP and SIGCONT for pauses).
    ///
    /// # Errors
    /// When the node does not run.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("the node does not run")?;
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        Ok(())
    }

    /// Process id of the running node.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Addresses of the last run that became ready.
    ///
    /// # Panics
    /// When the node never was ready: a mistake of the test.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        self.addresses.as_ref().expect("the test starts the node before it asks for addresses")
    }

    /// Port of the default TCP listener.
    ///
    /// # Panics
    /// As [`Node::addresses`].
    #[must_use]
    pub fn mqtt_port(&self) -> u16 {
        let tcp = self.addresses().mqtt.get("tcp:default");
        tcp.expect("the default TCP listener is on").port()
    }

    /// REST client with the harness's administrator key.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(self.addresses().api, API_KEY, API_SECRET)
    }

    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(format!("run-{}.log", self.runs))
    }

    /// REST client that reaches the node by another address and waits no longer than `limit`.
    #[must_use]
    pub fn rest_at(address: std::net::SocketAddr, limit: Duration) -> Rest {
        Rest::within(address, API_KEY, API_SECRET, limit)
    }

    /// The caller looks at [`Node::fatal_line`]; dropping the node then does not panic.
    pub fn judge_log(&mut self) {
        self.log_is_judged = true;
    }

    /// The first line of any run that tells of a panic or a broken invariant.
    #[must_use]
    pub fn fatal_line(&self) -> Option<String> {
        (1..=self.runs).find_map(|run| {
            let log = fs::read_to_string(self.dir.join(format!("run-{run}.log"))).ok()?;
            let bad = |l: &&str| l.contains("panicked at") || l.contains("FATAL-INVARIANT");
            Some(format!("run {run}: {}", log.lines().find(bad)?))
        })
    }

    /// Output of the current (or last) run.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Appends a line to the node's folder listing, for humans who read a failed run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join("notes");
        writeln!(File::options().append(true).create(true).open(path)?, "{text}")?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if self.log_is_judged || std::thread::panicking() {
            return;
        }
        if let Some(line) = self.fatal_line() {
            panic!("{} {line}", self.options.name);
        }
    }
}
