//! From expressions to a table, through regex-automata.

use std::collections::HashMap;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::table::{DEAD, Table};
use super::{BuildError, Options};

/// Bounds on the memory of each step, in bytes, and through it on its time. Before minimisation a table may be
/// some times as large as the one that the kernel gets.
const NFA_SIZE_LIMIT: usize = 8 << 20;
const DFA_SIZE_LIMIT: usize = 2 << 20;
const DETERMINIZE_SIZE_LIMIT: usize = 2 << 20;

/// The table of all states that can be reached.
pub(super) fn determinize(expressions: &[Hir], options: Options) -> Result<Table, BuildError> {
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(NFA_SIZE_LIMIT)),
        )
        .build_many_from_hir(expressions)
        .map_err(|error| match error.size_limit() {
            Some(_) => BuildError::TooLarge(None),
            None => BuildError::Unsupported(error.to_string()),
        })?;
    let dfa = dense(&nfa)?;
    // Without a byte before it, the input begins at the start of the text: `^` matches there.
    let start = dfa
        .start_state(&start::Config::new().anchored(Anchored::No))
        .map_err(|error| BuildError::Unsupported(error.to_string()))?;
    Ok(reachable(&dfa, start, options))
}

fn dense(nfa: &NFA) -> Result<dense::DFA<Vec<u32>>, BuildError> {
    let config = dense::Config::new()
        .accelerate(false)
        .start_kind(StartKind::Unanchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(DFA_SIZE_LIMIT))
        .determinize_size_limit(Some(DETERMINIZE_SIZE_LIMIT));
    dense::Builder::new().configure(config).build_from_nfa(nfa).map_err(|error| {
        if error.is_size_limit_exceeded() {
            BuildError::TooLarge(None)
        } else {
            BuildError::Unsupported(error.to_string())
        }
    })
}

fn reachable(dfa: &dense::DFA<Vec<u32>>, start: StateID, options: Options) -> Table {
    let of_byte = |byte: u8| match byte {
        0 if options.separator_as_space => dfa.byte_classes().get(b' '),
        _ => dfa.byte_classes().get(byte),
    };
    let mut columns: HashMap<u8, u8> = HashMap::new();
    let mut representatives = Vec::new();
    let classes = std::array::from_fn(|byte| {
        let byte = byte as u8;
        *columns.entry(of_byte(byte)).or_insert_with(|| {
            representatives.push(if byte == 0 && options.separator_as_space { b' ' } else { byte });
            (representatives.len() - 1) as u8
        })
    });

    let patterns = |state| {
        let count = if dfa.is_match_state(state) { dfa.match_len(state) } else { 0 };
        let mut patterns: Vec<u32> =
            (0..count).map(|index| dfa.match_pattern(state, index).as_u32()).collect();
        patterns.sort_unstable();
        patterns
    };
    let mut table = Table::new(classes, representatives.len() + 1);
    let mut numbers: HashMap<StateID, u32> = HashMap::new();
    let mut queue = Vec::new();
    let mut number = |state: StateID, table: &mut Table, queue: &mut Vec<(StateID, u32)>| {
        if dfa.is_dead_state(state) {
            return DEAD;
        }
        *numbers.entry(state).or_insert_with(|| {
            let number = table.add_state(patterns(state));
            queue.push((state, number));
            number
        })
    };
    table.start = number(start, &mut table, &mut queue);
    let mut next = 0;
    while let Some(&(state, from)) = queue.get(next) {
        next += 1;
        for (class, &byte) in representatives.iter().enumerate() {
            let to = number(dfa.next_state(state, byte), &mut table, &mut queue);
            table.set(from, class, to);
        }
        let end = table.add_end(patterns(dfa.next_eoi_state(state)));
        table.set(from, representatives.len(), end);
    }
    table
}
