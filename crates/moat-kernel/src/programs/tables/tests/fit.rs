//! What does not fit is refused by the name of its rule; prefixes and networks carry what encloses them.

use std::sync::Arc;

use moat_event::{FileOperation, Severity};
use moat_policy::model::FileException;

use super::*;
use crate::programs::tables::above::{ANY_PART, PART_SHIFT, directory_globs};

fn named(name: &str, matcher: Matcher) -> EffectiveRule {
    EffectiveRule {
        policy: "policy".into(),
        rule: name.into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher,
    }
}

fn process(name: &str, matcher: ProcessMatcher) -> EffectiveRule {
    named(name, Matcher::Process(Arc::new(matcher)))
}

fn compile(rules: Vec<EffectiveRule>) -> Result<Tables, ApplyError> {
    Tables::compile(&RuleSet { generation: 1, hash: String::new(), rules }, &users())
}

/// The rule that is named, and why.
fn refused(rules: Vec<EffectiveRule>) -> (String, String) {
    match compile(rules) {
        Err(ApplyError::DoesNotFit { policy, rule, what }) => {
            assert_eq!(policy, "policy");
            (rule, what)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_many_expressions_as_there_are_bits() {
    let with = |count: usize, field: fn(String) -> ProcessMatcher| -> Vec<EffectiveRule> {
        (0..count).map(|n| process(&format!("rule-{n}"), field(format!("^word{n}$")))).collect()
    };
    let by_name = |text| ProcessMatcher { name_regex: Some(text), ..ProcessMatcher::default() };
    let by_arguments = |text| ProcessMatcher { args_regex: Some(text), ..ProcessMatcher::default() };

    for field in [by_name as fn(String) -> ProcessMatcher, by_arguments] {
        let rules = with(MAX_EXPRESSIONS, field);
        let tables = compile(rules).unwrap();
        let bits: BTreeSet<u16> =
            tables.rules.iter().flat_map(|rule| [rule.name_bit, rule.arguments_bit]).collect();
        assert!((0..MAX_EXPRESSIONS as u16).all(|bit| bits.contains(&bit)));
    }
    let (rule, what) = refused(with(MAX_EXPRESSIONS + 1, by_name));
    assert_eq!(rule, "rule-256");
    assert!(what.contains("256") && what.contains("nameRegex"), "{what}");
    let (rule, what) = refused(with(MAX_EXPRESSIONS + 1, by_arguments));
    assert_eq!(rule, "rule-256");
    assert!(what.contains("argsRegex"), "{what}");

    let same = (0..1000).map(|n| process(&format!("rule-{n}"), by_name("^sh$".to_owned()))).collect();
    assert!(compile(same).is_ok(), "equal expressions share a bit");
}

#[test]
fn as_many_sets_of_parents_and_users_as_there_are_bits() {
    let parents = |count: usize| {
        (0..count)
            .map(|n| {
                let parents = vec![format!("parent{n}"), "nginx".to_owned()];
                process(&format!("rule-{n}"), ProcessMatcher { parents, ..ProcessMatcher::default() })
            })
            .collect::<Vec<_>>()
    };
    let tables = compile(parents(MAX_SETS)).unwrap();
    let everyone = (NumberKind::AncestorName, text_hash(b"nginx"), ListRef::mask(u64::MAX));
    assert!(tables.numbers.contains(&everyone));
    let (rule, what) = refused(parents(MAX_SETS + 1));
    assert_eq!(rule, "rule-64");
    assert!(what.contains("64") && what.contains("parents"), "{what}");

    let users = (0..=MAX_SETS)
        .map(|n| {
            process(
                &format!("rule-{n}"),
                ProcessMatcher { users: vec![n.to_string()], ..ProcessMatcher::default() },
            )
        })
        .collect();
    let (rule, what) = refused(users);
    assert_eq!(rule, "rule-64");
    assert!(what.contains("users"), "{what}");
}

#[test]
fn texts_longer_than_a_key() {
    type Text<'a> = &'a dyn Fn(usize) -> String;
    type Place = fn(String) -> ProcessMatcher;
    // The text of the given length, a path where it must be one.
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    let name = |length: usize| "a".repeat(length);
    let directory = |length: usize| format!("{}/**", path((length - 1).max(2)));
    let cases: [(&str, Text<'_>, Place); 6] = [
        ("paths", &path, |text| ProcessMatcher { paths: vec![text], ..ProcessMatcher::default() }),
        ("names", &name, |text| ProcessMatcher { names: vec![text], ..ProcessMatcher::default() }),
        ("pathGlobs, the prefix with its slash", &directory, |text| ProcessMatcher {
            path_globs: vec![text],
            ..ProcessMatcher::default()
        }),
        ("parents by name", &name, |text| ProcessMatcher {
            parents: vec![text],
            ..ProcessMatcher::default()
        }),
        ("parents by path", &path, |text| ProcessMatcher {
            parents: vec![text],
            ..ProcessMatcher::default()
        }),
        ("except", &path, |text| ProcessMatcher {
            except: Some(ExecutableList { paths: vec![text], ..ExecutableList::default() }),
            ..ProcessMatcher::default()
        }),
    ];
    for (field, text, place) in cases {
        assert!(compile(vec![process("longest", place(text(TEXT_MAX - 1)))]).is_ok(), "{field}");
        let short = process("short", place(text(8)));
        let (rule, what) = refused(vec![short, process("long", place(text(TEXT_MAX)))]);
        assert_eq!(rule, "long", "{field}");
        assert!(what.contains("248 bytes"), "{field}: {what}");
    }
}

#[test]
fn an_expression_over_the_budget_is_named_by_its_rule() {
    // Each position of the last 14 bytes must be remembered: 2^14 states.
    let too_large = "a[ab]{13}$";
    let rules = |expression: &str| {
        let small = ProcessMatcher { name_regex: Some("^sh$".to_owned()), ..ProcessMatcher::default() };
        let large = ProcessMatcher { args_regex: Some(expression.to_owned()), ..ProcessMatcher::default() };
        vec![process("small", small), process("large", large)]
    };
    let (rule, what) = refused(rules(too_large));
    assert_eq!(rule, "large");
    assert!(what.contains(too_large), "{what}");
    let (rule, _) = refused(rules("("));
    assert_eq!(rule, "large");

    // By glob, matched and excepted.
    let glob = format!("/srv/*a{}", "?".repeat(14));
    let matched = ProcessMatcher { path_globs: vec![glob.clone()], ..ProcessMatcher::default() };
    let except = ExecutableList { path_globs: vec![glob], ..ExecutableList::default() };
    let excepted = ProcessMatcher { except: Some(except), ..ProcessMatcher::default() };
    for matcher in [matched, excepted] {
        let other = ProcessMatcher { path_globs: vec!["/srv/*/x".to_owned()], ..ProcessMatcher::default() };
        let (rule, _) = refused(vec![process("fine", other), process("wide", matcher)]);
        assert_eq!(rule, "wide");
    }
}

#[test]
fn a_system_call_of_another_architecture_is_refused_by_name() {
    let known = named("known", Matcher::Syscalls(["ptrace".to_owned()].into()));
    let unknown =
        named("unknown", Matcher::Syscalls(["ptrace".to_owned(), "no_such_call".to_owned()].into()));
    let (rule, what) = refused(vec![known, unknown]);
    assert_eq!(rule, "unknown");
    assert!(what.contains("no_such_call"), "{what}");
}

fn ranks(matches: &[u32], excepts: &[u32]) -> super::Ranks {
    super::Ranks { matches: matches.iter().copied().collect(), excepts: excepts.iter().copied().collect() }
}

fn shown(ranks: &super::Ranks) -> (Vec<u32>, Vec<u32>) {
    (ranks.matches.iter().copied().collect(), ranks.excepts.iter().copied().collect())
}

#[test]
fn prefixes_carry_the_ranks_of_what_encloses_them() {
    let prefixes = BTreeMap::from([
        (b"/".to_vec(), ranks(&[9], &[])),
        (b"/usr/".to_vec(), ranks(&[3], &[4])),
        (b"/usr/bin/".to_vec(), ranks(&[1], &[])),
        (b"/usr/binaries/".to_vec(), ranks(&[], &[2])),
        (b"/srv/usr/".to_vec(), ranks(&[5], &[])),
    ]);
    let found: BTreeMap<Vec<u8>, _> =
        with_enclosing(&prefixes).into_iter().map(|(prefix, ranks)| (prefix, shown(&ranks))).collect();
    assert_eq!(found.len(), prefixes.len());
    assert_eq!(found[b"/".as_slice()], (vec![9], vec![]));
    assert_eq!(found[b"/usr/".as_slice()], (vec![3, 9], vec![4]));
    assert_eq!(found[b"/usr/bin/".as_slice()], (vec![1, 3, 9], vec![4]));
    assert_eq!(found[b"/usr/binaries/".as_slice()], (vec![3, 9], vec![2, 4]));
    assert_eq!(found[b"/srv/usr/".as_slice()], (vec![5, 9], vec![]));
}

#[test]
fn networks_carry_the_ranks_of_what_covers_them() {
    let networks: BTreeMap<IpNet, super::Ranks> = [
        ("0.0.0.0/0", ranks(&[7], &[])),
        ("10.0.0.0/8", ranks(&[2], &[])),
        ("10.1.0.0/16", ranks(&[], &[2])),
        ("10.1.2.3/32", ranks(&[1], &[])),
        ("11.0.0.0/8", ranks(&[4], &[])),
        ("::/0", ranks(&[8], &[])),
        ("2001:db8::/32", ranks(&[6], &[])),
    ]
    .into_iter()
    .map(|(network, ranks)| (network.parse().unwrap(), ranks))
    .collect();
    let found: BTreeMap<String, _> = with_covering(&networks)
        .into_iter()
        .map(|(network, ranks)| (network.to_string(), shown(&ranks)))
        .collect();
    assert_eq!(found["0.0.0.0/0"], (vec![7], vec![]));
    assert_eq!(found["10.0.0.0/8"], (vec![2, 7], vec![]));
    assert_eq!(found["10.1.0.0/16"], (vec![2, 7], vec![2]));
    assert_eq!(found["10.1.2.3/32"], (vec![1, 2, 7], vec![2]));
    assert_eq!(found["11.0.0.0/8"], (vec![4, 7], vec![]));
    assert_eq!(found["::/0"], (vec![8], vec![]), "the families never mix");
    assert_eq!(found["2001:db8::/32"], (vec![6, 8], vec![]));
}

#[test]
fn a_mapped_network_is_the_network_it_maps() {
    for (text, expected) in [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::1", "::1/128"),
    ] {
        assert_eq!(parse_network(text).unwrap().to_string(), expected, "{text}");
    }
    for text in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0"] {
        assert!(parse_network(text).is_err(), "{text}");
    }
}

#[test]
fn the_directories_that_only_wildcards_cover() {
    for (glob, directories) in [
        ("/srv/*/secret", &["/srv/*"][..]),
        ("/srv/*/keys/*/secret", &["/srv/*", "/srv/*/keys", "/srv/*/keys/*"]),
        // `/srv` is spelled out, and so is above by its name; the file itself is no directory.
        ("/srv/data/*.key", &[]),
        ("/srv/**", &[]),
        ("/srv/**/*.key", &["/srv/**/*"]),
        ("/srv/{a,b}/c", &["/srv/{a,b}"]),
        // What lies between slashes within braces or classes is no directory of the whole.
        ("/srv/{a/*,b}/c", &["/srv/{a/*,b}"]),
        (r"/srv/\*/[a-z]/c", &[r"/srv/\*", r"/srv/\*/[a-z]"]),
    ] {
        assert_eq!(directory_globs(glob), directories, "{glob}");
    }
}

/// Each part of each glob of a rule is an entry of its own, and the last number stands for all that follow.
#[test]
fn parts_of_globs_are_told_apart() {
    let globs = |paths: &[&str]| {
        let path_globs = paths.iter().map(ToString::to_string).collect();
        process("globs", ProcessMatcher { path_globs, ..ProcessMatcher::default() })
    };
    let tables = compile(vec![globs(&["/opt/x"]), globs(&["/srv/*/a/b", "/var/*/c"])]).unwrap();
    assert!(tables.needs & need::ABOVE_AUTOMATON != 0);
    let entries = |part: u32| part << PART_SHIFT | 1;
    for part in 1..=3 {
        assert!(tables.lists.contains(&entries(part)), "{:x?}", tables.lists);
    }
    assert!(!tables.lists.contains(&entries(4)));
    let many: Vec<String> = (0..200).map(|n| format!("/srv/*/{n}/x")).collect();
    let tables =
        compile(vec![globs(&["/opt/x"]), globs(&many.iter().map(String::as_str).collect::<Vec<_>>())])
            .unwrap();
    let last = tables.lists.iter().filter(|entry| *entry & 0xff_ffff == 1).max();
    assert_eq!(last, Some(&entries(ANY_PART)));
}

#[test]
fn only_globs_may_match_a_path_too_long_to_be_known() {
    let matcher = |paths: &[&str], path_globs: &[&str]| ProcessMatcher {
        paths: paths.iter().map(ToString::to_string).collect(),
        path_globs: path_globs.iter().map(ToString::to_string).collect(),
        ..ProcessMatcher::default()
    };
    let rules = [
        matcher(&["/bin/sh"], &[]),
        matcher(&[], &["/a/**"]),
        matcher(&[], &["/b/*/c"]),
        matcher(&[], &["/c"]),
    ];
    let rules =
        rules.into_iter().enumerate().map(|(n, matcher)| process(&format!("rule-{n}"), matcher)).collect();
    let tables = compile(rules).unwrap();
    let Span { offset, count } = tables.unplaced_programs;
    assert_eq!(tables.lists[offset as usize..][..count as usize], [1, 2]);
    assert_eq!(tables.unplaced_files, Span::default());
}

#[test]
fn exact_paths_carry_the_exceptions_that_reach_them_as_globs() {
    let matcher = FileMatcher {
        paths: ["/data/a", "/data/b", "/etc/ssl/key"].map(String::from).to_vec(),
        operations: vec![FileOperation::Read],
        processes: Vec::new(),
        users: Vec::new(),
        except: Some(FileException {
            paths: ["/data/[a]", "/etc/**"].map(String::from).to_vec(),
            ..FileException::default()
        }),
    };
    let tables = compile(vec![named("rule", Matcher::File(Arc::new(matcher)))]).unwrap();
    let excepted = |path: &[u8]| {
        let is_it = |text: &&(TextKind, Vec<u8>, ListRef)| text.0 == TextKind::File && text.1 == path;
        tables.texts.iter().find(is_it).unwrap().2.except_count
    };
    assert_eq!((excepted(b"/data/a"), excepted(b"/data/b"), excepted(b"/etc/ssl/key")), (1, 0, 1));
}
