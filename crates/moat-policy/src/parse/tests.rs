use super::*;
use crate::render;

const POLICY: &str = "\
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: test }
spec:
  mode: Enforce
  rules:
";

/// A policy with these rules, each line of which is indented below `rules:`.
fn with_rules(rules: &str) -> String {
    let rules: String = rules.lines().map(|line| format!("  {line}\n")).collect();
    format!("{POLICY}{rules}")
}

fn refused(text: impl AsRef<[u8]>) -> String {
    let diagnostics = parse("policy.yaml", text.as_ref()).unwrap_err();
    assert!(!diagnostics.is_empty());
    render(&diagnostics, false)
}

#[test]
fn probe() {
    let text = with_rules(
        "- name: a\n  action: Blok\n  process: { names: [sh, 12], nameRegexp: x }\n- name: b\n  severity: 3\n- naem: c\n  action: Block",
    );
    println!("{}", refused(&text));
    println!(
        "{}",
        refused(with_rules(
            "- name: a\n  action: Block\n  process: { names: [sh], nameRegex: \"^(ba|z\" }\n- name: a\n  action: Block\n  file:\n    paths: [etc, /a/../b, /x/, \"/a**\"]\n    operations: []\n- name: x y\n  action: Block\n  syscalls: [ptrac]\n"
        ))
    );
    println!("{}", refused("a: b\n\tc: d\n"));
    println!("{}", refused("a: b\na: c\n"));
    println!("{}", refused("a: [b\n"));
    println!("{}", refused("a: *b\n"));
    println!("{}", refused("kind: !foo b\n"));
    println!("{}", refused(""));
    println!("{}", refused(b"a: b\xff\n"));
    println!("{}", refused("a: \u{1b}[31m\n"));
    println!("{}", refused("a: \"\u{85}\u{9b}31m\"\n"));
    println!("{}", refused("[".repeat(1000)));
    println!("{}", refused("- a\n- b\n---\nx: y\n"));
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (a, b) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        bomb += &format!("{b}: &{b} [{}]\n", vec![format!("*{a}"); 9].join(","));
    }
    println!("{}", refused(bomb));
}
