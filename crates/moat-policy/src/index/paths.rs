//! Rules by the path that they look at.

use std::collections::{BTreeMap, HashMap};

use regex_automata::{Input, MatchKind, PatternSet, meta};

use super::candidates::Candidates;
use crate::compiled::{Applet, ProcessMatcher, Program, base_name};
use crate::glob::{Glob, Shape};
use crate::pattern;

/// The lists of rules, each ascending, by what makes a path theirs.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    /// Rules that may match any path.
    every: Vec<u32>,
    names: Lists,
    /// Rules that look at a name, by whichever list or expression.
    named: Vec<u32>,
    paths: Lists,
    /// By directory; see [`Shape::Below`].
    below: Lists,
    /// Lengths that keys of `below` have, so that only those are looked up.
    below_lengths: Vec<bool>,
    name_patterns: PatternIndex,
    path_patterns: PatternIndex,
}

type Lists = HashMap<Vec<u8>, Vec<u32>>;

impl PathIndex {
    /// A superset of the rules that match `path`, ascending.
    pub(super) fn candidates(&self, path: &[u8]) -> Candidates<'_> {
        let mut candidates = Candidates::of(&self.every);
        let name = base_name(path);
        if !self.names.is_empty() {
            candidates.add(self.names.get(name));
        }
        if !self.paths.is_empty() {
            candidates.add(self.paths.get(path));
        }
        for (length, _) in self.below_lengths.iter().enumerate().filter(|(_, used)| **used) {
            // Only whole components: the path ends there, or goes on with a slash.
            if let (Some(directory), None | Some(b'/')) = (path.get(..length), path.get(length)) {
                candidates.add(self.below.get(directory));
            }
        }
        self.name_patterns.find(name, &mut candidates);
        self.path_patterns.find(path, &mut candidates);
        candidates
    }

    /// A superset of the rules that match the program, ascending.
    pub(super) fn program_candidates(&self, program: &Program<'_>) -> Candidates<'_> {
        let mut candidates = self.candidates(program.path);
        match program.applet {
            Applet::None => {}
            Applet::Known(name) => {
                candidates.add(self.names.get(name));
                self.name_patterns.find(name, &mut candidates);
            }
            Applet::Unknown => candidates.add(Some(&self.named)),
        }
        candidates
    }
}

#[derive(Debug, Default)]
pub(super) struct PathIndexBuilder {
    index: PathIndex,
    name_patterns: BTreeMap<String, Vec<u32>>,
    path_patterns: BTreeMap<String, Vec<u32>>,
}

impl PathIndexBuilder {
    pub(super) fn add_process(&mut self, rule: u32, process: &ProcessMatcher) {
        if process.allow_only.is_some() || process.selects_every_executable() {
            self.index.every.push(rule);
            return;
        }
        if !process.executables.names.is_empty() || process.name_regex.is_some() {
            push(&mut self.index.named, rule);
        }
        for name in &process.executables.names {
            push(self.index.names.entry(name.clone().into_bytes()).or_default(), rule);
        }
        for path in &process.executables.paths {
            push(self.index.paths.entry(path.clone().into_bytes()).or_default(), rule);
        }
        self.add_globs(rule, &process.executables.globs);
        if let Some(pattern) = &process.name_regex {
            push(self.name_patterns.entry(pattern.text().to_owned()).or_default(), rule);
        }
    }

    pub(super) fn add_globs(&mut self, rule: u32, globs: &[Glob]) {
        for glob in globs {
            match glob.shape() {
                Shape::Exact(path) => push(self.index.paths.entry(path.clone()).or_default(), rule),
                Shape::Below(directory) => {
                    let lengths = &mut self.index.below_lengths;
                    lengths.resize(lengths.len().max(directory.len() + 1), false);
                    lengths[directory.len()] = true;
                    push(self.index.below.entry(directory.clone()).or_default(), rule);
                }
                Shape::Pattern(pattern) => {
                    push(self.path_patterns.entry(pattern.text().to_owned()).or_default(), rule);
                }
            }
        }
    }

    pub(super) fn build(self) -> PathIndex {
        let mut index = self.index;
        index.name_patterns = PatternIndex::new(self.name_patterns, &mut index.every);
        index.path_patterns = PatternIndex::new(self.path_patterns, &mut index.every);
        index.every.sort_unstable();
        index.every.dedup();
        index
    }
}

/// Rules come in ascending order; one may name a key twice.
fn push(list: &mut Vec<u32>, rule: u32) {
    if list.last() != Some(&rule) {
        list.push(rule);
    }
}

/// All expressions in one search, each once, with the rules that hold it.
#[derive(Debug, Default)]
struct PatternIndex {
    regex: Option<meta::Regex>,
    rules: Vec<Vec<u32>>,
}

/// Above this many bytes, the expressions are not searched for together.
const SIZE_LIMIT: usize = 64 << 20;

impl PatternIndex {
    /// Expressions that are too large together leave their rules to `every`: slower, and still right.
    fn new(patterns: BTreeMap<String, Vec<u32>>, every: &mut Vec<u32>) -> PatternIndex {
        if patterns.is_empty() {
            return PatternIndex::default();
        }
        let (texts, rules): (Vec<String>, Vec<Vec<u32>>) = patterns.into_iter().unzip();
        let config = meta::Config::new()
            .match_kind(MatchKind::All)
            .utf8_empty(false)
            .nfa_size_limit(Some(SIZE_LIMIT))
            .dfa(false)
            .onepass(false);
        let built = meta::Builder::new().configure(config).syntax(pattern::syntax()).build_many(&texts);
        let Ok(regex) = built else {
            every.extend(rules.into_iter().flatten());
            return PatternIndex::default();
        };
        PatternIndex { regex: Some(regex), rules }
    }

    fn find<'a>(&'a self, input: &[u8], candidates: &mut Candidates<'a>) {
        let Some(regex) = &self.regex else { return };
        // One search for any match, which needs no set, answers most questions: nothing matches.
        if !regex.is_match(input) {
            return;
        }
        let mut found = PatternSet::new(self.rules.len());
        regex.which_overlapping_matches(&Input::new(input), &mut found);
        let count = found.len();
        for pattern in found.iter().take(count) {
            candidates.add(self.rules.get(pattern.as_usize()));
        }
    }
}
