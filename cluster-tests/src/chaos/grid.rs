//! The clusters of a run: real nodes, each socket of theirs through a fault proxy.
//!
//! Per directed pair of nodes one proxy (`--dial-map` by node name), per node one for its MQTT
//! clients, one for REST, and one for the links that lead to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::plan::Plan;
use crate::harness::links::ACL;
use crate::harness::{Fault, FaultProxy, Node, NodeOptions, Rest, eventually};

/// How long a cluster may take to stand.
const STAND_LIMIT: Duration = Duration::from_secs(60);
/// Answers of a node that is well come sooner.
const ASK_LIMIT: Duration = Duration::from_millis(1_500);

/// Which bytes a proxy carries; places are indexes into [`Grid::places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Peer {
        from: usize,
        to: usize,
    },
    Mqtt {
        to: usize,
    },
    Rest {
        to: usize,
    },
    /// Links into the cluster of this node.
    Link {
        to: usize,
    },
}

struct Proxied {
    way: Way,
    proxy: FaultProxy,
    /// Faults in force, each with the number of its step.
    faults: Mutex<Vec<(usize, Fault)>>,
}

/// One node with its name in the history.
pub struct Place {
    /// `a/n1`.
    pub name: String,
    pub cluster: String,
    /// REST past the proxies; a node keeps its ports over restarts.
    api: std::net::SocketAddr,
    node: Mutex<Node>,
}

/// What the proxies did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    pub held: u64,
    pub resets: u64,
    pub bytes: u64,
}

/// All nodes and proxies.
pub struct Grid {
    pub places: Vec<Place>,
    proxies: Vec<Proxied>,
}

impl Grid {
    /// Starts the clusters of a plan in `dir`, linked both ways when there are two.
    ///
    /// # Errors
    /// When a node does not start or join; the error carries its log.
    pub fn start(plan: &Plan, dir: &Path) -> anyhow::Result<Self> {
        let mut names = Vec::new();
        for (cluster, size) in [("a", plan.nodes), ("b", plan.remote_nodes)] {
            names.extend((1..=size).map(|number| (cluster, number)));
        }
        let mut grid = Self { places: Vec::new(), proxies: Vec::new() };
        for (index, (cluster, _)) in names.iter().enumerate() {
            let peers = (0..names.len()).filter(|to| *to != index && names[*to].0 == *cluster);
            let ways = peers.map(|to| Way::Peer { from: index, to });
            let own = [Way::Mqtt { to: index }, Way::Rest { to: index }, Way::Link { to: index }];
            for way in ways.chain(own) {
                let proxy = FaultProxy::unaimed()?;
                grid.proxies.push(Proxied { way, proxy, faults: Mutex::default() });
            }
        }
        for (cluster, number) in names {
            grid.add(plan, dir, cluster, number)?;
            // Said at once when the binary has no `/debug`.
            grid.state(grid.places.len() - 1)?;
        }
        grid.stands()?;
        if plan.remote_nodes > 0 {
            grid.link("a", "b")?;
            grid.link("b", "a")?;
        }
        Ok(grid)
    }

    fn add(&mut self, plan: &Plan, dir: &Path, cluster: &str, number: usize) -> anyhow::Result<()> {
        let me = self.places.len();
        let dir = dir.join(format!("{cluster}{number}"));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("acl.conf"), ACL)?;
        std::fs::write(dir.join("dial-map"), self.dial_map(me, me + 1 - number))?;
        let seed = me + 1 - number;
        let mut flags: Vec<String> = [
            "--dev",
            "--snapshot-after",
            "100",
            "--link-actor-ttl-ms",
            "6000",
            "--gc-interval-ms",
            "500",
        ]
        .map(str::to_owned)
        .to_vec();
        flags.extend(["--dial-map".into(), dir.join("dial-map").display().to_string()]);
        if number == 1 {
            flags.push("--init".into());
        } else {
            let seed =
                self.address(Way::Peer { from: me, to: seed }).context("a proxy to the seed")?;
            flags.extend(["--join".into(), seed.to_string()]);
        }
        let config = config(plan, &dir);
        let options = NodeOptions {
            name: format!("n{number}@127.0.0.1"),
            cluster: cluster.to_owned(),
            flags,
            config: Some(config),
            env: Vec::new(),
            listen_cluster: Some(free_port()?),
        };
        // The leader dials a node that joins before that one is ready.
        for proxied in
            self.proxies.iter().filter(|p| matches!(p.way, Way::Peer { to, .. } if to == me))
        {
            proxied.proxy.aim(options.listen_cluster.context("just set")?);
        }
        let mut node = Node::new(&dir, options)?;
        node.judge_log();
        node.start()?;
        let addresses = node.addresses().clone();
        let mqtt = *addresses.mqtt.get("tcp:default").context("a TCP listener")?;
        for proxied in &self.proxies {
            match proxied.way {
                Way::Mqtt { to } | Way::Link { to } if to == me => proxied.proxy.aim(mqtt),
                Way::Rest { to } if to == me => proxied.proxy.aim(addresses.api),
                _ => {}
            }
        }
        let name = format!("{cluster}/n{number}");
        let (cluster, api) = (cluster.to_owned(), addresses.api);
        self.places.push(Place { name, cluster, api, node: Mutex::new(node) });
        Ok(())
    }

    /// By name, so that it holds for whatever address a member announces.
    fn dial_map(&self, from: usize, first: usize) -> String {
        let lines = self.proxies.iter().filter_map(|proxied| match proxied.way {
            Way::Peer { from: f, to } if f == from => {
                let number = to + 1 - first;
                Some(format!("n{number}@127.0.0.1 = {}\n", proxied.proxy.address()))
            }
            _ => None,
        });
        lines.collect()
    }

    /// Waits until every cluster has a leader and all of its nodes vote.
    fn stands(&self) -> anyhow::Result<()> {
        eventually(STAND_LIMIT, || {
            for place in 0..self.places.len() {
                let state = self.state(place)?;
                let wanted = self.in_cluster(&self.places[place].cluster).len();
                let members = state["members"].as_array().map_or(0, Vec::len);
                anyhow::ensure!(members == wanted && !state["leader"].is_null(), "{state}");
                anyhow::ensure!(state["role"] != "learner", "{state}");
            }
            Ok(())
        })
    }

    fn link(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let servers: Vec<String> = self
            .in_cluster(to)
            .into_iter()
            .filter_map(|to| Some(self.address(Way::Link { to })?.to_string()))
            .collect();
        let body = json!({
            "name": to, "server": servers.join(","), "clientid": format!("clink-{from}-"),
            "topics": ["x/#"], "pool_size": 2,
        });
        let place = *self.in_cluster(from).first().context("a node")?;
        self.direct(place, STAND_LIMIT).post("/cluster/links", &body)?.expect(201)?;
        Ok(())
    }

    /// Nodes of a cluster.
    #[must_use]
    pub fn in_cluster(&self, cluster: &str) -> Vec<usize> {
        (0..self.places.len()).filter(|at| self.places[*at].cluster == cluster).collect()
    }

    /// Address by which the way is gone; none when there is no such proxy.
    #[must_use]
    pub fn address(&self, way: Way) -> Option<std::net::SocketAddr> {
        self.proxies.iter().find(|p| p.way == way).map(|p| p.proxy.address())
    }

    /// Port for MQTT clients of a node.
    ///
    /// # Panics
    /// For a place that does not exist: a mistake of the suite.
    #[must_use]
    pub fn mqtt_port(&self, to: usize) -> u16 {
        self.address(Way::Mqtt { to }).expect("each place has a proxy for clients").port()
    }

    /// REST as users reach it, through the proxy.
    ///
    /// # Panics
    /// For a place that does not exist: a mistake of the suite.
    #[must_use]
    pub fn rest(&self, to: usize, limit: Duration) -> Rest {
        Node::rest_at(self.address(Way::Rest { to }).expect("each place has one for REST"), limit)
    }

    /// REST past the proxies: what the suite itself wants to know.
    #[must_use]
    pub fn direct(&self, place: usize, limit: Duration) -> Rest {
        Node::rest_at(self.places[place].api, limit)
    }

    /// The process of a place.
    ///
    /// # Panics
    /// When another thread panicked while it held it.
    pub fn node(&self, place: usize) -> MutexGuard<'_, Node> {
        self.places[place].node.lock().expect("nobody panics while he holds a node")
    }

    /// Raft as the node sees it.
    ///
    /// # Errors
    /// When it does not answer in time, or was built without the feature `testing`.
    pub fn state(&self, place: usize) -> anyhow::Result<Value> {
        self.state_within(place, ASK_LIMIT)
    }

    /// As [`Grid::state`], with a limit.
    ///
    /// # Errors
    /// As [`Grid::state`].
    pub fn state_within(&self, place: usize, limit: Duration) -> anyhow::Result<Value> {
        let answer = self.direct(place, limit).get("/debug/state")?;
        anyhow::ensure!(
            answer.status != 404,
            "the spanmq binary has no /debug; build it with `cargo build -p spanmq --features testing`"
        );
        answer.expect(200)
    }

    /// Who leads cluster `a`, as most of its nodes say.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let places = self.in_cluster("a");
        let leads = |place: &usize| {
            self.state_within(*place, Duration::from_millis(400))
                .ok()
                .filter(|state| state["role"] == "leader")
                .map(|state| (state["term"].as_u64().unwrap_or(0), *place))
        };
        places.iter().filter_map(leads).max().map(|(_, place)| place)
    }

    /// Puts a fault on all ways that `chosen` picks; gives how many.
    pub fn apply(&self, step: usize, fault: Fault, chosen: impl Fn(Way) -> bool) -> usize {
        let mut count = 0;
        for proxied in self.proxies.iter().filter(|p| chosen(p.way)) {
            count += 1;
            proxied.change(|faults| faults.push((step, fault)));
        }
        count
    }

    /// Ends the faults of a step, and no others.
    pub fn lift(&self, step: usize) {
        self.proxies.iter().for_each(|p| p.change(|faults| faults.retain(|(s, _)| *s != step)));
    }

    /// Sum over the ways that `chosen` picks.
    pub fn effect(&self, chosen: impl Fn(Way) -> bool) -> Effect {
        let mut sum = Effect::default();
        for proxied in self.proxies.iter().filter(|p| chosen(p.way)) {
            let effects = &proxied.proxy.effects;
            sum.held += effects.held_pieces.load(Ordering::Relaxed);
            sum.resets += effects.resets.load(Ordering::Relaxed);
            sum.bytes += effects.bytes.load(Ordering::Relaxed);
        }
        sum
    }

    /// Folder of a node's data.
    #[must_use]
    pub fn data_dir(&self, place: usize) -> PathBuf {
        self.node(place).data_dir()
    }
}

impl Proxied {
    fn change(&self, change: impl FnOnce(&mut Vec<(usize, Fault)>)) {
        let mut faults = self.faults.lock().expect("nobody panics while he changes faults");
        change(&mut faults);
        let merged = faults.iter().fold(Fault::default(), |sum, (_, fault)| merge(sum, *fault));
        self.proxy.set(merged);
    }
}

/// No queue of the load's size is ever full, so nothing may be dropped.
fn config(plan: &Plan, dir: &Path) -> String {
    format!(
        "durability = \"{}\"\nmqtt.max_mqueue_len = 100000\n\
         authorization {{ sources = [{{type = file, path = \"{}\"}}], no_match = deny }}\n",
        plan.durability,
        dir.join("acl.conf").display()
    )
}

/// A port that nobody uses at the moment.
fn free_port() -> anyhow::Result<std::net::SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Two faults on one way at a time: what is held by either is held.
fn merge(a: Fault, b: Fault) -> Fault {
    Fault {
        hold_requests: a.hold_requests || b.hold_requests,
        hold_replies: a.hold_replies || b.hold_replies,
        reset: a.reset || b.reset,
        delay: a.delay.max(b.delay),
        slice_bytes: match (a.slice_bytes, b.slice_bytes) {
            (0, n) | (n, 0) => n,
            (n, m) => n.min(m),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_of_two_faults_holds_is_held() {
        let slow = Fault { delay: Duration::from_millis(5), slice_bytes: 9, ..Fault::default() };
        let both = merge(slow, Fault { hold_replies: true, slice_bytes: 4, ..Fault::default() });
        assert!(both.hold_replies && !both.hold_requests && !both.reset);
        assert_eq!((both.delay, both.slice_bytes), (Duration::from_millis(5), 4));
        assert_eq!(merge(both, Fault::default()), both);
    }
}
