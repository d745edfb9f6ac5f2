//! A state as records, and records as chunks.

use std::sync::Arc;

use crate::codec;
use crate::routes::entry::RouteEntry;
use crate::sessions::session::Session;
use crate::snapshot::record::Record;
use crate::snapshot::{
    BODY_TARGET, KIND_END, KIND_HEADER, KIND_RECORDS, MAGIC, SNAPSHOT_VERSION, chunk,
};
use crate::state::State;

pub(super) struct Chunks<'a> {
    state: &'a State,
    records: Box<dyn Iterator<Item = Record> + 'a>,
    count: u64,
    stage: Stage,
}

enum Stage {
    Header,
    Records,
    End,
    Over,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state, records: Box::new(records(state)), count: 0, stage: Stage::Header }
    }

    fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY_TARGET + 4096);
        while body.len() < BODY_TARGET {
            let Some(record) = self.records.next() else {
                self.stage = Stage::End;
                break;
            };
            codec::encode_into(&record, &mut body);
            self.count += 1;
        }
        body
    }
}

impl Iterator for Chunks<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.stage {
                Stage::Header => {
                    self.stage = Stage::Records;
                    let mut body = MAGIC.to_vec();
                    body.extend_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
                    body.extend_from_slice(&self.state.applied().to_le_bytes());
                    return Some(chunk(KIND_HEADER, &body));
                }
                Stage::Records => {
                    let body = self.body();
                    if !body.is_empty() {
                        return Some(chunk(KIND_RECORDS, &body));
                    }
                }
                Stage::End => {
                    self.stage = Stage::Over;
                    let body = codec::encode(&(self.count, self.state.digest()));
                    return Some(chunk(KIND_END, &body));
                }
                Stage::Over => return None,
            }
        }
    }
}

fn records(state: &State) -> impl Iterator<Item = Record> + '_ {
    let iter = cluster(state).chain(routes(state)).chain(sessions(state));
    iter.chain(links(state)).chain(remotes(state)).chain(others(state))
}

fn cluster(state: &State) -> impl Iterator<Item = Record> + '_ {
    let cluster = state.cluster();
    let head = Record::Cluster {
        identity: cluster.identity.clone(),
        features: cluster.features,
        limits: cluster.limits,
    };
    let members = cluster.members().map(|member| Record::Member((**member).clone()));
    let settings = cluster
        .settings()
        .map(|(key, setting)| Record::Setting { key: key.clone(), setting: setting.clone() });
    std::iter::once(head).chain(members).chain(settings)
}

fn routes(state: &State) -> impl Iterator<Item = Record> + '_ {
    let nodes = state.routes().nodes.iter().flat_map(|(node, run)| {
        let replacing = run.replacing.as_deref();
        let head = Record::Node {
            node: *node,
            incarnation: run.incarnation,
            live: run.live,
            replacing: replacing.map(|replacing| replacing.next_part),
        };
        let seen = replacing.into_iter().flat_map(|replacing| &replacing.seen);
        let seen = seen
            .map(|(group, filter)| Record::Seen { group: group.clone(), filter: filter.clone() });
        std::iter::once(head).chain(seen)
    });
    nodes.chain(state.routes().iter().map(|(filter, entry)| route(filter, entry)))
}

fn route(filter: &Arc<str>, entry: &RouteEntry) -> Record {
    let groups = entry.groups().iter().map(|g| (g.group.clone(), g.members.to_vec()));
    Record::Route {
        filter: filter.clone(),
        nodes: entry.nodes().to_vec(),
        groups: groups.collect(),
    }
}

fn sessions(state: &State) -> impl Iterator<Item = Record> + '_ {
    state.sessions().shards.iter().zip(0u32..).flat_map(|(shard, number)| {
        let epochs = Record::Epochs { shard: number, last: shard.last_epoch };
        let sessions = shard.sessions.iter().flat_map(|(id, session)| {
            let subscriptions = session.subscriptions.iter().cloned();
            let subscriptions = subscriptions.map(Record::SessionSubscription);
            std::iter::once(session_head(id, session)).chain(subscriptions)
        });
        let wills = shard.wills.iter().map(|((client_id, epoch), will)| Record::Will {
            client_id: client_id.clone(),
            epoch: *epoch,
            will: will.clone(),
        });
        std::iter::once(epochs).chain(sessions).chain(wills)
    })
}

fn session_head(client_id: &Arc<str>, session: &Session) -> Record {
    Record::Session {
        client_id: client_id.clone(),
        principal: session.principal.clone(),
        owner: session.owner,
        persistent: session.persistent,
        expiry_s: session.expiry_s,
        detached_at_ms: session.detached_at_ms,
        will: session.will.as_deref().cloned(),
        claim: session.claim.as_deref().cloned(),
        orphans: session.orphans.clone(),
    }
}

fn links(state: &State) -> impl Iterator<Item = Record> + '_ {
    let links = state.links();
    let head = Record::LinkList { revision: links.revision };
    let counters = links
        .counters
        .iter()
        .map(|(name, counter)| Record::LinkCounter { name: name.clone(), counter: *counter });
    let list = links.list().map(|link| Record::Link((**link).clone()));
    std::iter::once(head).chain(counters).chain(list)
}

fn remotes(state: &State) -> impl Iterator<Item = Record> + '_ {
    state.remotes().peers().flat_map(|(name, peer)| {
        let head = Record::Peer {
            name: name.clone(),
            view_slot: peer.view_slot,
            held_since_ms: peer.held_since_ms,
        };
        let actors = peer
            .actors()
            .map(|(name, actor)| Record::Actor { name: name.clone(), actor: actor.clone() });
        let routes = peer.entries().map(|(filter, id, slots)| Record::Learnt {
            filter: filter.clone(),
            id: (id != filter).then(|| id.clone()),
            slots: slots.as_slice().to_vec(),
        });
        let principal = peer.principal.clone();
        let speaker = principal.map(|principal| Record::Speaker { principal });
        std::iter::once(head).chain(speaker).chain(actors).chain(routes)
    })
}

fn others(state: &State) -> impl Iterator<Item = Record> + '_ {
    let retained = state.retained().shards.iter().flat_map(|shard| shard.names.iter());
    let retained = retained.map(|(topic, message)| Record::Retained {
        topic: topic.as_str().into(),
        message: message.clone(),
    });
    let access = state.access().iter().map(|((kind, name), record)| Record::Access {
        kind: *kind,
        name: name.clone(),
        record: record.clone(),
    });
    let alarms = state.alarms().standing().chain(state.alarms().history()).cloned();
    retained.chain(access).chain(alarms.map(Record::Alarm))
}
