//! What the demo prints.

use std::time::Duration;

use super::traffic::Counters;

pub(super) struct Report;

impl Report {
    pub(super) fn header() -> &'static str {
        " time  published  acknowledged   crossed  on the way  duplicates   p50 ms   p99 ms"
    }

    pub(super) fn line(&self, elapsed: Duration, counters: &Counters) -> String {
        let Counters { published, acknowledged, crossed, duplicates, missing, latencies_us } =
            counters;
        let at = |percent: usize| {
            let index =
                (latencies_us.len() * percent / 100).min(latencies_us.len().saturating_sub(1));
            let value = latencies_us.get(index);
            value.map_or_else(|| "–".to_owned(), |us| format!("{:.2}", *us as f64 / 1e3))
        };
        format!(
            "{:>4}s {published:>10} {acknowledged:>13} {crossed:>9} {missing:>11} {duplicates:>11} {:>8} {:>8}",
            elapsed.as_secs(),
            at(50),
            at(99),
        )
    }

    pub(super) fn verdict(&self, counters: &Counters) -> String {
        let words = match counters.lost() {
            0 => "nothing that was acknowledged got lost".to_owned(),
            lost => format!("{lost} acknowledged messages did NOT arrive"),
        };
        format!(
            "\n{} published, {} acknowledged, {} crossed, {} of them more than once: {words}",
            counters.published, counters.acknowledged, counters.crossed, counters.duplicates
        )
    }

    pub(super) fn next_steps() -> &'static str {
        "\nTry next:\n  \
         spanmq demo --chaos --seconds 60        kill nodes meanwhile\n  \
         spanmq start --dev --init               a broker of your own on port 1883\n  \
         spanmq config schema                    everything that can be set"
    }
}
