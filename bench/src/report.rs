//! Medians of rounds, ratios to the first other broker, and the page that is published.

use std::fmt::Write as _;
use std::process::Command;

use crate::broker::Recipe;
use crate::workload::{Outcome, WORKLOADS};

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One Markdown row per workload and broker; ratios compare CPU with the last broker named.
pub(crate) fn table(outcomes: &[Outcome], recipes: &[Recipe]) -> String {
    let mut out = String::from(
        "| workload | broker | operations/s | CPU µs each | ratio | generator µs | memory | bytes each | p50 / p99 / p99.9 ms |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (workload, _) in WORKLOADS {
        let of = |broker: &str| -> Vec<&Outcome> {
            outcomes.iter().filter(|o| o.workload == *workload && o.broker == broker).collect()
        };
        let cpu = |runs: &[&Outcome]| median(runs.iter().map(|o| o.cpu_us_each).collect());
        let peer = recipes.get(1).map(|r| cpu(&of(&r.name)));
        for recipe in recipes {
            let runs = of(&recipe.name);
            if !runs.is_empty() {
                let _ = writeln!(out, "{}", row(workload, recipe, &runs, cpu(&runs), peer));
            }
        }
    }
    out
}

fn row(workload: &str, recipe: &Recipe, runs: &[&Outcome], cpu: f64, peer: Option<f64>) -> String {
    let mid = |f: fn(&Outcome) -> f64| median(runs.iter().map(|o| f(o)).collect());
    let ratio = peer.map_or_else(|| "–".to_owned(), |p| format!("{:.2}", cpu / p));
    let bytes = match runs.iter().all(|o| o.bytes_each.is_some()) {
        true => format!("{:.0}", mid(|o| o.bytes_each.unwrap_or(0.0))),
        false => "–".to_owned(),
    };
    let latency = match runs.iter().all(|o| o.latency_us.is_some()) {
        true => (0..3)
            .map(|i| median(runs.iter().filter_map(|o| Some(o.latency_us?[i] as f64)).collect()))
            .map(|us| format!("{:.2}", us / 1e3))
            .collect::<Vec<_>>()
            .join(" / "),
        false => "–".to_owned(),
    };
    format!(
        "| {workload} | {} | {:.0} | {cpu:.2} | {ratio} | {:.2} | {:.1} MB | {bytes} | {latency} |",
        recipe.name,
        mid(|o| o.per_second),
        mid(|o| o.generator_cpu_us_each),
        mid(|o| o.memory_bytes as f64) / 1e6,
    )
}

/// The published page: the table with what is needed to repeat it.
pub(crate) fn document(
    table: &str,
    recipes: &[Recipe],
    rounds: usize,
    seconds: u64,
    mqtt: &str,
) -> anyhow::Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism()?;
    let mut page = format!(
        "# Benchmarks\n\nMade by `cargo run --release -p spanmq-bench -- run all --report \
         docs/benchmarks.md`. Rates on shared machines mean little: compare the CPU time per \
         operation, measured over all broker processes, and the ratio to the second broker in \
         interleaved rounds.\n\n- machine: {cores} cores,{}\n- MQTT {mqtt}, {rounds} rounds of \
         {seconds} s, medians; generator and broker on the same machine\n",
        model
            .trim_start_matches([' ', '\t', ':'])
            .split('@')
            .next()
            .map_or(String::new(), |m| format!(" {m}"))
    );
    for recipe in recipes {
        let _ = writeln!(page, "- {}: `{}`{}", recipe.name, recipe.command, version(recipe));
    }
    page.push_str("\n## Workloads\n\n| id | what |\n|---|---|\n");
    for (name, meaning) in WORKLOADS {
        let _ = writeln!(page, "| {name} | {meaning} |");
    }
    let _ = write!(page, "\n## Results\n\n{table}");
    Ok(page)
}

fn version(recipe: &Recipe) -> String {
    let program = recipe.command.split_whitespace().next().unwrap_or_default();
    let flag = if recipe.name == "mosquitto" { "-h" } else { "version" };
    let output = Command::new(program).arg(flag).output().map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.lines().next().map_or_else(String::new, |line| format!(" ({})", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_rounds_ignores_one_outlier() {
        assert!((median(vec![3.0, 900.0, 2.0]) - 3.0).abs() < f64::EPSILON);
    }
}
