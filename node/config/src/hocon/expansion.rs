//! How much a text grows when its substitutions are resolved.
//!
//! Forty lines of `b = ${a}${a}`, `c = ${b}${b}`, … make a terabyte, and `hocon-rs` would make it.

use std::collections::HashMap;

use crate::origin::KeyPath;

/// Most bytes that resolving may copy, estimated from above.
const EXPANDED_BYTES_MAX: u64 = 256 << 20;

/// A `${target}` in the value of `within`.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) within: KeyPath,
    pub(super) target: KeyPath,
}

/// Whether resolving these in a text of `bytes` stays within bounds.
pub(super) fn bounded(uses: &[Use], bytes: usize) -> bool {
    let mut known = HashMap::new();
    let copies = copies(uses, &KeyPath::root(), &mut known);
    copies.saturating_mul(bytes as u64) <= EXPANDED_BYTES_MAX
}

/// How many substitutions are carried out to resolve `target`.
fn copies(uses: &[Use], target: &KeyPath, known: &mut HashMap<KeyPath, u64>) -> u64 {
    if let Some(copies) = known.get(target) {
        return *copies;
    }
    // A circle is for `hocon-rs` to refuse.
    known.insert(target.clone(), 0);
    let mut sum = 0_u64;
    for used in uses {
        if used.within.starts_with(target) || target.starts_with(&used.within) {
            sum = sum.saturating_add(1).saturating_add(copies(uses, &used.target, known));
        }
    }
    known.insert(target.clone(), sum);
    sum
}
