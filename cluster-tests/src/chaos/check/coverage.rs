//! Whether the run did what it claims: each fault of the plan happened and had effect, and work
//! went on in every phase. A gap makes the verdict unknown.

use serde::Serialize;

use crate::chaos::history::{Event, Op, Operation, Outcome, operations, phase};
use crate::chaos::plan::Plan;

/// Something that the run claims and did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub text: String,
}

/// Phases in which operations must end well.
const PHASES: [(&str, &str); 3] = [("load", "faults"), ("faults", "heal"), ("heal", "drain")];

pub(super) fn check(history: &[Event], plan: &Plan) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut gap = |text: String| gaps.push(Gap { text });
    for (number, step) in plan.steps.iter().enumerate() {
        let key = number.to_string();
        if !history.iter().any(|e| e.op == Op::Fault && e.key == key) {
            gap(format!("fault {number} ({}) did not happen", step.fault));
            continue;
        }
        let healed = history.iter().find(|e| e.op == Op::Healed && e.key == key);
        match healed {
            None => gap(format!("fault {number} ({}) did not end", step.fault)),
            Some(event) if !event.flag("effective") => {
                gap(format!("fault {number} ({}) had no effect: {}", step.fault, event.value))
            }
            Some(_) => {}
        }
    }
    let all = operations(history);
    let done: Vec<u64> = all
        .iter()
        .filter(|o| o.invoke.op == Op::Publish && o.outcome == Outcome::Ok)
        .map(Operation::end_us)
        .collect();
    for (from, until) in PHASES {
        let (Some(begun), Some(ended)) = (phase(history, from), phase(history, until)) else {
            gap(format!("the run has no phase from {from} to {until}"));
            continue;
        };
        let count = done.iter().filter(|at| (begun..ended).contains(*at)).count();
        if (count as u64) < plan.ok_per_phase_min {
            gap(format!(
                "{count} publishes ended well from {from} to {until}; at least {} are wanted",
                plan.ok_per_phase_min
            ));
        }
    }
    for workload in &plan.workloads {
        let of_it = |o: &&Operation<'_>| {
            o.outcome == Outcome::Ok && o.invoke.proc.starts_with(workload.prefix())
        };
        let count = all.iter().filter(of_it).count();
        if count < workload.least() {
            let least = workload.least();
            gap(format!("workload {workload}: {count} of at least {least} operations ended well"));
        }
    }
    for op in [Op::Raft, Op::Routes, Op::Retained, Op::Health] {
        if !history.iter().any(|event| event.op == op) {
            gap(format!("nothing was recorded of {op:?}"));
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::Kind;
    use crate::chaos::history::build::event;
    use crate::chaos::plan::{Fault, Step, Target};
    use serde_json::json;

    fn plan() -> Plan {
        let step = Step { at_ms: 0, for_ms: 10, fault: Fault::Pause { target: Target::Leader } };
        Plan { steps: vec![step], workloads: vec![], ok_per_phase_min: 1, ..Plan::default() }
    }

    fn run(effective: bool) -> Vec<Event> {
        let mut history = Vec::new();
        for (at, name) in [(0, "load"), (10, "faults"), (20, "heal"), (30, "drain")] {
            history.push(event(at, Kind::State, "run", Op::Phase, name, json!(null)));
            let value = json!({"s": at, "qos": 1});
            history.push(event(at + 1, Kind::Invoke, "p", Op::Publish, "t", value.clone()));
            history.push(event(at + 2, Kind::Ok, "p", Op::Publish, "t", value));
        }
        history.push(event(12, Kind::Nemesis, "nemesis", Op::Fault, "0", json!({})));
        let ended = json!({"effective": effective});
        history.push(event(18, Kind::Nemesis, "nemesis", Op::Healed, "0", ended));
        for op in [Op::Raft, Op::Routes, Op::Retained, Op::Health] {
            history.push(event(31, Kind::State, "observer", op, "", json!(null)));
        }
        history
    }

    #[test]
    fn a_run_that_did_what_it_claims_has_no_gaps() {
        assert_eq!(check(&run(true), &plan()), []);
    }

    #[test]
    fn a_fault_without_effect_and_a_phase_without_work_are_gaps() {
        assert_eq!(check(&run(false), &plan()).len(), 1);
        let mut idle = run(true);
        idle.retain(|event| event.op != Op::Publish);
        assert_eq!(check(&idle, &plan()).len(), 3);
        assert!(check(&[], &plan()).len() > 4);
    }
}
