//! Chaos suite and real-process tests: harness, fault proxy, workloads, checkers.
