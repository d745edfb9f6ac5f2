//! The text format: samples of one metric stand together behind its HELP and TYPE lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    samples: Vec<(String, f64)>,
}

/// Metrics by name.
#[derive(Debug, Default)]
pub(super) struct Text {
    families: BTreeMap<String, Family>,
}

impl Text {
    pub(super) fn add(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let family = self.families.entry(format!("spanmq_{name}")).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            samples: Vec::new(),
        });
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        family.samples.push((labels, value));
    }

    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (name, family) in self.families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            // Writing to a String does not fail.
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, value) in family.samples {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        }
        out
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_stand_together_and_labels_are_escaped() {
        let mut text = Text::default();
        text.add(Kind::Counter, "b_total", "B.", &[("l", "x\"\\\n")], 1.0);
        text.add(Kind::Gauge, "a", "A.", &[], 0.5);
        text.add(Kind::Counter, "b_total", "B.", &[("l", "y")], 2.0);
        let expected = "# HELP spanmq_a A.\n# TYPE spanmq_a gauge\nspanmq_a 0.5\n\
                        # HELP spanmq_b_total B.\n# TYPE spanmq_b_total counter\n\
                        spanmq_b_total{l=\"x\\\"\\\\\\n\"} 1\nspanmq_b_total{l=\"y\"} 2\n";
        assert_eq!(text.finish(), expected);
    }
}
