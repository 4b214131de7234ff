//! Cycles among groups.

use std::iter::successors;

/// Finds the cycles in the edges from children to their parents, at most one edge a child. Each cycle is returned once,
/// upwards. The time does not depend on the shape of the tree.
pub(crate) fn cycles_among<K: Copy + Ord>(mut edges: Vec<(K, K)>) -> Vec<Vec<K>> {
    edges.sort_unstable();
    let index = |id: &K| edges.binary_search_by_key(id, |(child, _)| *child).ok();
    let above = |child: &usize| edges.get(*child).and_then(|(_, parent)| index(parent));
    // The start of the walk that saw a child.
    let mut seen: Vec<Option<usize>> = vec![None; edges.len()];
    let mut cycles = Vec::new();
    for start in 0..edges.len() {
        let mut at = Some(start);
        while let Some(child) = at.filter(|child| seen[*child].is_none()) {
            seen[child] = Some(start);
            at = above(&child);
        }
        // A walk that ends at one of its own groups is a cycle.
        if let Some(first) = at.filter(|child| seen[*child] == Some(start)) {
            let others = successors(above(&first), above).take_while(|child| *child != first);
            cycles.push([first].into_iter().chain(others).map(|child| edges[child].0).collect());
        }
    }
    cycles
}
