//! Directories above what globs match that only a wildcard covers: who renames one gives what lies below another path.
//!
//! Each part of a glob that ends where a directory does is an expression of its own, and an entry of its own in the lists, so
//! that a directory which is renamed to where the same part covers it can be told from one that leaves the rule.

use std::collections::{BTreeMap, BTreeSet};

use moat_policy::automaton::{Automaton, AutomatonError};
use moat_policy::glob::{Glob, Shape};

use super::super::layout::AutomatonTable;
use super::{Lists, literal_head};

/// Where entries of [`AutomatonKind::Above`] have the number of the part beside the rank, and the last one, which
/// stands for all that follow (`ENTRY_ANY_PART`).
pub(super) const PART_SHIFT: u32 = 24;
pub(super) const ANY_PART: u32 = 0x7f;

/// Such directories as expressions, with their entries (rank, part).
#[derive(Default)]
pub(super) struct Above {
    patterns: BTreeMap<String, BTreeSet<(u32, u32)>>,
    /// Parts so far of the rule of this rank.
    parts: (u32, u32),
}

impl Above {
    /// `/srv/*/secret` lies below `/srv/*`.
    pub fn add(&mut self, glob: &str, rank: u32) -> Result<(), String> {
        for part in directory_globs(glob) {
            let Shape::Pattern(pattern) =
                Glob::new(&part).map_err(|error| error.to_string())?.shape().clone()
            else {
                continue;
            };
            let number = if self.parts.0 == rank { self.parts.1 + 1 } else { 1 };
            self.parts = (rank, number);
            let entry = (rank, number.min(ANY_PART));
            self.patterns.entry(pattern.text().to_owned()).or_default().insert(entry);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The rule that an expression comes from.
    pub fn first_rule(&self, pattern: &str) -> Option<&u32> {
        Some(&self.patterns.get(pattern)?.first()?.0)
    }

    pub fn table(&self, lists: &mut Lists) -> Result<AutomatonTable, AutomatonError> {
        let texts: Vec<&str> = self.patterns.keys().map(String::as_str).collect();
        let parts: Vec<&BTreeSet<(u32, u32)>> = self.patterns.values().collect();
        let automaton = Automaton::full(&texts)?;
        let mut entries = Vec::new();
        for matched in &automaton.matches {
            let matched = matched.iter().filter_map(|pattern| parts.get(*pattern as usize));
            let all: BTreeSet<(u32, u32)> = matched.flat_map(|parts| parts.iter().copied()).collect();
            let list = lists.add(all.into_iter().map(|(rank, part)| part << PART_SHIFT | rank).collect());
            entries.push(vec![list.offset, list.count, 0, 0]);
        }
        Ok(AutomatonTable::new(&automaton, &entries))
    }
}

/// The globs of the directories that what a glob matches lies in, from its first wildcard on.
pub(super) fn directory_globs(glob: &str) -> Vec<String> {
    let (mut depth, mut in_class, mut escaped) = (0_u32, false, false);
    let mut ends = Vec::new();
    for (at, character) in glob.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '/' if depth == 0 && at > literal_head(glob).len() => ends.push(at),
            _ => {}
        }
    }
    let parts = ends.into_iter().filter_map(|end| glob.get(..end));
    // `/dir/**` is `/dir` itself too, which is a directory of its own here.
    parts.map(|part| if part.ends_with("/**") { format!("{part}/*") } else { part.to_owned() }).collect()
}
