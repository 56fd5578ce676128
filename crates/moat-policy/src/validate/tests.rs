use super::*;
use crate::model::{Rule, RuleAction, RuntimePolicySpec};

/// A policy as it may come from an API, without a file behind it.
#[test]
fn problems_name_the_field_by_its_path() {
    let policy = RuntimePolicy {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        metadata: Metadata { name: "a\nb".to_owned(), ..Metadata::default() },
        spec: RuntimePolicySpec {
            namespace_selector: None,
            label_selector: None,
            workload_selector: None,
            mode: Mode::Enforce,
            enforce_after: None,
            rules: vec![Rule {
                name: "r".to_owned(),
                severity: moat_event::Severity::High,
                action: RuleAction::Block,
                process: None,
                file: None,
                network: None,
                syscalls: Some(vec!["bpf".to_owned(), "opne".to_owned()]),
                capabilities: None,
                drift: None,
            }],
        },
    };
    let lines: Vec<String> = validate_runtime(&policy).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn labels_follow_kubernetes() {
    for key in ["app", "a", "A.b_c-d", "example.com/app", "a-b.c/d", &"a".repeat(63)] {
        assert!(text::label_key(key).is_ok(), "{key}");
    }
    for key in ["", "/a", "a/", "a/b/c", "-a", "a-", "Example.com/a", "a..b/c", "a b", "é", &"a".repeat(64)]
    {
        assert!(text::label_key(key).is_err(), "{key}");
    }
    for value in ["", "a", "v1.2_3-x", &"9".repeat(63)] {
        assert!(text::label_value(value).is_ok(), "{value}");
    }
    for value in ["-a", "a.", "a*", "a/b", " ", &"9".repeat(64)] {
        assert!(text::label_value(value).is_err(), "{value}");
    }
}

#[test]
fn paths_up_to_the_limit() {
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    assert!(text::path(&path(crate::MAX_PATH_BYTES)).is_ok());
    assert!(text::path(&path(crate::MAX_PATH_BYTES + 1)).is_err());
    for good in ["/", "/usr/bin/[", "/a b/ü", "/...", "/..a"] {
        assert!(text::path(good).is_ok(), "{good}");
    }
    for good in ["/etc/**", "/**", "/a/**/b", "/a/{b,c}/?[0-9]*", "/a/[*]"] {
        assert!(text::path_glob(good).is_ok(), "{good}");
    }
}
