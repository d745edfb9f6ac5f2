//! What a running node watches beside its work: SIGHUP, which reloads the rules (SECURITY A7), and
//! its own memory (L10).

use std::sync::Arc;
use std::time::Duration;

use spanmq_config::Config;
use spanmq_mqtt::BrokerHandle;
use spanmq_mqtt::config::MemoryGauge;
use tokio::signal::unix::{SignalKind, signal};

use crate::wiring::access::Access;

/// How often memory is looked at.
const MEMORY_PERIOD: Duration = Duration::from_secs(1);
/// Below so many percent of the mark, memory counts as low again.
const LOW_PERCENT: u64 = 90;

/// On SIGHUP the rule files are read again. Files that are wrong change nothing and are named.
pub(crate) fn reload_on_hangup(config: Config, access: Arc<Access>, broker: BrokerHandle) {
    actix_rt::spawn(async move {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            match access.reload(&config) {
                Ok(rules) => {
                    tracing::info!(rules, "rules reloaded; subscriptions they forbid now end");
                    broker.rights_changed();
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the rules were not reloaded; the former ones hold");
                }
            }
        }
    });
}

/// Above the mark, new connections and publishes over quota are refused until memory is low again.
pub(crate) fn watch_memory(config: &Config, gauge: MemoryGauge) {
    let limits = &config.limits;
    let Some(total) = limits.memory.finite().map(|size| size.0).or_else(machine_memory) else {
        return;
    };
    let mark = total / 100 * u64::from(limits.memory_high_percent);
    actix_rt::spawn(async move {
        loop {
            actix_rt::time::sleep(MEMORY_PERIOD).await;
            let Some(used) = resident_memory() else { continue };
            let was_high = gauge.is_high();
            let high = if was_high { used > mark / 100 * LOW_PERCENT } else { used > mark };
            if high != was_high {
                tracing::warn!(used, mark, high, "memory crossed its mark");
            }
            gauge.set(high);
        }
    });
}

/// Of the container, else of the machine; none where neither can be read.
fn machine_memory() -> Option<u64> {
    let cgroup = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let cgroup = cgroup.and_then(|text| text.trim().parse().ok());
    cgroup.or_else(|| kibibytes("/proc/meminfo", "MemTotal:"))
}

pub(crate) fn resident_memory() -> Option<u64> {
    kibibytes("/proc/self/status", "VmRSS:")
}

fn kibibytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_less_memory_than_there_is() {
        let (used, total) = (resident_memory().unwrap(), machine_memory().unwrap());
        assert!(used > 0 && used < total);
    }
}
