//! What the configuration puts into the replicated state when a node starts.

use std::io::Write;

use anyhow::Context;
use spanmq_api::FirstAdmin;
use spanmq_config::{Config, LinksSource};
use spanmq_raft::RaftNode;
use spanmq_state::command::{AccessCommand, ClusterCommand, LinkCommand, LinkReply};
use spanmq_state::{AccessKind, Command, Reply, SecretText};

use crate::wiring::api::ApiPort;
use crate::wiring::{access, settings};

/// No default password anywhere: the first one comes from the configuration, or is random and
/// printed once (SECURITY A1, D-4).
pub(crate) async fn first_administrator(port: &ApiPort, config: &Config) -> anyhow::Result<()> {
    let dashboard = &config.dashboard;
    let password = match &dashboard.default_password {
        Some(secret) => Some(spanmq_access::Secret::new(settings::read_secret(secret)?)),
        None => None,
    };
    let name = dashboard.default_username.as_str();
    if let FirstAdmin::Generated(password) =
        spanmq_api::bootstrap_admin(port, name, password).await?
    {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "first administrator: {name}, password {}; it is shown only now",
            password.expose()
        )?;
    }
    Ok(())
}

/// Adds the API keys of the bootstrap file, and the links of the file: at the first start, or at each
/// one if the file is the truth about them.
pub(crate) async fn seed(raft: &RaftNode, config: &Config) -> anyhow::Result<()> {
    let mut commands: Vec<Command> = Vec::new();
    for key in access::api_keys(config)? {
        let unchanged = {
            let state = raft.state();
            let stored = state.access().get(AccessKind::ApiKey, &key.key);
            stored.is_some_and(|record| record.record.reveal() == key.to_record())
        };
        if !unchanged {
            commands.push(Command::Access(AccessCommand::Put {
                kind: AccessKind::ApiKey,
                name: key.key.as_str().into(),
                record: SecretText::new(key.to_record()),
                create_only: false,
                expected: None,
            }));
        }
    }
    let first = raft.state().links().revision() == 0;
    if config.cluster.links_source == LinksSource::File {
        let links = config.cluster.links.configs().map(crate::wiring::api::spec).collect();
        commands.push(Command::Link(LinkCommand::ReplaceAll { links, expected: None }));
    } else if first {
        let specs = config.cluster.links.configs().map(crate::wiring::api::spec);
        commands.extend(specs.map(|spec| Command::Link(LinkCommand::Create(spec))));
    } else if !config.cluster.links.is_empty() {
        tracing::info!(
            "cluster.links of the file only seeds the list at the first start; the replicated list counts"
        );
    }
    if !commands.is_empty() {
        let replies = raft
            .propose(commands)
            .await
            .context("keys and links of the configuration cannot be stored")?;
        let is_refused = |reply: &&Reply| {
            let done =
                matches!(reply, Reply::Link(LinkReply::Done { .. } | LinkReply::Unchanged { .. }));
            matches!(reply, Reply::Link(_)) && !done
        };
        if let Some(refusal) = replies.iter().find(is_refused) {
            anyhow::bail!("`cluster.links` of the configuration is refused: {refusal:?}");
        }
    }
    Ok(())
}

/// The caps that the replicated state keeps itself (SECURITY L8, K6) are one for all nodes: those of
/// the node that started last. Without a quorum the ones from before stay in force.
pub(crate) async fn put_limits(raft: &RaftNode, config: &Config) {
    let now = *raft.state().cluster().limits();
    let wanted = settings::replicated_limits(config, now);
    if wanted == now {
        return;
    }
    let command = Command::Cluster(ClusterCommand::PutLimits(wanted));
    match raft.propose(vec![command]).await {
        Ok(_) => tracing::info!(?wanted, "the configured caps are now those of the cluster"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, ?now, "the configured caps are not in force; start again to try");
        }
    }
}
