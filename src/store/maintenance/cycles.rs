//! Cycles among groups that no walk down from a root reaches.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::iter::successors;

/// Finds the cycles among groups by their parents. Each is returned once, upwards.
pub(crate) fn cycles_among<K: Copy + Ord + Hash>(parents: &BTreeMap<K, K>) -> Vec<Vec<K>> {
    let above = |id: &K| parents.get(id).copied();
    let mut seen = HashMap::with_capacity(parents.len());
    let mut cycles = Vec::new();
    for start in parents.keys() {
        let mut at = Some(*start);
        while let Some(id) = at.filter(|id| !seen.contains_key(id)) {
            seen.insert(id, *start);
            at = above(&id);
        }
        // A walk that ends at one of its own groups is a cycle.
        if let Some(first) = at.filter(|id| seen.get(id) == Some(start)) {
            let others = successors(above(&first), above).take_while(|id| *id != first);
            cycles.push([first].into_iter().chain(others).collect());
        }
    }
    cycles
}
