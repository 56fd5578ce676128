//! The same question answered from policy files alone, by the same evaluator.

use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use moat_event::Workload;
use moat_policy::{ActivePolicy, Attempt, Document, Evaluator, PolicySet, Users, Verdict, parse};
use moat_wire::control::{DecidingRule, Explanation, NotSelected, RuleHolding};

use super::files;
use crate::arguments::Question;

pub fn explain(question: &Question, asked: &Attempt) -> anyhow::Result<Explanation> {
    let now = Timestamp::now();
    let mut policies = Vec::new();
    for file in files::read(&question.policies)? {
        let documents = match parse(&file.name, &file.text) {
            Ok(documents) => documents,
            Err(diagnostics) => {
                bail!(
                    "{}\ncorrect it: `moat policy validate` shows the place",
                    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                )
            }
        };
        policies.extend(documents.into_iter().filter_map(|document| match document {
            Document::Runtime(policy) => Some(ActivePolicy { policy: Arc::new(policy), first_seen: now }),
            Document::Compliance(_) => None,
        }));
    }
    let workload = workload(question);
    let mut set = PolicySet::new(policies, 1).context("these policies cannot be in force together")?;
    let rules = set.rule_set(&workload, now);
    let (mut selected, mut not_selected) = (Vec::new(), Vec::new());
    for (policy, outcome) in set.selection(&workload) {
        match outcome {
            Ok(()) => selected.push(policy.to_owned()),
            Err(why) => not_selected.push(NotSelected { policy: policy.to_owned(), why: why.to_string() }),
        }
    }
    let evaluator = Evaluator::new(rules, &Users::default()).context("a rule cannot be compiled")?;
    let (enforced, audited) = asked.judged(|activity| {
        let decision = evaluator.decide(activity);
        let rule = |verdict: Verdict<'_>| match verdict {
            Verdict::Match { index, rule } => Some(DecidingRule {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                action: format!("{:?}", rule.action),
                severity: rule.severity,
                reason: evaluator.reason(index, activity),
                // Files say nothing about a node.
                holding: RuleHolding { state: String::new(), driver: String::new(), reason: String::new() },
            }),
            Verdict::NoMatch | Verdict::NeedsArguments => None,
        };
        (rule(decision.enforced), rule(decision.audited))
    });
    let verdict = enforced.as_ref().map_or_else(|| String::from("Allowed"), |rule| rule.action.clone());
    Ok(Explanation { workload, generation: 1, verdict, enforced, audited, selected, not_selected })
}

/// The workload that the flags describe.
fn workload(question: &Question) -> Workload {
    let pod = question.pod.clone().unwrap_or_default();
    let container = question.container.clone().unwrap_or_else(|| pod.clone());
    Workload {
        namespace: question.namespace.clone().unwrap_or_else(|| String::from("default")),
        labels: question.label.iter().cloned().collect(),
        image: question.image.clone().unwrap_or_default(),
        kind: String::from("Container"),
        name: container.clone(),
        pod,
        container,
        ..Workload::default()
    }
}
