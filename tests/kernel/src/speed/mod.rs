//! What acts cost, in instructions, in a guest that counts them: `cargo xtask bench-kernel`, and limits that the
//! suite `speed` holds.
//!
//! The host's side is the program `moat-speed`, which asks a guest for [`measurements`], one [`State`] each, and makes
//! a table of them ([`table`]).

mod acts;
mod memory;
mod rules;
pub mod table;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::acts::{ACTS, Act, Place, Stage};
pub use self::memory::Memory;
use crate::suites::Case;

/// What the driver has to do with the process that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No driver is loaded.
    Detached,
    /// A driver is loaded, and no container has rules.
    Idle,
    /// The process is in no container that the driver knows; another one has ten rules on paths of each kind.
    OutOfScope,
    /// In a container with so many rules on paths of files, and as many on paths of programs.
    Rules(u32),
    /// In a container with ten such rules, and some with wildcards.
    Wildcards,
    /// In a container with ten such rules, and one on the arguments of every program.
    Arguments,
}

pub const STATES: [State; 9] = [
    State::Detached,
    State::Idle,
    State::OutOfScope,
    State::Rules(0),
    State::Rules(10),
    State::Rules(1_000),
    State::Rules(10_000),
    State::Wildcards,
    State::Arguments,
];

impl State {
    /// Its name as a case.
    pub fn name(self) -> String {
        match self {
            State::Detached => "detached".into(),
            State::Idle => "idle".into(),
            State::OutOfScope => "out_of_scope".into(),
            State::Rules(count) => format!("rules_{count}"),
            State::Wildcards => "wildcards".into(),
            State::Arguments => "arguments".into(),
        }
    }

    /// The same for people.
    pub fn title(self) -> String {
        match self {
            State::Detached => "detached".into(),
            State::Idle => "loaded, no rules on the node".into(),
            State::OutOfScope => "out of scope".into(),
            State::Rules(0) => "in scope, no rules".into(),
            State::Rules(count) => format!("{count} rules on paths"),
            State::Wildcards => "10 rules and wildcards".into(),
            State::Arguments => "10 rules and an argument regex".into(),
        }
    }
}

/// The instructions that one act takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub act: String,
    /// Of all batches: the median, and the first and third quartile.
    pub median: f64,
    pub quartiles: [f64; 2],
    /// What the program that decides on it took of that, on average; 0 where none was run.
    pub decision: f64,
}

/// What was measured in one state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub state: State,
    pub costs: Vec<Cost>,
    /// Milliseconds that the driver took to put the rules in force: 10⁶ instructions each.
    pub load: f64,
}

pub const SUITE: &str = "measure";
/// Also for the driver to load, once, and for the most rules: a guest that counts is slow.
const LIMIT: Duration = Duration::from_mins(20);

/// One measurement for each state, and one of memory: cases that tell JSON.
pub fn measurements() -> Vec<Case> {
    let mut cases: Vec<Case> = STATES
        .into_iter()
        .map(|state| {
            let told = move || Ok(serde_json::to_string(&acts::measure(state)?)?);
            Case::telling(SUITE, &state.name(), told).within(LIMIT)
        })
        .collect();
    let told = || Ok(serde_json::to_string(&memory::measure()?)?);
    cases.push(Case::telling(SUITE, "memory", told).within(LIMIT));
    cases
}
