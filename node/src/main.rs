//! The `spanmq` binary.
fn main() {}
