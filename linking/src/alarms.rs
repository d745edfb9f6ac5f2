//! Alarms about links (O-3): raised by the node that has the trouble, ended by recovery, disabling
//! or deletion.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spanmq_link_protocol::forward::ConnectionState;
use spanmq_link_protocol::reason::Reason;
use spanmq_link_protocol::replication::Phase;
use spanmq_state::Command;
use spanmq_state::command::AlarmCommand;

use crate::board::BoardView;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::upstream::now_ms;

const PERIOD: Duration = Duration::from_secs(1);
/// A pool that is down for a moment is no alarm: connections come back after a second.
const POOL_PATIENCE: Duration = Duration::from_secs(5);
/// As O-3 says.
const REPLICATION_PATIENCE: Duration = Duration::from_secs(30);

/// Name of an alarm → why.
type Wanted = BTreeMap<String, String>;

/// The alarms that one link deserves now.
fn of_link(link: &str, view: &BoardView, now: SystemTime, wanted: &mut Wanted) {
    let lasts = |since: SystemTime| now.duration_since(since).unwrap_or_default();
    let text = |reason: &Option<Reason>| {
        reason.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
    };
    let mut down = view.connections.values().map(|(standing, ..)| standing);
    let down = down.find(|standing| {
        standing.state != ConnectionState::Connected && lasts(standing.down_since) > POOL_PATIENCE
    });
    if let Some(standing) = down {
        wanted.insert(format!("cluster_link:{link}"), text(&standing.reason));
    }
    if view.trouble.is_some() {
        wanted.insert(format!("cluster_link:{link}"), text(&view.trouble));
    }
    let replication = view.replication.values().map(|(standing, _)| standing).find(|standing| {
        let refused = standing.state == Phase::Rejected
            || standing.reason.as_ref().is_some_and(|reason| reason.word.is_refusal());
        !matches!(standing.state, Phase::Online | Phase::Disabled)
            && (refused || lasts(standing.down_since) > REPLICATION_PATIENCE)
    });
    if let Some(standing) = replication {
        wanted.insert(format!("cluster_link_replication:{link}"), text(&standing.reason));
    }
}

/// Compares what stands with what should, once a second, until the node stops.
pub(crate) async fn run(registry: Arc<Registry>, ports: Ports, node: u64) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Alarms of an earlier run of this node stand in the replicated state; they are ended or
    // raised anew by the first comparison.
    let mut standing: Option<Wanted> = None;
    loop {
        ticks.tick().await;
        let mut wanted = Wanted::new();
        for state in registry.all() {
            let (enabled, link) = {
                let entry = state.entry.read();
                (entry.config.enable, entry.config.name.clone())
            };
            if enabled {
                of_link(&link, &state.board.view(), SystemTime::now(), &mut wanted);
            }
        }
        let known = standing.take().unwrap_or_else(|| ports.leader.standing_alarms());
        let commands = changes(&known, &wanted, node);
        standing = Some(match commands.is_empty() {
            true => known,
            // Without quorum nothing is stored; the next comparison tries again.
            false => match ports.learnt.propose(commands).await {
                Ok(_) => wanted,
                Err(_) => known,
            },
        });
    }
}

fn changes(known: &Wanted, wanted: &Wanted, node: u64) -> Vec<Command> {
    let at_ms = now_ms();
    let raised = wanted.iter().filter(|(name, _)| !known.contains_key(*name));
    let raised = raised.map(|(name, why)| AlarmCommand::Activate {
        name: name.as_str().into(),
        node,
        message: format!("resource down: {why}").into(),
        details: details(name, why).into(),
        at_ms,
    });
    let ended = known.keys().filter(|name| !wanted.contains_key(*name));
    let ended =
        ended.map(|name| AlarmCommand::Deactivate { name: name.as_str().into(), node, at_ms });
    raised.chain(ended).map(Command::Alarm).collect()
}

fn details(name: &str, why: &str) -> String {
    serde_json::json!({ "resource_id": name, "reason": "resource_down", "cause": why }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use spanmq_link_protocol::reason::ReasonWord;
    use spanmq_link_protocol::replication::ReplicationCounters;

    fn alarms(board: &Board, later: Duration) -> Vec<String> {
        let mut wanted = Wanted::new();
        of_link("eu", &board.view(), SystemTime::now() + later, &mut wanted);
        wanted.into_keys().collect()
    }

    #[test]
    fn a_refused_handshake_is_an_alarm_at_once_and_silence_after_half_a_minute() {
        let board = Board::new();
        let shown = &mut ReplicationCounters::default();
        let zero = ReplicationCounters::default();
        board.replication("n1", Phase::Disconnected, None, zero, shown);
        assert!(alarms(&board, Duration::from_secs(20)).is_empty());
        assert_eq!(alarms(&board, Duration::from_secs(31)), ["cluster_link_replication:eu"]);
        let refused = Some(ReasonWord::UnknownCluster.into());
        board.replication("n1", Phase::Rejected, refused, zero, shown);
        assert_eq!(alarms(&board, Duration::ZERO), ["cluster_link_replication:eu"]);
        board.replication("n1", Phase::Online, None, zero, shown);
        assert!(alarms(&board, Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn attempts_in_between_do_not_end_the_alarm_of_a_pool() {
        let board = Board::new();
        board.connection(1, ConnectionState::Disconnected, None, 0);
        assert!(alarms(&board, Duration::from_secs(4)).is_empty());
        board.connection(1, ConnectionState::Connecting, None, 0);
        assert_eq!(alarms(&board, Duration::from_secs(6)), ["cluster_link:eu"]);
        board.connection(1, ConnectionState::Connected, None, 0);
        assert!(alarms(&board, Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn only_what_changed_is_proposed() {
        let wanted = Wanted::from([("a".to_owned(), "why".to_owned())]);
        assert_eq!(changes(&wanted, &wanted, 1), []);
        assert_eq!(changes(&Wanted::new(), &wanted, 1).len(), 1);
        assert!(matches!(
            changes(&wanted, &Wanted::new(), 1)[..],
            [Command::Alarm(AlarmCommand::Deactivate { .. })]
        ));
    }
}
