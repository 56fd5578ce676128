//! What acts cost that are none of Moat's business, in instructions: limits that no change may go beyond unnoticed.
//!
//! `cargo xtask bench-kernel` tells the costs of everything else, and docs/performance.md has them.

use anyhow::Result;

use super::lsm::LOADING;
use super::{Case, Machine, cases};
use crate::speed::{ACTS, Act, Place, Stage, State};

pub fn cases() -> Vec<Case> {
    let cases = cases!("speed": acts_outside_of_containers_cost_next_to_nothing);
    cases.into_iter().map(|case| case.on(Machine::Counting).only(COUNTED).within(LOADING).slow()).collect()
}

/// By act: instructions that a driver may add that has rules for another container; with no rules on the node, [`IDLE`].
/// A program that does nothing adds 184 to an `open`: the way into it and out again.
const LIMITS: [(&str, f64); 4] = [
    ("open + close, depth 2, no rule on it", 260.0),
    ("open + close, depth 12, no rule on it", 260.0),
    ("write, 64 bytes", 5.0),
    ("getuid", 5.0),
];
const IDLE: f64 = 5.0;
/// The kernel that they were counted on.
const COUNTED: &str = "6.12";

fn acts_outside_of_containers_cost_next_to_nothing() -> Result<()> {
    let stage = Stage::set("outside")?;
    let limited: Vec<(&Act, f64)> = LIMITS
        .iter()
        .filter_map(|(name, limit)| Some((ACTS.iter().find(|act| act.name == *name)?, *limit)))
        .collect();
    assert_eq!(limited.len(), LIMITS.len());
    let without: Vec<f64> = measure(&stage, &limited)?;
    stage.attach()?;
    let idle = measure(&stage, &limited)?;
    stage.apply(State::OutOfScope)?;
    let with = measure(&stage, &limited)?;
    let mut exceeded = Vec::new();
    for ((((act, limit), without), idle), with) in limited.iter().zip(without).zip(idle).zip(with) {
        eprintln!("{}: {without:.0} instructions, {idle:.0} with the driver, {with:.0} with rules", act.name);
        for (counted, limit) in [(idle, IDLE), (with, *limit)] {
            if counted - without > limit {
                exceeded
                    .push(format!("{}: {without:.0} became {counted:.0}, {limit} more at most", act.name));
            }
        }
    }
    assert!(exceeded.is_empty(), "{}", exceeded.join("; "));
    Ok(())
}

fn measure(stage: &Stage, acts: &[(&Act, f64)]) -> Result<Vec<f64>> {
    acts.iter().map(|(act, _)| Ok(stage.cost(act, Place::Outside)?.median)).collect()
}
