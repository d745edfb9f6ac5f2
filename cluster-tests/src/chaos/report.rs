//! What a run leaves for readers: a table in the terminal, files, and one page that needs nothing
//! else.

use std::fmt::Write as _;
use std::fs;

use super::check::Findings;
use super::history::{Event, Kind, Op, faults, operations, phase};
use super::run::Done;

const WIDTH: u64 = 1_200;
const LANE: u64 = 34;
/// Violations that the terminal and the page show; findings.json has all.
const TOLD_MAX: usize = 20;
/// Dots of publishes that are drawn; more make a page slow and show no more.
const DOTS_MAX: usize = 4_000;

/// Writes `findings.json` and `report.html`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(done: &Done, history: &[Event]) -> anyhow::Result<()> {
    fs::write(done.dir.join("findings.json"), serde_json::to_vec_pretty(&done.findings)?)?;
    fs::write(done.dir.join("report.html"), page(done, history))?;
    Ok(())
}

/// The table of all runs, and under it what each one has to say.
#[must_use]
pub fn table(runs: &[Done]) -> String {
    let mut text = format!(
        "{:<7} {:>6} {:>6} {:>7} {:>7} {:>7} {:>5} {:>5} {:>5} {:>9}  verdict\n",
        "run", "seed", "faults", "ok", "refused", "unknown", "lost", "dup", "order", "pause ms"
    );
    for done in runs {
        let counts = &done.findings.counts;
        let _ = writeln!(
            text,
            "{:<7} {:>6} {:>6} {:>7} {:>7} {:>7} {:>5} {:>5} {:>5} {:>9}  {:?}",
            format!("{:?}", done.plan.mode).to_lowercase(),
            done.plan.seed,
            counts.faults,
            counts.ok,
            counts.refused,
            counts.unknown,
            counts.lost,
            counts.duplicates,
            counts.order_breaks,
            counts.longest_pause_ms,
            done.findings.verdict,
        );
    }
    for done in runs {
        text.push('\n');
        text.push_str(&details(done));
    }
    text
}

fn details(done: &Done) -> String {
    let Findings { violations, not_claimed, gaps, counts, .. } = &done.findings;
    let mut text = format!(
        "seed {} ({:.0} s, slowness {:.1}): {}\n",
        done.plan.seed,
        done.took.as_secs_f64(),
        done.plan.slowness,
        done.dir.display()
    );
    let recovered: Vec<String> =
        counts.recovered_ms.iter().map(|(what, ms)| format!("{what} {ms} ms")).collect();
    let _ = writeln!(text, "  after the heal: {}", recovered.join(", "));
    for violation in violations.iter().take(TOLD_MAX) {
        let _ = writeln!(
            text,
            "  FAIL {:?} at {} ms: {}",
            violation.promise,
            violation.at_us / 1_000,
            violation.text
        );
    }
    for excuse in &done.plan.not_claimed {
        let covered: Vec<_> = not_claimed.iter().filter(|v| excuse.covers(v)).collect();
        if let Some(first) = covered.first() {
            let _ = writeln!(
                text,
                "  not claimed, {} times {:?}: {} ({})",
                covered.len(),
                excuse.promise,
                first.text,
                excuse.reason
            );
        }
    }
    for gap in gaps {
        let _ = writeln!(text, "  UNKNOWN {}", gap.text);
    }
    let _ = writeln!(
        text,
        "  again: cargo run -p cluster-tests -- --plan {}",
        done.dir.join("plan.json").display()
    );
    text
}

fn page(done: &Done, history: &[Event]) -> String {
    let end = history.last().map_or(1, |event| event.t_us).max(1);
    let mut nodes: Vec<&str> =
        history.iter().map(|e| e.node.as_str()).filter(|n| !n.is_empty()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let height = LANE * (nodes.len() as u64 + 3);
    let mut svg = String::new();
    bands(&mut svg, history, end, height);
    lanes(&mut svg, history, &nodes, end);
    let bottom = LANE * (nodes.len() as u64 + 2);
    dots(&mut svg, history, end, bottom);
    if let Some(first) = done.findings.violations.first() {
        let x = place(first.at_us, end);
        let _ = write!(
            svg,
            "<line x1='{x}' x2='{x}' y1='0' y2='{height}' stroke='#c00' stroke-width='2'/>\
             <text x='{x}' y='12' fill='#c00'>first violation: {:?}</text>",
            first.promise
        );
    }
    format!(
        "<!doctype html><meta charset='utf-8'><title>SpanMQ chaos, seed {seed}</title>\
         <style>body{{font:14px system-ui,sans-serif;margin:2em;max-width:1300px}}\
         svg{{border:1px solid #ccc;font-size:11px}}pre{{white-space:pre-wrap}}</style>\
         <h1>SpanMQ chaos: seed {seed}, {verdict:?}</h1>\
         <p>A replay repeats the plan, not the interleaving of threads and packets.</p>\
         <svg width='{width}' height='{height}'>{svg}</svg>\
         <p>Lanes: each node; green = it answers, dark green = it leads, white = down or silent. \
         Grey bands: faults. Bottom: publishes, by the time they took (log scale, 1 ms to 10 s); \
         red = refused, orange = outcome unknown.</p><pre>{details}</pre>\
         <details><summary>Plan</summary><pre>{plan}</pre></details>",
        seed = done.plan.seed,
        verdict = done.findings.verdict,
        width = WIDTH + 10,
        details = escaped(&details(done)),
        plan = escaped(&serde_json::to_string_pretty(&done.plan).unwrap_or_default()),
    )
}

fn place(at_us: u64, end: u64) -> u64 {
    at_us.min(end) * WIDTH / end
}

fn bands(svg: &mut String, history: &[Event], end: u64, height: u64) {
    for (number, (from, until, event)) in faults(history).into_iter().enumerate() {
        let (x, to) = (place(from, end), place(until, end));
        let name = escaped(event.value["fault"].as_str().unwrap_or_default());
        let _ = write!(
            svg,
            "<rect x='{x}' y='0' width='{}' height='{height}' fill='#999' opacity='.18'>\
             <title>{name}</title></rect><text x='{x}' y='{}'>{name}</text>",
            (to - x).max(1),
            height - 4 - 12 * (number as u64 % 4),
        );
    }
    for name in ["load", "faults", "heal", "drain"] {
        if let Some(at) = phase(history, name) {
            let x = place(at, end);
            let _ = write!(
                svg,
                "<line x1='{x}' x2='{x}' y1='0' y2='{height}' stroke='#36c' stroke-dasharray='4'/>\
                 <text x='{}' y='12' fill='#36c'>{name}</text>",
                x + 2
            );
        }
    }
}

fn lanes(svg: &mut String, history: &[Event], nodes: &[&str], end: u64) {
    for (lane, node) in nodes.iter().enumerate() {
        let y = LANE * (lane as u64 + 1) - LANE / 2;
        for sample in history.iter().filter(|e| e.op == Op::Raft && e.node == **node) {
            let colour = if sample.value["role"] == "leader" { "#064" } else { "#7c9" };
            let x = place(sample.t_us, end);
            let _ = write!(svg, "<rect x='{x}' y='{y}' width='5' height='14' fill='{colour}'/>");
        }
        let _ = write!(svg, "<text x='2' y='{}' font-weight='bold'>{node}</text>", y + 11);
    }
}

fn dots(svg: &mut String, history: &[Event], end: u64, bottom: u64) {
    let all = operations(history);
    let publishes: Vec<_> =
        all.iter().filter(|o| o.invoke.op == Op::Publish && o.invoke.number("qos") > 0).collect();
    let every = publishes.len().div_ceil(DOTS_MAX).max(1);
    for operation in publishes.into_iter().step_by(every) {
        let Some(ended) = operation.end else { continue };
        let took_ms = (ended.t_us - operation.start_us()).max(1_000) as f64 / 1_000.0;
        let up = (took_ms.log10() / 4.0 * (2 * LANE) as f64) as u64;
        let colour = match ended.kind {
            Kind::Ok => "#38a",
            Kind::Fail => "#c00",
            _ => "#e80",
        };
        let (x, y) = (place(operation.start_us(), end), bottom.saturating_sub(up));
        let _ = write!(svg, "<circle cx='{x}' cy='{y}' r='1.5' fill='{colour}'/>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}
