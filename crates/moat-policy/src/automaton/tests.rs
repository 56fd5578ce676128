use proptest::prelude::*;

use super::*;
use crate::pattern::Pattern;

/// What each expression finds alone.
fn expected(patterns: &[&str], input: &[u8]) -> BTreeSet<u32> {
    let matches = |pattern: &&str| Pattern::new(pattern).unwrap().is_match(input);
    (0u32..).zip(patterns).filter(|(_, pattern)| matches(pattern)).map(|(index, _)| index).collect()
}

#[track_caller]
fn agree(patterns: &[&str], inputs: &[&[u8]]) {
    let automaton = Automaton::search(patterns, Options::default()).unwrap();
    for input in inputs {
        assert_eq!(automaton.matches(input), expected(patterns, input), "{patterns:?} on {input:?}");
    }
}

#[test]
fn a_search_finds_every_pattern_that_matches_anywhere() {
    let inputs: &[&[u8]] = &[
        b"", b"a", b"b", b"ab", b"ba", b"xaby", b" a ", b"a b", b"aaaa", b"\xff", b"a\xffb", b"\na\n", b"_a",
        b"a_",
    ];
    agree(
        &["a", "b", "ab", "^a", "a$", "^a$", "^$", "", r"\ba\b", r"\Ba", "a*", "(?s).", ".", r"[^a]"],
        inputs,
    );
    agree(
        &["^", "$", r"\b", r"\B", "(?m)^a$", "(?i)A", r"(?-u)\xff", "a|", "(a|b)+$", "[[:word:]]{2}"],
        inputs,
    );
    agree(&["^a", "^b"], inputs);
    agree(&[], inputs);
}

#[test]
fn a_full_match_covers_the_input() {
    let automaton = Automaton::full(&["/a/[^/]*", "(?s)/b/.*", "a|ab", "(?x) c # comment"]).unwrap();
    let cases: [(&[u8], &[u32]); 9] = [
        (b"/a/x", &[0]),
        (b"/a/x/y", &[]),
        (b"x/a/x", &[]),
        (b"/b/x\n/y", &[1]),
        (b"ab", &[2]),
        (b"abc", &[]),
        (b"c", &[3]),
        (b"", &[]),
        (b"\0", &[]),
    ];
    for (input, found) in cases {
        assert_eq!(automaton.matches(input), found.iter().copied().collect(), "{input:?}");
    }
}

#[test]
fn a_full_match_dies_as_soon_as_nothing_can_match() {
    let automaton = Automaton::full(&["/usr/bin/.*"]).unwrap();
    let first = automaton.classes[usize::from(b'x')];
    assert_eq!(automaton.transitions[automaton.start as usize + usize::from(first)], 0);
}

#[test]
fn separators_are_spaces_where_asked() {
    let options = Options { separator_as_space: true };
    let automaton = Automaton::search(&["(^| )-c( |$)", r"\x00"], options).unwrap();
    assert_eq!(automaton.matches(b"sh\0-c\0id"), BTreeSet::from([0]));
    assert_eq!(automaton.matches(b"sh -c id"), BTreeSet::from([0]));
    assert_eq!(automaton.matches(b"sh\0-ci"), BTreeSet::new());
    assert_eq!(automaton.classes[0], automaton.classes[usize::from(b' ')]);
    let plain = Automaton::search(&["(^| )-c( |$)"], Options::default()).unwrap();
    assert_eq!(plain.matches(b"sh\0-c\0id"), BTreeSet::new());
}

#[test]
fn the_layout_is_what_the_kernel_reads() {
    let automaton = Automaton::search(&["ab", "b$"], Options::default()).unwrap();
    let stride = automaton.stride;
    assert_eq!(automaton.transitions.len() % stride as usize, 0);
    assert!(automaton.transitions.iter().all(|&to| to % stride == 0));
    assert!(automaton.transitions.iter().all(|&to| (to as usize) < automaton.transitions.len()));
    assert!(automaton.transitions[..stride as usize].iter().all(|&to| to == 0), "the dead state stays dead");
    assert_eq!(automaton.end_class, stride - 1);
    assert_eq!(automaton.matches.len(), automaton.states() - (automaton.min_match / stride) as usize);
    assert!(automaton.matches.iter().all(|patterns| !patterns.is_empty()));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let error = check(".*x.{16}").unwrap_err();
    assert!(
        matches!(&error, AutomatonError::PatternTooLarge { pattern, .. } if pattern == ".*x.{16}"),
        "{error}"
    );
    assert!(error.to_string().contains("anchor the expression with `^`"), "{error}");

    let error = Automaton::search(&["sh", "a.{14}b", "id"], Options::default()).unwrap_err();
    assert!(
        matches!(&error, AutomatonError::PatternTooLarge { pattern, .. } if pattern == "a.{14}b"),
        "{error}"
    );

    let together: Vec<String> = (0..6).map(|first| format!("{}.{{7}}z", (b'a' + first) as char)).collect();
    let together: Vec<&str> = together.iter().map(String::as_str).collect();
    assert!(together.iter().all(|pattern| check(pattern).is_ok()));
    let error = Automaton::search(&together, Options::default()).unwrap_err();
    assert!(matches!(&error, AutomatonError::SetTooLarge { patterns: 6, .. }), "{error}");

    assert!(matches!(check("("), Err(AutomatonError::Pattern { .. })));
    assert!(matches!(check(r"(?u)\ba"), Err(AutomatonError::Pattern { .. })));
    assert!(check(&"(a{1000}){1000}".replace('a', "[a-z]")).is_err());
}

#[test]
fn minimisation_merges_what_no_input_tells_apart() {
    // Anchored at both ends, the two spellings are one language: dead, four positions, and the match.
    let automaton = Automaton::full(&["(?:ab|ac)d|a[bc]d"]).unwrap();
    assert_eq!(automaton.states(), 6);
}

/// Expressions over few letters, so that they often match.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", " ", "-", "_", "/", "é"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            ".", "(?s:.)", "[ab]", "[^a]", r"\w", r"\W", r"\xff", r"\n", "(?i:A)"
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["^", "$", r"\b", r"\B", "", "(?m:^)", "(?m:$)", r"\z"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            2 => (inner, prop::sample::select(vec!["*", "+", "?", "*?", "{2}", "{1,3}"]))
                .prop_map(|(part, repeat)| format!("(?:{part}){repeat}")),
        ]
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let letters = vec![b'a', b'b', b'A', b' ', b'-', b'_', b'/', b'\n', 0, 0xff, 0xc3, 0xa9];
    prop_oneof![
        9 => prop::collection::vec(prop::sample::select(letters), 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn searching_agrees_with_each_expression_alone(
        patterns in prop::collection::vec(expression(), 1..5),
        inputs in prop::collection::vec(input(), 1..8),
    ) {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let automaton = Automaton::search(&patterns, Options::default()).unwrap();
        for input in &inputs {
            prop_assert_eq!(automaton.matches(input), expected(&patterns, input), "on {:?}", input);
        }
    }

    #[test]
    fn separators_read_as_the_joined_arguments_do(
        patterns in prop::collection::vec(expression(), 1..4),
        arguments in prop::collection::vec("[ab -]{0,4}", 0..5),
    ) {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let automaton = Automaton::search(&patterns, Options { separator_as_space: true }).unwrap();
        let found = automaton.matches(arguments.join("\0").as_bytes());
        prop_assert_eq!(found, expected(&patterns, arguments.join(" ").as_bytes()));
    }

    #[test]
    fn full_matching_agrees_with_the_anchored_expression(
        patterns in prop::collection::vec(expression(), 1..5),
        inputs in prop::collection::vec(input(), 1..8),
    ) {
        let anchored: Vec<String> = patterns.iter().map(|pattern| format!(r"\A(?:{pattern})\z")).collect();
        let anchored: Vec<&str> = anchored.iter().map(String::as_str).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let automaton = Automaton::full(&patterns).unwrap();
        for input in &inputs {
            prop_assert_eq!(automaton.matches(input), expected(&anchored, input), "on {:?}", input);
        }
    }
}
