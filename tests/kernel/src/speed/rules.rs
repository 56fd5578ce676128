//! The rules that are in force while acts are measured.

use std::sync::Arc;

use moat_event::{Direction, FileOperation, Severity};
use moat_policy::model::{FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::State;

/// Files that rules name, and what they forbid there.
const NAMED: [(&str, FileOperation); 3] = [
    ("/volume/ruled", FileOperation::Write),
    ("/volume/denied", FileOperation::Read),
    ("/data/ruled", FileOperation::Write),
];
/// Not one of them matches.
const WILDCARDS: [&str; 4] = ["/srv/*/keys/*.pem", "/home/*/.ssh/**", "/opt/*.d/secret", "/var/lib/*/state"];

/// The rules of one state.
pub fn of(state: State) -> Arc<RuleSet> {
    let mut matchers = Vec::new();
    let count = match state {
        State::Detached | State::Idle => 0,
        State::Rules(count) => count,
        State::OutOfScope | State::Wildcards | State::Arguments => 10,
    };
    if count > 0 {
        matchers.extend(NAMED.map(|(path, operation)| file(path.into(), operation)));
        matchers.extend((0..10).map(network));
    }
    // Half of them on single files, half on directories.
    for number in 0..count.saturating_sub(NAMED.len() as u32) {
        let path = if number % 2 == 0 {
            format!("/volume/application-{number}/etc/settings.conf")
        } else {
            format!("/volume/application-{number}/var/**")
        };
        matchers.push(file(path, FileOperation::Write));
    }
    matchers.extend((0..count).map(|number| {
        let path = format!("/opt/tools-{number}/bin/tool");
        Matcher::Process(Arc::new(ProcessMatcher { paths: vec![path], ..ProcessMatcher::default() }))
    }));
    if state == State::Wildcards {
        matchers.extend(WILDCARDS.map(|path| file(path.into(), FileOperation::Write)));
    }
    if state == State::Arguments {
        let expression = String::from(r"(^| )--(eval|exec)=[a-z]+\(");
        matchers.push(Matcher::Process(Arc::new(ProcessMatcher {
            args_regex: Some(expression),
            ..ProcessMatcher::default()
        })));
    }
    let rules = matchers.into_iter().enumerate().map(|(number, matcher)| EffectiveRule {
        policy: "speed".into(),
        rule: format!("{number:06}").into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher,
    });
    Arc::new(RuleSet { generation: 1, hash: state.name(), rules: rules.collect() })
}

fn file(path: String, operation: FileOperation) -> Matcher {
    Matcher::File(Arc::new(FileMatcher {
        paths: vec![path],
        operations: vec![operation],
        ..FileMatcher::default()
    }))
}

fn network(number: u32) -> Matcher {
    Matcher::Network(Arc::new(NetworkMatcher {
        direction: Direction::Egress,
        cidrs: vec![format!("10.{number}.0.0/16")],
        ports: Vec::new(),
        protocols: Vec::new(),
        except: None,
    }))
}
