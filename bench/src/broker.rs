//! A broker under test: started from a command line, watched from outside through `/proc`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// How to start a broker. `{port}` and `{dir}` in the command are replaced.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) command: String,
    /// Written to `{dir}/broker.conf` before the start.
    pub(crate) config: Option<String>,
}

impl Recipe {
    /// Debian's mosquitto, set as in docs/benchmarks.md.
    pub(crate) fn mosquitto() -> Self {
        let config = "listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n\
                      max_queued_messages 0\nset_tcp_nodelay true\npersistence false\nlog_type none\n";
        Self {
            name: "mosquitto".into(),
            command: "mosquitto -c {dir}/broker.conf".into(),
            config: Some(config.into()),
        }
    }

    /// One SpanMQ node in `--dev`, with the window that the peer has.
    pub(crate) fn spanmq(binary: &str) -> Self {
        let command = format!(
            "{binary} start --config {{dir}}/broker.conf --dev --init --node-name bench@127.0.0.1 --data-dir {{dir}}/data \
             --listen-mqtt 127.0.0.1:{{port}} --listen-api 127.0.0.1:0 --listen-cluster 127.0.0.1:0"
        );
        let config = "mqtt.max_inflight = 1000\n";
        Self { name: "spanmq".into(), command, config: Some(config.into()) }
    }
}

/// A running broker; dropped, it is killed and its folder removed.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

impl Broker {
    pub(crate) fn start(recipe: &Recipe) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{dir}", &dir.path().display().to_string())
        };
        if let Some(config) = &recipe.config {
            fs::write(dir.path().join("broker.conf"), fill(config))?;
        }
        let command = fill(&recipe.command);
        let mut words = command.split_whitespace();
        let program = words.next().context("an empty start command")?;
        let log = fs::File::create(dir.path().join("log"))?;
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start `{command}`; is {program} installed?"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut broker = Self { child, address, _dir: dir };
        broker.wait_until_it_listens(&recipe.name)?;
        Ok(broker)
    }

    fn wait_until_it_listens(&mut self, name: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self._dir.path().join("log")).unwrap_or_default();
                bail!("{name} ended at its start: {status}\n{log}");
            }
            if start.elapsed() > Duration::from_secs(20) {
                bail!("{name} does not listen on {} after 20 s", self.address);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// User and system time of the process so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11..13).context("stat")?.iter().flat_map(|t| t.parse::<u64>()).sum();
        // Linux reports in units of USER_HZ, which is 100 on every platform we run on.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
