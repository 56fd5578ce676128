//! What a driver is to make of an action.
//!
//! The lsm driver does as the evaluator says. The guard judges an execution twice, and knows less each time: when the
//! file is opened, neither its arguments nor whether it came with the image; before the first instruction, of a script
//! only the interpreter. So of what the evaluator says, it
//!
//! * refuses an execution by the first rule that needs neither to refuse it, where another may stand before that one;
//! * does not see what rules say of a script's own arguments, and reports no script that may run.

use moat_policy::model::RuleAction;
use moat_policy::{Evaluator, RuleSet};

use super::action::{Action, Kind, Said};
use super::world::Actor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Guard,
    Lsm,
}

/// How an action ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    /// With EPERM.
    Refused,
    Killed,
    /// One of the two.
    Stopped,
    /// As it may: only what is reported counts.
    Any,
}

#[derive(Debug, Clone)]
pub struct Expected {
    pub end: End,
    pub records: Vec<Said>,
    /// The evaluator alone says otherwise: what this driver is known not to see.
    pub deviates: bool,
}

impl End {
    /// Of an answer of [`Actors::tell`](super::actors::Actors::tell).
    pub fn agrees(self, answer: i32) -> bool {
        let (refused, killed) = (answer == 1, answer == -9);
        match self {
            End::Done => answer == 0,
            End::Refused => refused,
            End::Killed => killed,
            End::Stopped => refused || killed,
            End::Any => true,
        }
    }

    pub fn is_stopped(self) -> bool {
        matches!(self, End::Refused | End::Killed | End::Stopped)
    }
}

pub fn expect(by: By, evaluator: &Evaluator, actor: &Actor, action: &Action) -> Expected {
    let rules = evaluator.rules();
    let said = action.said(evaluator, actor, true);
    // The guard is asked once for all that an open is for.
    let said = if by == By::Guard && action.kind() == Kind::Open { together(said) } else { said };
    let reference = in_turn(rules, said);
    let executes = matches!(action.kind(), Kind::Execution | Kind::Script);
    match by {
        // Programs of cgroups, which hold connections, cannot send signals: whoever reads the record does.
        _ if action.kind() == Kind::Connection && reference.end.is_stopped() => {
            Expected { end: End::Stopped, ..reference }
        }
        By::Lsm => reference,
        By::Guard if executes => {
            let guard = twice(evaluator, actor, action);
            let deviates =
                guard.end.is_stopped() != reference.end.is_stopped() || guard.records != reference.records;
            Expected { deviates, ..guard }
        }
        By::Guard => {
            // A call is only reported.
            let end = if action.kind() == Kind::Call { End::Any } else { reference.end };
            Expected { end, ..reference }
        }
    }
}

/// Each is asked until one refuses.
fn in_turn(rules: &RuleSet, all: Vec<Said>) -> Expected {
    let mut expected = Expected { end: End::Done, records: Vec::new(), deviates: false };
    for said in all {
        expected.end = end(rules, &said);
        if said.enforced.is_some() || said.audited.is_some() {
            expected.records.push(said);
        }
        if expected.end != End::Done {
            break;
        }
    }
    expected
}

fn together(all: Vec<Said>) -> Vec<Said> {
    let stronger = |one: Option<usize>, other: Option<usize>| one.into_iter().chain(other).min();
    let merged = all.into_iter().reduce(|one, other| Said {
        enforced: stronger(one.enforced, other.enforced),
        audited: stronger(one.audited, other.audited),
        subject: one.subject,
    });
    merged.into_iter().collect()
}

fn twice(evaluator: &Evaluator, actor: &Actor, action: &Action) -> Expected {
    let rules = evaluator.rules();
    for said in action.said(evaluator, actor, false) {
        let end = end(rules, &said);
        if end != End::Done {
            return Expected { end, records: vec![said], deviates: false };
        }
    }
    let mut expected =
        in_turn(rules, action.said(evaluator, actor, true).into_iter().last().into_iter().collect());
    if expected.end.is_stopped() {
        expected.end = End::Killed;
    }
    expected
}

fn end(rules: &RuleSet, said: &Said) -> End {
    match said.enforced.and_then(|index| rules.rules.get(index)).map(|rule| rule.action) {
        None | Some(RuleAction::Alert) => End::Done,
        Some(RuleAction::Block) => End::Refused,
        Some(_) => End::Killed,
    }
}
