use std::time::Instant;

use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::model::{ExecutableList, LabelSelector, Metadata, ProcessMatcher, RuleAction, RuntimePolicySpec};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn rule(name: &str, action: RuleAction, allow_list: bool) -> Rule {
    let process = if allow_list {
        let paths = vec!["/usr/sbin/nginx".to_owned()];
        let allow_only = Some(ExecutableList { paths, ..ExecutableList::default() });
        ProcessMatcher { allow_only, ..ProcessMatcher::default() }
    } else {
        ProcessMatcher { names: vec!["sh".to_owned()], ..ProcessMatcher::default() }
    };
    Rule {
        name: name.to_owned(),
        severity: moat_event::Severity::High,
        action,
        process: Some(process),
        file: None,
        network: None,
        syscalls: None,
        capabilities: None,
        drift: None,
    }
}

fn policy(name: &str, mode: Mode, enforce_after: Option<&str>, rules: Vec<Rule>) -> ActivePolicy {
    let policy = RuntimePolicy {
        api_version: crate::model::API_VERSION.to_owned(),
        kind: "RuntimePolicy".to_owned(),
        metadata: Metadata { name: name.to_owned(), ..Metadata::default() },
        spec: RuntimePolicySpec {
            namespace_selector: None,
            label_selector: None,
            workload_selector: None,
            mode,
            enforce_after: enforce_after.map(str::to_owned),
            rules,
        },
    };
    ActivePolicy { policy: Arc::new(policy), first_seen: NOW }
}

fn for_label(mut active: ActivePolicy, app: &str) -> ActivePolicy {
    let policy = Arc::make_mut(&mut active.policy);
    let match_labels = [("app".to_owned(), app.to_owned())].into();
    policy.spec.label_selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
    active
}

fn workload(app: &str) -> Workload {
    Workload { labels: [("app".to_owned(), app.to_owned())].into(), ..Workload::default() }
}

fn names(set: &RuleSet) -> Vec<(&str, &str, bool)> {
    set.rules.iter().map(|rule| (&*rule.policy, &*rule.rule, rule.enforced)).collect()
}

#[test]
fn rules_stand_in_the_total_order() {
    use RuleAction::{Alert, Block, KillPod};
    let a = vec![rule("allow", KillPod, true), rule("y", Block, false), rule("x", Block, false)];
    let b = vec![rule("alert", Alert, false), rule("allow", Block, true), rule("kill", KillPod, false)];
    let policies = [policy("b", Mode::Audit, None, b), policy("a", Mode::Enforce, None, a)];
    let mut set = PolicySet::new(policies, 7).unwrap();
    let rules = set.rule_set(&workload("any"), NOW);
    assert_eq!(rules.generation, 7);
    let expected = [
        ("b", "kill", false),
        ("a", "x", true),
        ("a", "y", true),
        ("b", "alert", false),
        ("a", "allow", true),
        ("b", "allow", false),
    ];
    assert_eq!(names(&rules), expected);
}

#[test]
fn only_selected_policies_count_and_equal_selections_share() {
    let rules = || vec![rule("r", RuleAction::Block, false)];
    let policies = [
        for_label(policy("web", Mode::Enforce, None, rules()), "web"),
        for_label(policy("db", Mode::Enforce, None, rules()), "db"),
        policy("all", Mode::Audit, None, rules()),
    ];
    let mut set = PolicySet::new(policies, 1).unwrap();
    let web = set.rule_set(&workload("web"), NOW);
    let other_web = set.rule_set(&Workload { pod: "other".to_owned(), ..workload("web") }, NOW);
    let none = set.rule_set(&workload("none"), NOW);
    assert_eq!(names(&web), [("all", "r", false), ("web", "r", true)]);
    assert_eq!(names(&none), [("all", "r", false)]);
    assert!(Arc::ptr_eq(&web, &other_web));
    drop((web, other_web, none));
    set.rule_set(&workload("db"), NOW);
    assert_eq!(set.made.len(), 1, "rule sets that nobody holds are forgotten");

    let web = workload("web");
    let selection: Vec<(&str, bool)> = set.selection(&web).map(|(name, why)| (name, why.is_ok())).collect();
    assert_eq!(selection, [("web", true), ("db", false), ("all", true)]);
}

#[test]
fn enforce_after_flips_once_and_says_when() {
    let rules = || vec![rule("r", RuleAction::Block, false)];
    let policies = [
        policy("at", Mode::Enforce, Some("1970-01-02"), rules()),
        policy("in", Mode::Enforce, Some("12h"), rules()),
        policy("now", Mode::Enforce, None, rules()),
        policy("never", Mode::Audit, None, rules()),
    ];
    let mut set = PolicySet::new(policies, 1).unwrap();
    let mut enforced_at = |hours: i64| -> Vec<String> {
        let rules = set.rule_set(&workload("any"), NOW + hours.hours());
        rules.rules.iter().filter(|rule| rule.enforced).map(|rule| rule.policy.to_string()).collect()
    };
    assert_eq!(enforced_at(11), ["now"]);
    assert_eq!(enforced_at(12), ["in", "now"]);
    assert_eq!(enforced_at(24), ["at", "in", "now"]);
    assert_eq!(set.next_change(NOW), Some(NOW + 12.hours()));
    assert_eq!(set.next_change(NOW + 12.hours()), Some(NOW + 24.hours()));
    assert_eq!(set.next_change(NOW + 24.hours()), None);
}

#[test]
fn the_hash_follows_the_meaning_and_not_the_generation() {
    let hash = |mode, action, name: &str, generation| {
        let rules = vec![rule(name, action, false)];
        PolicySet::new([policy("p", mode, None, rules)], generation)
            .unwrap()
            .rule_set(&workload("any"), NOW)
            .hash
            .clone()
    };
    let first = hash(Mode::Enforce, RuleAction::Block, "r", 1);
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(Mode::Enforce, RuleAction::Block, "r", 2));
    assert_ne!(first, hash(Mode::Audit, RuleAction::Block, "r", 1));
    assert_ne!(first, hash(Mode::Enforce, RuleAction::Alert, "r", 1));
    assert_ne!(first, hash(Mode::Enforce, RuleAction::Block, "s", 1));
}

#[test]
fn policies_that_cannot_be_in_force_together() {
    let rules = || vec![rule("r", RuleAction::Block, false)];
    let twins = [policy("p", Mode::Audit, None, rules()), policy("p", Mode::Audit, None, rules())];
    let error = PolicySet::new(twins, 1).unwrap_err();
    assert_eq!(error.to_string(), "two policies are named `p`; rename one of them");
    let mut two = rule("r", RuleAction::Block, false);
    two.syscalls = Some(vec!["bpf".to_owned()]);
    let error = PolicySet::new([policy("p", Mode::Audit, None, vec![two])], 1).unwrap_err();
    assert!(matches!(error, PolicySetError::Matcher { .. }), "{error}");
}

#[test]
fn ten_thousand_rules_over_a_hundred_containers_are_quick() {
    let action = |index: usize| [RuleAction::Alert, RuleAction::Block, RuleAction::KillPod][index % 3];
    let policies = (0..100).map(|policy_index| {
        let rules = (0..100).map(|index| rule(&format!("r{index}"), action(index), index == 50)).collect();
        let active = policy(&format!("p{policy_index}"), Mode::Enforce, None, rules);
        // Every container is left out by one policy of its own, so that no two share their rules.
        let mut active = active;
        let policy = Arc::make_mut(&mut active.policy);
        policy.spec.label_selector = Some(LabelSelector {
            match_expressions: vec![crate::model::LabelExpression {
                key: "app".to_owned(),
                operator: crate::model::LabelOperator::NotIn,
                values: vec![format!("a{policy_index}")],
            }],
            ..LabelSelector::default()
        });
        active
    });
    let policies: Vec<ActivePolicy> = policies.collect();
    let start = Instant::now();
    let mut set = PolicySet::new(policies, 1).unwrap();
    println!("compiled in {:?}", start.elapsed());
    let start = Instant::now();
    let sets: Vec<Arc<RuleSet>> =
        (0..100).map(|index| set.rule_set(&workload(&format!("a{index}")), NOW)).collect();
    println!("selected in {:?}", start.elapsed());
    assert!(sets.iter().all(|set| set.rules.len() == 9_900));
    // The budget is 200 ms in release; without optimisation a wide margin still tells linear from quadratic.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn the_order_is_total_and_independent_of_the_input(
        rules in proptest::collection::hash_map(
            ("[a-c]", "[a-d]"),
            (
                proptest::sample::select(vec![RuleAction::Alert, RuleAction::Block, RuleAction::Quarantine]),
                any::<bool>(),
            ),
            1..12,
        ),
        seed: u64,
    ) {
        let mut policies: HashMap<String, Vec<Rule>> = HashMap::new();
        for ((policy, name), (action, allow_list)) in rules {
            policies.entry(policy).or_default().push(rule(&name, action, allow_list));
        }
        let build = |turn: usize| {
            let mut policies: Vec<ActivePolicy> = policies
                .iter()
                .map(|(name, rules)| {
                    let mut rules = rules.clone();
                    let middle = turn % rules.len();
                    rules.rotate_left(middle);
                    policy(name, Mode::Enforce, None, rules)
                })
                .collect();
            let middle = turn % policies.len();
            policies.rotate_left(middle);
            PolicySet::new(policies, 1).unwrap().rule_set(&workload("any"), NOW)
        };
        let (one, other) = (build(0), build(usize::try_from(seed % 1000).unwrap()));
        prop_assert_eq!(&one, &other);
        for pair in one.rules.windows(2) {
            prop_assert!(pair[0].decision_order(&pair[1]).is_lt());
            prop_assert!(pair[1].decision_order(&pair[0]).is_gt());
        }
    }
}
