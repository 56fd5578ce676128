//! What a decision costs, and what it costs to get ready for one: `cargo bench -p moat-policy --bench decide`.
//!
//! The rules are the mix that a large policy folder has: names, paths, directories, a few expressions.

use std::sync::Arc;

use divan::{Bencher, black_box};
use moat_event::{FileOperation, Origin, Severity};
use moat_policy::activity::{Actor, Exec, FileAccess, FileSource};
use moat_policy::automaton::{self, Automaton, Options};
use moat_policy::model::{FileMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{Activity, EffectiveRule, Evaluator, RuleIndex, RuleSet, Users};

const RULES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

fn process(matcher: ProcessMatcher) -> Matcher {
    Matcher::Process(matcher.into())
}

fn file(path: String) -> Matcher {
    let operations = vec![FileOperation::Read, FileOperation::Write];
    Matcher::File(FileMatcher { paths: vec![path], operations, ..FileMatcher::default() }.into())
}

fn matcher(number: usize) -> Matcher {
    let default = ProcessMatcher::default;
    match number % 10 {
        0..=2 => process(ProcessMatcher { names: vec![format!("tool{number}")], ..default() }),
        3 | 4 => process(ProcessMatcher { paths: vec![format!("/usr/bin/tool{number}")], ..default() }),
        5 => process(ProcessMatcher {
            names: vec![format!("tool{number}")],
            args_regex: Some("(^| )-c( |$)".into()),
            ..default()
        }),
        6 => file(format!("/srv/data/{number}")),
        7 => file(format!("/srv/tree/{number}/**")),
        8 if number % 20 == 8 => file(format!("/home/*/keys{number}/*.pem")),
        8 => file(format!("/etc/conf{number}")),
        _ if number % 20 == 9 => {
            process(ProcessMatcher { name_regex: Some(format!("^tool{number}(-[0-9]+)?$")), ..default() })
        }
        _ => process(ProcessMatcher { path_globs: vec![format!("/opt/app{number}/**")], ..default() }),
    }
}

fn rules(count: usize) -> Arc<RuleSet> {
    let mut rules: Vec<EffectiveRule> = (0..count)
        .map(|number| EffectiveRule {
            policy: format!("policy-{:03}", number / 100).into(),
            rule: format!("rule-{number:05}").into(),
            severity: Severity::High,
            action: RuleAction::Block,
            enforced: !number.is_multiple_of(4),
            matcher: matcher(number),
        })
        .collect();
    rules.sort_by(EffectiveRule::decision_order);
    Arc::new(RuleSet { generation: 1, hash: String::new(), rules })
}

fn exec(path: &str) -> Activity<'_> {
    Activity::Exec(Exec {
        path: path.as_bytes(),
        arguments: Some(b"tool -v"),
        ancestors: &[b"/usr/sbin/nginx"],
        uid: 33,
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    })
}

fn read(path: &str) -> Activity<'_> {
    let actor = Actor { executable: b"/usr/sbin/nginx", uid: 33 };
    Activity::File(FileAccess { path: path.as_bytes(), operation: FileOperation::Read, actor })
}

#[divan::bench(args = RULES)]
fn reference_exec_allowed(bencher: Bencher<'_, '_>, count: usize) {
    let evaluator = Evaluator::new(rules(count), &Users::default()).expect("the rules compile");
    bencher.bench(|| black_box(&evaluator).decide(black_box(&exec("/usr/sbin/nginx"))).generation);
}

#[divan::bench(args = RULES)]
fn index_exec_allowed(bencher: Bencher<'_, '_>, count: usize) {
    let index = RuleIndex::new(rules(count), &Users::default()).expect("the rules compile");
    bencher.bench(|| black_box(&index).decide(black_box(&exec("/usr/sbin/nginx"))).generation);
}

#[divan::bench(args = RULES)]
fn index_exec_denied(bencher: Bencher<'_, '_>, count: usize) {
    let index = RuleIndex::new(rules(count), &Users::default()).expect("the rules compile");
    bencher.bench(|| black_box(&index).decide(black_box(&exec("/usr/bin/tool1"))).generation);
}

#[divan::bench(args = RULES)]
fn index_open_allowed(bencher: Bencher<'_, '_>, count: usize) {
    let index = RuleIndex::new(rules(count), &Users::default()).expect("the rules compile");
    let path = "/usr/share/nginx/html/assets/index.html";
    bencher.bench(|| black_box(&index).decide(black_box(&read(path))).generation);
}

/// A path never seen before, each time: the search for all expressions has no states ready for it.
#[divan::bench(args = RULES, sample_count = 1000, sample_size = 1)]
fn index_open_fresh(bencher: Bencher<'_, '_>, count: usize) {
    let index = RuleIndex::new(rules(count), &Users::default()).expect("the rules compile");
    let mut number = 0u64;
    bencher
        .with_inputs(|| {
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
            format!("/home/u{number:x}/keys{}/f{number:x}.pem", number % 10_000)
        })
        .bench_local_refs(|path| black_box(&index).decide(black_box(&read(path))).generation);
}

#[divan::bench(args = RULES)]
fn index_concerns_file(bencher: Bencher<'_, '_>, count: usize) {
    let index = RuleIndex::new(rules(count), &Users::default()).expect("the rules compile");
    bencher.bench(|| black_box(&index).concerns_file(black_box(b"/usr/lib/x86_64-linux-gnu/libc.so.6")));
}

#[divan::bench(args = RULES, sample_count = 5)]
fn index_build(bencher: Bencher<'_, '_>, count: usize) {
    let rules = rules(count);
    bencher.bench(|| RuleIndex::new(Arc::clone(&rules), &Users::default()));
}

/// One hundred anchored expressions over argument vectors.
#[divan::bench(sample_count = 5)]
fn automaton_of_100(bencher: Bencher<'_, '_>) {
    let patterns: Vec<String> = (0..100)
        .map(|number| format!("^/(usr/)?(local/)?s?bin/tool{number}[a-z]*( .*(-o|--output)[ =]/tmp/.*)?$"))
        .collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    bencher.bench(|| Automaton::search(&patterns, Options { separator_as_space: true }));
}

/// The costliest expressions found: refused at the limits of each step, and held after much work.
#[divan::bench(args = ["a.{10}", "a.{14}b", "x.{16}", "(?:[a-z]{50}|[b-y]{49}x){100}", "^(?:[a-z]?){1000}z"], sample_count = 3)]
fn automaton_worst(pattern: &str) -> bool {
    automaton::check(black_box(pattern)).is_ok()
}
