//! The text format: samples of one metric stand together behind its HELP and TYPE lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    /// Suffix of the name with labels, and value.
    samples: Vec<(String, f64)>,
}

/// What a histogram has counted.
#[derive(Debug)]
pub(super) struct Buckets<'a> {
    /// Upper bound in the base unit, and how many values were at most that.
    pub(super) counts: &'a [(f64, u64)],
    pub(super) sum: f64,
    pub(super) count: u64,
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
        self.family(kind, name, help).push((braced(labels), value));
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        counted: &Buckets<'_>,
    ) {
        let samples = self.family(Kind::Histogram, name, help);
        let bounds = counted.counts.iter().map(|(bound, count)| (bound.to_string(), *count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), counted.count)]) {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            samples.push((format!("_bucket{}", braced(&labels)), count as f64));
        }
        samples.push((format!("_sum{}", braced(labels)), counted.sum));
        samples.push((format!("_count{}", braced(labels)), counted.count as f64));
    }

    fn family(&mut self, kind: Kind, name: &str, help: &str) -> &mut Vec<(String, f64)> {
        let family = self.families.entry(format!("spanmq_{name}")).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            samples: Vec::new(),
        });
        &mut family.samples
    }

    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (name, family) in self.families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
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

fn braced(labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_below_each_bound() {
        let mut text = Text::default();
        let counted = Buckets { counts: &[(0.001, 2), (1.0, 3)], sum: 4.5, count: 4 };
        text.histogram("took_seconds", "Took.", &[("link", "eu")], &counted);
        let expected = "# HELP spanmq_took_seconds Took.\n# TYPE spanmq_took_seconds histogram\n\
                        spanmq_took_seconds_bucket{link=\"eu\",le=\"0.001\"} 2\n\
                        spanmq_took_seconds_bucket{link=\"eu\",le=\"1\"} 3\n\
                        spanmq_took_seconds_bucket{link=\"eu\",le=\"+Inf\"} 4\n\
                        spanmq_took_seconds_sum{link=\"eu\"} 4.5\n\
                        spanmq_took_seconds_count{link=\"eu\"} 4\n";
        assert_eq!(text.finish(), expected);
    }

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
