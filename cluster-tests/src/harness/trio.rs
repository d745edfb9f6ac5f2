//! A cluster of real nodes in one folder.

use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::eventually;
use super::node::{Node, NodeOptions};

/// Nodes `n1@127.0.0.1` … of one cluster; the first one makes it, the others join it.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub name: String,
    // Dropped last: the nodes' folders lie in it.
    dir: TempDir,
}

impl Drop for Cluster {
    /// `SPANMQ_KEEP` leaves data and logs in place, to be looked at.
    fn drop(&mut self) {
        self.dir.disable_cleanup(std::env::var_os("SPANMQ_KEEP").is_some());
    }
}

impl Cluster {
    /// Which node leads, as the first one that runs says; waits for one.
    ///
    /// # Errors
    /// When there is none for 20 s.
    pub fn leader(&self) -> anyhow::Result<usize> {
        eventually(Duration::from_secs(20), || {
            let asked = self.nodes.iter().find(|node| node.pid().is_some());
            let view = asked.context("no node runs")?.rest().get("/cluster")?.expect(200)?;
            let found = self.nodes.iter().position(|node| view["leader"] == *node.options.name);
            found.with_context(|| format!("no leader: {view}"))
        })
    }

    /// Starts `size` (at most five) nodes and waits until all of them vote and serve clients.
    ///
    /// # Errors
    /// When a node does not start or join; the error carries its log.
    pub fn start(name: &str, size: usize) -> anyhow::Result<Self> {
        Self::start_with(name, size, &NodeOptions::default())
    }

    /// As [`Cluster::start`], with flags, configuration and environment of `template` for each node.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(name: &str, size: usize, template: &NodeOptions) -> anyhow::Result<Self> {
        let mut cluster =
            Self { nodes: Vec::new(), name: name.to_owned(), dir: tempfile::tempdir()? };
        for _ in 0..size {
            cluster.add(template)?;
        }
        let last = cluster.nodes.last().expect("size is at least one").rest();
        eventually(Duration::from_secs(20), || {
            let nodes = last.get("/nodes")?.expect(200)?;
            let rows = nodes.as_array().cloned().unwrap_or_default();
            let voting = rows.iter().filter(|row| row["role"] != "learner").count();
            anyhow::ensure!(voting == size, "{voting} of {size} members vote: {nodes}");
            Ok(())
        })?;
        Ok(cluster)
    }

    /// Starts one more node and joins it to the cluster through the first node.
    ///
    /// # Errors
    /// When it does not start or join.
    pub fn add(&mut self, template: &NodeOptions) -> anyhow::Result<&mut Node> {
        let number = self.nodes.len() + 1;
        let mut options = template.clone();
        options.name = format!("n{number}@127.0.0.1");
        options.cluster.clone_from(&self.name);
        options.flags.push("--dev".into());
        match self.nodes.first() {
            None => options.flags.push("--init".into()),
            Some(first) => {
                options.flags.extend(["--join".into(), first.addresses().cluster.to_string()]);
            }
        }
        let mut node = Node::new(&self.dir.path().join(format!("n{number}")), options)?;
        node.start()?;
        self.nodes.push(node);
        Ok(self.nodes.last_mut().expect("just pushed"))
    }
}
