//! One or two nodes that share a state, each with its broker, its linking and its API.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use spanmq_access::{Acl, Action, ApiKey, ApiSecretHash, ClientInfo, Decision, Role};
use spanmq_api::ports::{
    BoxFuture, ClusterView, JoinTokenView, MemberView, NoQuorum, Node, NotChanged, NotMade,
};
use spanmq_api::{Api, ApiConfig, AuditLog};
use spanmq_link_protocol::config::{ParseContext, parse_stored};
use spanmq_linking::{LinkEntry, Linking, LinkingConfig};
use spanmq_mqtt::config::{BrokerConfig, Durability, ListenerConfig, StoreConfig, Transport};
use spanmq_mqtt::ports::{Identity, Ports};
use spanmq_mqtt::{Broker, BrokerHandle};
use spanmq_state::command::{AccessCommand, ClusterCommand, Member};
use spanmq_state::{AccessKind, Applied, Command, NodeId, SecretText, State};

use crate::client::Http;
use crate::rig_ports::{BrokerPort, LinkingPort, Replicated};

pub const CLUSTER: &str = "cluster-a";

/// A node of the rig.
pub struct TestNode {
    id: NodeId,
    replicated: Arc<Replicated>,
    broker: BrokerHandle,
    linking: Arc<Linking>,
    audit: Arc<AuditLog>,
    peers: Arc<OnceLock<Vec<Weak<TestNode>>>>,
    pub running: AtomicBool,
    _data: tempfile::TempDir,
}

fn name(id: NodeId) -> Arc<str> {
    format!("n{id}@127.0.0.1").into()
}

impl TestNode {
    fn others(&self) -> impl Iterator<Item = Arc<TestNode>> + '_ {
        self.peers.get().into_iter().flatten().filter_map(Weak::upgrade)
    }

    /// What wiring does after each change of the links.
    fn follow_links(&self) {
        let context = ParseContext { local_cluster: CLUSTER };
        let entries = self.replicated.look(|state| {
            let entry = |link: &Arc<spanmq_state::Link>| {
                let value = serde_json::from_str(link.config.reveal()).unwrap();
                let config = Arc::new(parse_stored(&value, context).unwrap());
                LinkEntry { config, paused: link.paused, revision: link.revision }
            };
            state.links().list().map(entry).collect()
        });
        self.linking.configure(entries);
    }
}

impl Node for TestNode {
    fn id(&self) -> NodeId {
        self.id
    }

    fn name(&self) -> Arc<str> {
        name(self.id)
    }

    fn cluster_name(&self) -> Arc<str> {
        CLUSTER.into()
    }

    fn ready(&self) -> Result<(), String> {
        match self.replicated.has_quorum() {
            true => Ok(()),
            false => Err("no lease".to_owned()),
        }
    }

    fn propose(&self, commands: Vec<Command>) -> BoxFuture<Result<Applied, NotMade>> {
        let links = commands.iter().any(|command| matches!(command, Command::Link(_)));
        let applied = self.replicated.apply(commands);
        if links {
            self.others().for_each(|node| node.follow_links());
        }
        let applied = applied.map(|(index, replies)| Applied { index, replies });
        Box::pin(async move { applied.ok_or(NotMade::NoQuorum) })
    }

    fn barrier(&self) -> BoxFuture<Result<(), NoQuorum>> {
        let quorum = self.replicated.has_quorum();
        Box::pin(async move { quorum.then_some(()).ok_or(NoQuorum) })
    }

    fn read(&self, look: &mut dyn FnMut(&State)) {
        self.replicated.look(|state| look(state));
    }

    fn resident_memory(&self) -> Option<u64> {
        Some(1 << 20)
    }

    fn cluster(&self) -> ClusterView {
        let view = |node: Arc<TestNode>| MemberView {
            id: node.id,
            name: name(node.id),
            running: node.running.load(Ordering::SeqCst),
            role: if node.id == 1 { "leader" } else { "follower" },
            cluster_addr: "127.0.0.1:1".into(),
            api_addr: "127.0.0.1:2".into(),
            version: "0.1.0".into(),
        };
        let quorum = self.replicated.has_quorum();
        ClusterView {
            members: self.others().map(view).collect(),
            leader: quorum.then_some(1),
            term: 1,
            applied: self.replicated.look(State::applied),
            failures_tolerated: 0,
            quorum,
        }
    }

    fn ask(&self, node: NodeId, question: Vec<u8>) -> BoxFuture<Option<Vec<u8>>> {
        let asked = self.others().find(|other| other.id == node);
        Box::pin(async move { spanmq_api::answer(&*asked?, &question).await })
    }

    fn join_token(&self, valid_s: Option<u64>) -> Result<JoinTokenView, String> {
        Ok(JoinTokenView { token: "spanmq-join-x".to_owned(), expires_unix_s: valid_s })
    }

    fn remove_member(&self, node: NodeId) -> BoxFuture<Result<(), NotChanged>> {
        let refused = NotChanged::Refused(format!("node {node} is a fixture"));
        Box::pin(async move { Err(refused) })
    }

    fn transfer_leader(&self, _: Option<NodeId>) -> BoxFuture<Result<(), NotChanged>> {
        Box::pin(async move { Err(NotChanged::NotMade(NotMade::NoQuorum)) })
    }

    fn linking(&self) -> Arc<Linking> {
        self.linking.clone()
    }

    fn broker(&self) -> BrokerHandle {
        self.broker.clone()
    }

    fn check_access(&self, client: &ClientInfo, action: Action, topic: &str) -> Decision {
        let rules = "{allow, {user, \"ann\"}, publish, [\"a/#\"]}.\n{deny, all, all, [\"b/#\"]}.";
        Acl::parse("acl.conf", rules).unwrap().check(client, action, topic)
    }

    fn audit(&self) -> Arc<AuditLog> {
        self.audit.clone()
    }
}

/// The rig. Ends when dropped.
pub struct Rig {
    pub replicated: Arc<Replicated>,
    pub nodes: Vec<Arc<TestNode>>,
    pub apis: Vec<Api>,
    runtime: tokio::runtime::Runtime,
    system: actix_rt::System,
}

impl Rig {
    pub fn start() -> Self {
        Self::with(1, |_| {})
    }

    pub fn with(nodes: u64, change: impl Fn(&mut ApiConfig) + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let replicated = Replicated::new();
        let peers = Arc::new(OnceLock::new());
        let make = |id| make_node(id, &replicated, &peers, runtime.handle());
        let nodes: Vec<Arc<TestNode>> = (1..=nodes).map(make).collect();
        peers.set(nodes.iter().map(Arc::downgrade).collect()).ok().unwrap();
        for (key, role) in
            [("admin", Role::Administrator), ("viewer", Role::Viewer), ("pub", Role::Publisher)]
        {
            put_key(&replicated, key, role);
        }
        let (system, apis) = serve(nodes.clone(), change);
        Self { replicated, nodes, apis, runtime, system }
    }

    /// Without credentials.
    pub fn stranger(&self) -> Http {
        Http::new(self.apis[0].address.unwrap())
    }

    pub fn admin(&self) -> Http {
        self.stranger().basic("admin", "admin-secret")
    }

    pub fn admin_of(&self, node: usize) -> Http {
        Http::new(self.apis[node].address.unwrap()).basic("admin", "admin-secret")
    }

    pub fn viewer(&self) -> Http {
        self.stranger().basic("viewer", "viewer-secret")
    }

    pub fn publisher(&self) -> Http {
        self.stranger().basic("pub", "pub-secret")
    }

    pub fn mqtt(&self, node: usize) -> SocketAddr {
        self.nodes[node].broker.bound()[0].address
    }

    /// Where HTTPS listens.
    pub fn https(&self) -> SocketAddr {
        self.apis[0].https_address.unwrap()
    }

    pub fn lose_quorum(&self) {
        self.replicated.quorum.store(false, Ordering::SeqCst);
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for node in &self.nodes {
            self.runtime.block_on(node.broker.stop(Duration::from_secs(5)));
        }
        self.system.stop();
    }
}

fn make_node(
    id: NodeId,
    replicated: &Arc<Replicated>,
    peers: &Arc<OnceLock<Vec<Weak<TestNode>>>>,
    runtime: &tokio::runtime::Handle,
) -> Arc<TestNode> {
    let data = tempfile::tempdir().unwrap();
    let member = Member { id, name: name(id), ..member() };
    replicated.apply(vec![Command::Cluster(ClusterCommand::PutMember(member))]).unwrap();
    let config = LinkingConfig {
        cluster: CLUSTER.into(),
        node: name(id),
        data_dir: data.path().to_owned(),
        resync_interval: None,
        fsync: false,
        node_id: id,
        expiry: Default::default(),
    };
    let ports = LinkingPort(replicated.clone()).ports();
    let linking = Arc::new(Linking::start(&config, ports, runtime.clone()).unwrap());
    Arc::new(TestNode {
        id,
        broker: start_broker(id, replicated),
        replicated: replicated.clone(),
        linking,
        audit: Arc::default(),
        peers: peers.clone(),
        running: true.into(),
        _data: data,
    })
}

fn start_broker(id: NodeId, replicated: &Arc<Replicated>) -> BrokerHandle {
    let local = "127.0.0.1:0".parse().unwrap();
    let config = BrokerConfig {
        listeners: vec![ListenerConfig::new("tcp", local, Transport::Tcp)],
        workers: 2,
        sys_interval: Duration::ZERO,
        store: StoreConfig { durability: Durability::Memory, dir: None },
        ..Default::default()
    };
    let port = Arc::new(BrokerPort(replicated.clone()));
    let ports = Ports {
        identity: Identity { node: id, name: name(id), incarnation: 1 },
        propose: port.clone(),
        routes: port.clone(),
        peers: port.clone(),
        link_out: port.clone(),
        link_in: port.clone(),
        authenticate: port.clone(),
        authorize: port.clone(),
        retained: port,
    };
    Broker::start(config, ports).unwrap()
}

fn member() -> Member {
    Member {
        id: 0,
        name: "".into(),
        cluster_addr: "127.0.0.1:1".into(),
        api_addr: "127.0.0.1:2".into(),
        mqtt_addrs: Vec::new(),
        version: "0.1.0".into(),
        disk_id: 1,
        incarnation: 1,
        features: 0,
    }
}

fn put_key(replicated: &Replicated, key: &str, role: Role) {
    let secret = ApiSecretHash::new(&format!("{key}-secret").as_str().into(), [7; 16]);
    let record = ApiKey { key: key.to_owned(), secret, role, scopes: None }.to_record();
    let put = AccessCommand::Put {
        kind: AccessKind::ApiKey,
        name: key.into(),
        record: SecretText::new(record),
        create_only: false,
        expected: None,
    };
    replicated.apply(vec![Command::Access(put)]).unwrap();
}

/// The APIs on an actix system of their own thread.
fn serve(
    nodes: Vec<Arc<TestNode>>,
    change: impl Fn(&mut ApiConfig) + Send + 'static,
) -> (actix_rt::System, Vec<Api>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let system = actix_rt::System::new();
        system.block_on(async {
            let api = |node: Arc<TestNode>| {
                let mut config = ApiConfig::new("127.0.0.1:0".parse().unwrap());
                config.workers = 2;
                change(&mut config);
                spanmq_api::serve(config, node).unwrap()
            };
            let apis = nodes.into_iter().map(api).collect();
            sender.send((actix_rt::System::current(), apis)).unwrap();
        });
        system.run().unwrap();
    });
    receiver.recv().unwrap()
}

/// Waits until something holds, for at most ten seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(std::time::Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
