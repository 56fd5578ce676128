//! The tables decide as the reference evaluator does, and what they cannot hold is refused by its rule.

mod fit;
mod generate;
mod kernel;

use std::sync::Arc;

use moat_policy::{Activity, Evaluator, Verdict};
use proptest::prelude::*;

use super::*;
use generate::{act, rule_set, rules, users};
use kernel::Kernel;

/// The ranks that the evaluator decides by: the enforced and the audited one.
fn reference(evaluator: &Evaluator, activity: &Activity<'_>) -> (Option<usize>, Option<usize>) {
    let rank = |verdict: Verdict<'_>| match verdict {
        Verdict::Match { index, .. } => Some(index),
        Verdict::NoMatch => None,
        Verdict::NeedsArguments => panic!("the arguments are known"),
    };
    let decision = evaluator.decide(activity);
    (rank(decision.enforced), rank(decision.audited))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    #[test]
    fn the_tables_decide_as_the_reference_does(
        rules in rules(0..14),
        acts in prop::collection::vec(act(), 8..24),
    ) {
        let rules = rule_set(rules);
        let tables = Tables::compile(&rules, &users()).unwrap();
        let kernel = Kernel::new(&tables);
        let evaluator = Evaluator::new(Arc::clone(&rules), &users()).unwrap();
        for act in &acts {
            act.with(|activity| {
                prop_assert_eq!(kernel.decide(activity), reference(&evaluator, activity), "{:?}", activity);
                Ok(())
            })?;
        }
    }
}

/// The generators reach what they are there for: without this, agreement could be agreement on nothing.
#[test]
fn generated_rules_and_activities_meet() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut decided = BTreeMap::new();
    let (mut needs, mut both, mut ranks) = (0, 0, BTreeSet::new());
    for _ in 0..400 {
        let rules = rule_set(rules(4..14).new_tree(&mut runner).unwrap().current());
        let kernel_tables = Tables::compile(&rules, &users()).unwrap();
        let kernel = Kernel::new(&kernel_tables);
        needs |= kernel_tables.needs;
        for _ in 0..8 {
            let act = act().new_tree(&mut runner).unwrap().current();
            act.with(|activity| {
                let (enforced, audited) = kernel.decide(activity);
                let kind = match activity {
                    Activity::Exec(_) => "exec",
                    Activity::Connect(_) => "connect",
                    Activity::Syscall(_) => "syscall",
                    Activity::Capability(_) => "capability",
                    Activity::File(_) => "file",
                };
                let counts: &mut (u32, u32) = decided.entry(kind).or_default();
                counts.0 += u32::from(enforced.is_some() || audited.is_some());
                counts.1 += u32::from(enforced.is_none() && audited.is_none());
                both += u32::from(enforced.is_some() && audited.is_some());
                ranks.extend(enforced);
            });
        }
    }
    for kind in ["exec", "file", "connect", "syscall", "capability"] {
        let (matched, unmatched) = decided[kind];
        assert!(matched > 20 && unmatched > 20, "{kind}: {matched} matched, {unmatched} did not");
    }
    assert!(both > 50, "{both} times an enforced and an audited rule matched");
    assert!(ranks.len() > 6, "{ranks:?}");
    // Of executions and files, each bit of `enum need`.
    let every_need = (1 << 17) - 1;
    assert_eq!(needs & every_need, every_need, "{needs:b}");
}
