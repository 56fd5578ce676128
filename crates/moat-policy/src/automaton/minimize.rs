//! Merges states that no input tells apart, by Moore's partition refinement: plain rounds whose work can be
//! bounded, while regex-automata's own minimisation took nine seconds for 16,000 states.

use std::collections::HashMap;

use super::table::{DEAD, Table};

/// Successors looked at before giving up; the table then stays as it is, correct and larger.
const WORK_LIMIT: usize = 1 << 25;

pub(super) fn minimize(table: &mut Table) {
    let Some((blocks, count)) = partition(table) else { return };
    if count == table.states() {
        return;
    }
    let mut rows = Vec::with_capacity(count * table.width);
    let mut labels = Vec::with_capacity(count);
    // Blocks are numbered in the order of their first states, which stand for them.
    for (state, &block) in blocks.iter().enumerate() {
        if block as usize == labels.len() {
            labels.push(table.labels[state]);
            rows.extend(table.row(state).iter().map(|&to| blocks[to as usize]));
        }
    }
    table.start = blocks[table.start as usize];
    table.rows = rows;
    table.labels = labels;
}

/// The block of each state, the dead state's being [`DEAD`], and the number of blocks.
fn partition(table: &Table) -> Option<(Vec<u32>, usize)> {
    let mut blocks = number(table.labels.iter());
    let mut count = 0;
    let mut work = 0;
    while count != blocks.1 {
        work += table.rows.len();
        if work > WORK_LIMIT {
            return None;
        }
        count = blocks.1;
        let of = &blocks.0;
        blocks = number((0..table.states()).map(|state| {
            let successors: Vec<u32> = table.row(state).iter().map(|&to| of[to as usize]).collect();
            (of[state], successors)
        }));
    }
    debug_assert_eq!(blocks.0.first(), Some(&DEAD));
    Some(blocks)
}

/// Numbers equal keys alike, in the order of their first appearance.
fn number<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> (Vec<u32>, usize) {
    let mut numbers = HashMap::new();
    let numbered = keys
        .map(|key| {
            let next = numbers.len() as u32;
            *numbers.entry(key).or_insert(next)
        })
        .collect();
    (numbered, numbers.len())
}
