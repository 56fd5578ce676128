//! Byte automata for the kernel: many expressions at once, one table look-up a byte.
//!
//! The compiler of kernel tables builds them, `moat policy validate` asks whether an expression fits, and
//! [`Automaton::matches`] is the kernel's loop in Rust, against which both are tested.

mod determinize;
mod minimize;
mod table;

use std::collections::BTreeSet;

use regex_syntax::hir::{Hir, HirKind, Look};

use crate::pattern::{self, PatternError};

/// States that one automaton may have.
pub const MAX_STATES: usize = 8192;
/// Transitions that one automaton may have: the kernel's table is 1 MiB of 32-bit numbers.
pub const MAX_TRANSITIONS: usize = 262_144;

/// A deterministic automaton over bytes, laid out for the kernel.
///
/// States are numbered by the place of their row in `transitions`, so that a step is one addition and one
/// look-up. State 0 is dead: nothing more can match, and its row leads to itself. Matching states stand last. A
/// match is seen one byte late, hence the step with `end_class` after the last byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automaton {
    pub start: u32,
    /// The class of the end of the input.
    pub end_class: u32,
    /// States from here on match.
    pub min_match: u32,
    /// The class of each byte.
    pub classes: [u8; 256],
    /// The state after state `s` and class `c` is `transitions[s + c]`.
    pub transitions: Vec<u32>,
    /// Transitions of one state.
    pub stride: u32,
    /// The patterns, by their place in the input, that match when state `s` is entered:
    /// `matches[(s - min_match) / stride]`.
    pub matches: Vec<Vec<u32>>,
}

/// How the input is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Byte 0 is a space to the patterns: the kernel keeps argument vectors separated by NUL.
    pub separator_as_space: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AutomatonError {
    #[error("regular expression `{}`: {message}", pattern.escape_debug())]
    Pattern { pattern: String, message: String },
    #[error(
        "regular expression `{}` needs {} and an automaton holds {MAX_STATES} states and {MAX_TRANSITIONS} transitions; {hint}",
        pattern.escape_debug(), states.map_or_else(|| format!("more than {MAX_STATES} states"), |states| format!("{states} states"))
    )]
    PatternTooLarge {
        pattern: String,
        /// `None`: given up before they were counted.
        states: Option<usize>,
        hint: &'static str,
    },
    #[error(
        "{patterns} regular expressions together need more than the {MAX_STATES} states and {MAX_TRANSITIONS} transitions that an automaton holds; the costliest is `{}` with {states} states; {hint}",
        costliest.escape_debug()
    )]
    SetTooLarge { patterns: usize, costliest: String, states: usize, hint: &'static str },
}

impl From<PatternError> for AutomatonError {
    fn from(error: PatternError) -> Self {
        AutomatonError::Pattern { pattern: error.text, message: error.message }
    }
}

/// The states that `pattern` needs alone, searched for anywhere.
pub fn check(pattern: &str) -> Result<usize, AutomatonError> {
    Automaton::search(&[pattern], Options::default()).map(|automaton| automaton.states())
}

impl Automaton {
    /// Finds which of the patterns match anywhere in the input.
    pub fn search(patterns: &[&str], options: Options) -> Result<Automaton, AutomatonError> {
        let expressions = patterns.iter().map(|pattern| parse(pattern)).collect::<Result<Vec<_>, _>>()?;
        build(patterns, &expressions, options)
    }

    /// Finds which of the patterns match the whole input.
    pub fn full(patterns: &[&str]) -> Result<Automaton, AutomatonError> {
        let whole = |expression| Hir::concat(vec![Hir::look(Look::Start), expression, Hir::look(Look::End)]);
        let expressions =
            patterns.iter().map(|pattern| parse(pattern).map(whole)).collect::<Result<Vec<_>, _>>()?;
        build(patterns, &expressions, Options::default())
    }

    /// The number of states, the dead one included.
    pub fn states(&self) -> usize {
        self.transitions.len() / self.stride as usize
    }

    /// The patterns that match `input`: the kernel's loop, step by step.
    pub fn matches(&self, input: &[u8]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut state = self.start;
        let classes = input.iter().map(|&byte| u32::from(self.classes[usize::from(byte)]));
        for class in classes.chain([self.end_class]) {
            state = self.transitions.get((state + class) as usize).copied().unwrap_or_default();
            if state == 0 {
                break;
            }
            if let Some(beyond) = state.checked_sub(self.min_match) {
                found.extend(self.matches.get((beyond / self.stride) as usize).into_iter().flatten());
            }
        }
        found
    }
}

fn parse(pattern: &str) -> Result<Hir, AutomatonError> {
    regex_automata::util::syntax::parse_with(pattern, &pattern::syntax()).map_err(|error| {
        AutomatonError::Pattern {
            pattern: pattern.to_owned(),
            message: pattern::last_line(&error.to_string()),
        }
    })
}

/// Why an automaton was not built.
#[derive(Debug)]
enum BuildError {
    /// With the number of states where it is known.
    TooLarge(Option<usize>),
    Unsupported(String),
}

fn build(patterns: &[&str], expressions: &[Hir], options: Options) -> Result<Automaton, AutomatonError> {
    match automaton(expressions, options) {
        Ok(automaton) => Ok(automaton),
        Err(error) => Err(blame(patterns, expressions, options, error)),
    }
}

fn automaton(expressions: &[Hir], options: Options) -> Result<Automaton, BuildError> {
    let mut table = determinize::determinize(expressions, options)?;
    minimize::minimize(&mut table);
    table.lay_out()
}

/// Finds the pattern to name: the first that cannot be held even alone, or the one with most states.
fn blame(patterns: &[&str], expressions: &[Hir], options: Options, error: BuildError) -> AutomatonError {
    let too_large = |pattern: &str, expression, states| AutomatonError::PatternTooLarge {
        pattern: pattern.to_owned(),
        states,
        hint: hint(expression),
    };
    let unsupported =
        |pattern: &str, message| AutomatonError::Pattern { pattern: pattern.to_owned(), message };
    if let ([pattern], [expression]) = (patterns, expressions) {
        return match error {
            BuildError::TooLarge(states) => too_large(pattern, expression, states),
            BuildError::Unsupported(message) => unsupported(pattern, message),
        };
    }
    let mut costliest = (0, "", "");
    for (&pattern, expression) in patterns.iter().zip(expressions) {
        match automaton(std::slice::from_ref(expression), options) {
            Ok(alone) if alone.states() > costliest.0 => {
                costliest = (alone.states(), pattern, hint(expression));
            }
            Ok(_) => {}
            Err(BuildError::TooLarge(states)) => return too_large(pattern, expression, states),
            Err(BuildError::Unsupported(message)) => return unsupported(pattern, message),
        }
    }
    let (states, pattern, hint) = costliest;
    AutomatonError::SetTooLarge { patterns: patterns.len(), costliest: pattern.to_owned(), states, hint }
}

/// What to write instead.
fn hint(expression: &Hir) -> &'static str {
    if has_counted_repetition(expression) {
        "a counted repetition that can begin anywhere multiplies the states: write `*` or `+` for it, or anchor the expression with `^`"
    } else {
        "spread the alternatives over several rules, or anchor them with `^`"
    }
}

fn has_counted_repetition(expression: &Hir) -> bool {
    match expression.kind() {
        HirKind::Repetition(repetition) => {
            repetition.min > 1
                || repetition.max.is_some_and(|max| max > 1)
                || has_counted_repetition(&repetition.sub)
        }
        HirKind::Capture(capture) => has_counted_repetition(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(has_counted_repetition),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

#[cfg(test)]
mod tests;
