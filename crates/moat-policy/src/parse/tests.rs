use proptest::prelude::*;

use super::*;
use crate::model::Mode;
use crate::render;

mod generate;

const HEAD: &str = "\
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: test }
";

/// A policy with this `spec`, each line of which is indented below it.
fn policy(spec: &str) -> String {
    format!("{HEAD}spec:\n{}", indented(spec))
}

/// A policy with one rule of this matcher.
fn rule(matcher: &str) -> String {
    policy(&format!("rules:\n- name: a-rule\n  action: Block\n{}", indented(matcher)))
}

fn indented(text: &str) -> String {
    text.split_inclusive('\n').map(|line| ["  ", line].concat()).collect()
}

/// What a user sees who writes this.
fn refused(text: impl AsRef<[u8]>) -> String {
    match parse("policy.yaml", text.as_ref()) {
        Ok(documents) => panic!("accepted: {documents:#?}"),
        Err(diagnostics) => render(&diagnostics, false),
    }
}

/// One snapshot for each way of being wrong.
fn snapshots<T: AsRef<[u8]>>(cases: impl IntoIterator<Item = (&'static str, T)>) {
    for (name, text) in cases {
        let shown = refused(&text);
        assert!(!shown.contains(|c: char| c != '\n' && c.is_control()), "{name}: {shown:?}");
        insta::assert_snapshot!(name, shown);
    }
}

#[test]
fn text_that_is_not_yaml() {
    snapshots([
        ("yaml_tab", policy("rules:\n\t- name: a\n")),
        ("yaml_unclosed_bracket", policy("rules: [a\n")),
        ("yaml_indentation", policy("mode: Enforce\n rules: []\n")),
        ("yaml_duplicate_key", policy("mode: Enforce\nrules: []\nmode: Audit\n")),
        ("yaml_unknown_alias", policy("rules: *rules\n")),
        ("yaml_unknown_tag", policy("rules: !rules []\n")),
        ("yaml_control_character", policy("mode: \u{1b}[31mEnforce\n")),
        ("yaml_depth", "[".repeat(500)),
        ("yaml_alias_bomb", alias_bomb()),
        ("yaml_empty", String::new()),
        ("yaml_only_comments", "# later\n---\n".to_owned()),
    ]);
    snapshots([("yaml_not_utf8", b"apiVersion: aqua\nkind: \xff\xfe\n")]);
}

fn alias_bomb() -> String {
    let line = |name: char, element: String| format!("{name}: &{name} [{}]\n", vec![element; 9].join(", "));
    let more = ('a'..'i').zip('b'..).map(|(before, name)| line(name, format!("*{before}")));
    std::iter::once(line('a', "x".to_owned())).chain(more).collect()
}

#[test]
fn documents_of_the_wrong_kind() {
    snapshots([
        ("kind_not_a_mapping", "- a\n- b\n".to_owned()),
        ("kind_api_version_missing", "kind: RuntimePolicy\n".to_owned()),
        ("kind_api_version_wrong", HEAD.replace("v1alpha1", "v2")),
        ("kind_missing", "apiVersion: aqua.security/v1alpha1\n".to_owned()),
        ("kind_misspelt", HEAD.replace("RuntimePolicy", "RuntimePolcy")),
        ("kind_of_a_later_version", HEAD.replace("RuntimePolicy", "ImageAssurancePolicy")),
        ("kind_not_a_string", HEAD.replace("RuntimePolicy", "[RuntimePolicy]")),
        ("kind_not_text", HEAD.replace("RuntimePolicy", "\"Runtime\\n\\e[31mPolicy\"")),
    ]);
}

#[test]
fn fields_of_the_wrong_shape() {
    snapshots([
        ("shape_unknown_field", policy("mode: Enforce\nrule: []\nrules: []\n")),
        ("shape_unknown_field_far_off", rule("zzz: 1\n")),
        ("shape_missing_spec", HEAD.to_owned()),
        ("shape_missing_action", policy("rules:\n- name: a\n  process: { names: [sh] }\n")),
        ("shape_unknown_value", policy("mode: enforced\nrules: []\n")),
        ("shape_number_for_string", rule("network: { direction: Egress, ports: [443, \"80\"] }\n")),
        ("shape_boolean_for_string", rule("process: { names: [true] }\n")),
        ("shape_string_for_list", rule("process: { names: sh }\n")),
        ("shape_nothing_for_list", rule("process:\n  names:\n")),
        ("shape_list_for_mapping", rule("process: [sh]\n")),
        ("shape_string_for_boolean", rule("drift: { execute: yes }\n")),
        ("shape_mapping_for_string", rule("process: { nameRegex: { a: b } }\n")),
        ("shape_list_for_name", rule("network: { direction: [Egress] }\n")),
    ]);
}

#[test]
fn all_mistakes_are_found_at_once() {
    let rules = "
mode: Enforc
rules:
- name: first
  action: Blok
  process: { names: [sh, 12], nameRegexp: x }
- name: second
  severity: 3
- naem: third
  action: Block
";
    snapshots([("all_of_shape", policy(rules))]);
    let rules = "
rules:
- name: a rule
  action: Block
  process: { names: [/bin/sh], nameRegex: \"(\" }
- name: same
  action: Block
  file: { paths: [etc], operations: [] }
- name: same
  action: Block
  syscalls: [ptrac]
";
    let second = rule("process: { names: [\"\"] }\n");
    snapshots([("all_of_meaning_in_two_documents", format!("{}---\n{second}", policy(rules)))]);
}

#[test]
fn rules_without_one_matcher() {
    snapshots([
        ("rule_none_at_all", policy("rules: []\n")),
        ("rule_without_matcher", rule("severity: High\n")),
        ("rule_with_two_matchers", rule("process: { names: [sh] }\nsyscalls: [ptrace]\n")),
        ("rule_name_with_newline", policy("rules:\n- name: \"a\\nb\"\n  action: Block\n  syscalls: [bpf]\n")),
        ("rule_name_empty", policy("rules:\n- name: \"\"\n  action: Block\n  syscalls: [bpf]\n")),
        (
            "rule_name_too_long",
            policy(&format!("rules:\n- name: {}\n  action: Block\n  syscalls: [bpf]\n", "a".repeat(254))),
        ),
    ]);
}

#[test]
fn matchers_that_match_nothing_or_everything() {
    snapshots([
        ("empty_process", rule("process: {}\n")),
        ("empty_process_but_except", rule("process: { except: { names: [nginx] } }\n")),
        ("empty_allow_only", rule("process: { allowOnly: {} }\n")),
        ("empty_except", rule("process: { names: [sh], except: {} }\n")),
        ("empty_file", rule("file: {}\n").replace("{}", "{ paths: [], operations: [] }")),
        ("empty_network_except", rule("network: { direction: Ingress, except: {} }\n")),
        ("empty_syscalls", rule("syscalls: []\n")),
        ("empty_capabilities", rule("capabilities: []\n")),
        ("empty_drift", rule("drift: { execute: false }\n")),
        ("empty_string", rule("process: { names: [\"\"] }\n")),
        ("empty_regex", rule("process: { argsRegex: \"\" }\n")),
        ("allow_only_beside_names", rule("process: { names: [sh], allowOnly: { names: [nginx] } }\n")),
    ]);
}

#[test]
fn patterns_and_paths() {
    let long = format!("/{}", "directory/".repeat(30));
    snapshots([
        ("regex_unclosed_group", rule("process: { nameRegex: \"^(ba|z\" }\n")),
        ("regex_look_around", rule("process: { argsRegex: '(?!x)y' }\n")),
        ("regex_backreference", rule("process: { argsRegex: '(a)\\1' }\n")),
        ("regex_unicode_class", rule("process: { argsRegex: '\\p{Greek}' }\n")),
        ("regex_repetition", rule("process:\n  argsRegex: \"a{5,2}\"\n")),
        ("regex_too_large", rule("process: { argsRegex: \"(a|b)*a(a|b){40}\" }\n")),
        ("path_relative", rule("process: { paths: [bin/sh] }\n")),
        ("path_parent", rule("process: { paths: [/bin/../sh] }\n")),
        ("path_not_normal", rule("file: { paths: [//etc/./passwd/], operations: [Read] }\n")),
        ("path_too_long", rule(&format!("file: {{ paths: [{long}x], operations: [Read] }}\n"))),
        ("path_glob_in_exact", rule("process: { paths: [/tmp/*] }\n")),
        ("path_for_name", rule("process: { names: [/bin/sh] }\n")),
        ("path_control_character", rule("process: { paths: [\"/bin/\\x07sh\"] }\n")),
        ("path_of_process", rule("file: { paths: [/a], operations: [Read], processes: [bin/sh] }\n")),
        ("glob_unclosed_class", rule("process: { pathGlobs: [\"/tmp/[a\"] }\n")),
        ("glob_two_stars", rule("process: { pathGlobs: [\"/tmp/a**\"] }\n")),
        ("user_not_a_name", rule("process: { users: [\"root:root\", \"4294967296\"] }\n")),
    ]);
}

#[test]
fn networks_and_system_calls() {
    snapshots([
        ("cidr_host_bits", rule("network: { direction: Egress, cidrs: [10.1.2.3/8] }\n")),
        ("cidr_without_prefix", rule("network: { direction: Egress, cidrs: [10.1.2.3] }\n")),
        ("cidr_not_one", rule("network: { direction: Egress, cidrs: [example.com] }\n")),
        ("cidr_mapped", rule("network: { direction: Egress, cidrs: [\"::ffff:10.0.0.0/104\"] }\n")),
        ("port_zero", rule("network: { direction: Egress, ports: [\"0\"] }\n")),
        ("port_reversed", rule("network: { direction: Egress, ports: [\"90-80\"] }\n")),
        ("port_not_one", rule("network: { direction: Egress, ports: [https] }\n")),
        ("protocol_unknown", rule("network: { direction: Egress, protocols: [tcp] }\n")),
        (
            "raw_socket_with_peers",
            rule(
                "network: { direction: Ingress, protocols: [TCP, Raw], cidrs: [10.0.0.0/8], ports: [\"1\"], except: { ports: [\"2\"] } }\n",
            ),
        ),
        ("capability_of_c", rule("capabilities: [CAP_NET_ADMIN]\n")),
        ("capability_lower_case", rule("capabilities: [net_admin]\n")),
        ("capability_misspelt", rule("capabilities: [SYS_ADMN]\n")),
        ("capability_unknown", rule("capabilities: [ALL]\n")),
        ("syscall_misspelt", rule("syscalls: [ptrac]\n")),
        ("syscall_unknown", rule("syscalls: [frobnicate]\n")),
    ]);
}

#[test]
fn selectors_and_headers() {
    let rules = "rules: [{ name: a, action: Block, syscalls: [bpf] }]\n";
    let spec = |text: &str| policy(&format!("{text}\n{rules}"));
    snapshots([
        ("header_name", spec("mode: Audit").replace("name: test", "name: \"te st\"")),
        ("header_label", spec("mode: Audit").replace("name: test", "name: t, labels: { \"a b\": c }")),
        ("selector_glob", spec("namespaceSelector: { matchNames: [\"[a\"] }")),
        ("selector_empty_name", spec("workloadSelector: { containers: [\"\"] }")),
        ("selector_label_key", spec("labelSelector: { matchLabels: { /app: nginx } }")),
        ("selector_label_value", spec("labelSelector: { matchLabels: { app: \"nginx*\" } }")),
        (
            "selector_in_without_values",
            spec("labelSelector: { matchExpressions: [{ key: a, operator: In }] }"),
        ),
        (
            "selector_exists_with_values",
            spec("labelSelector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] }"),
        ),
        ("selector_operator", spec("labelSelector: { matchExpressions: [{ key: a, operator: in }] }")),
        ("enforce_after_in_audit_mode", spec("mode: Audit\nenforceAfter: 14d")),
        ("enforce_after_not_one", spec("mode: Enforce\nenforceAfter: soon")),
        ("enforce_after_months", spec("mode: Enforce\nenforceAfter: 1mo")),
        ("enforce_after_without_offset", spec("mode: Enforce\nenforceAfter: 2027-01-31T08:00:00")),
    ]);
}

#[test]
fn twins_in_one_file() {
    let text = rule("syscalls: [bpf]\n");
    snapshots([("twin_documents", format!("{text}---\n{text}"))]);
}

#[test]
fn long_lines_and_files() {
    let text = rule(&format!("process: {{ names: [{}, \"\"] }}\n", vec!["name"; 200].join(", ")));
    snapshots([("long_line", text)]);
    snapshots([("long_file", vec![b' '; MAX_FILE_BYTES + 1])]);
}

#[test]
fn many_mistakes_are_not_all_rendered() {
    let text = rule(&format!("syscalls:\n{}", "- zzz\n".repeat(500)));
    let diagnostics = parse("policy.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(diagnostics.len(), 500);
    assert!(render(&diagnostics, false).ends_with("… and 450 more\n"));
}

#[test]
fn colours_only_where_asked() {
    let diagnostics = parse("policy.yaml", b"[").unwrap_err();
    assert!(render(&diagnostics, true).contains('\u{1b}'));
    assert!(!render(&diagnostics, false).contains('\u{1b}'));
}

#[test]
fn the_one_line_form_names_file_line_and_hint() {
    let text = rule("syscalls: [ptrac]\n");
    let diagnostics = parse("policies/\u{1b}[2Ja.yaml", text.as_bytes()).unwrap_err();
    let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [r"policies/\u{1b}[2Ja.yaml:8:16: unknown system call `ptrac` (did you mean `ptrace`?)"]
    );
    assert_eq!((diagnostics[0].line(), diagnostics[0].column()), (8, 16));
}

#[test]
fn the_compliance_policy_of_the_design() {
    let text = include_str!("tests/compliance.yaml");
    let documents = parse("compliance.yaml", text.as_bytes()).unwrap();
    insta::assert_yaml_snapshot!(
        "compliance_policy",
        match &documents[..] {
            [Document::Compliance(policy)] => policy,
            other => panic!("{other:?}"),
        }
    );
    snapshots([
        ("compliance_schedule", text.replace("0 * * * *", "0 * * *")),
        ("compliance_config", text.replace("v1.0.0: true", "v1.0.0: on")),
    ]);
}

#[test]
fn the_sketch_of_the_design() {
    let text = include_str!("tests/sketch.yaml");
    let documents = parse("sketch.yaml", text.as_bytes()).unwrap();
    insta::assert_yaml_snapshot!(
        "sketch",
        match &documents[..] {
            [Document::Runtime(policy)] => policy,
            other => panic!("{other:?}"),
        }
    );
}

#[test]
fn every_example_is_valid_and_enforced() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let documents = parse(&path.display().to_string(), &text)
            .unwrap_or_else(|diagnostics| panic!("{}", render(&diagnostics, false)));
        for document in documents {
            let Document::Runtime(policy) = document else { panic!("{}", path.display()) };
            assert_eq!(policy.spec.mode, Mode::Enforce, "{}", path.display());
            names.push(policy.metadata.name);
        }
    }
    names.sort();
    let expected = [
        "DisallowEtcAccessForNginx",
        "immutable-image",
        "nginx-allow-list",
        "no-dangerous-syscalls",
        "no-egress",
        "no-privileges",
        "no-shells",
        "read-only-etc",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_policy_in_the_reference_is_valid() {
    let reference = include_str!("../../../../docs/policy.md");
    let example = reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let documents = parse("policy.md", example.as_bytes())
        .unwrap_or_else(|diagnostics| panic!("{}", render(&diagnostics, false)));
    assert_eq!(documents.len(), 1);
}

#[test]
fn several_documents_keep_their_order() {
    let second = rule("syscalls: [bpf]\n").replace("name: test", "name: second");
    let text = format!("---\n{}---\n# nothing\n---\n{second}...\n", rule("syscalls: [bpf]\n"));
    let documents = parse("policy.yaml", text.as_bytes()).unwrap();
    let names: Vec<&str> = documents.iter().map(Document::name).collect();
    assert_eq!(names, ["test", "second"]);
}

#[test]
fn anchors_and_aliases_within_the_limits_are_welcome() {
    let text = policy(
        "rules:\n- { name: a, action: Block, process: &shells { names: [sh] } }\n- { name: b, action: Alert, process: *shells }\n",
    );
    let documents = parse("policy.yaml", text.as_bytes()).unwrap();
    let [Document::Runtime(policy)] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(policy.spec.rules[0].process, policy.spec.rules[1].process);
}

#[test]
fn ten_thousand_rules_are_read() {
    let rule = |index| {
        format!(
            "- name: r{index}\n  action: Block\n  process: {{ names: [a{index}], argsRegex: '-c {index}' }}"
        )
    };
    let rules = (0..10_000).map(rule).collect::<Vec<_>>().join("\n");
    let documents = parse("policy.yaml", policy(&format!("rules:\n{rules}")).as_bytes())
        .unwrap_or_else(|diagnostics| panic!("{}", render(&diagnostics, false)));
    let [Document::Runtime(policy)] = &documents[..] else { panic!("not one policy") };
    assert_eq!(policy.spec.rules.len(), 10_000);
}

proptest! {
    #[test]
    fn a_policy_written_out_is_read_back(policy in generate::policy()) {
        let text = serde_saphyr::to_string(&policy).unwrap();
        match parse("policy.yaml", text.as_bytes()) {
            Ok(documents) => prop_assert_eq!(documents, [Document::Runtime(policy)]),
            Err(diagnostics) => prop_assert!(false, "{}", render(&diagnostics, false)),
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s)[-:a-z \\[\\]{}&*!|>'\"#%\n\t\u{e9}\u{1b}]{0,200}") {
        if let Err(diagnostics) = parse("policy.yaml", text.as_bytes()) {
            prop_assert!(!diagnostics.is_empty());
            let shown = render(&diagnostics, false);
            prop_assert!(!shown.contains(char::from(27)));
        }
    }

    #[test]
    fn a_damaged_policy_never_panics(at in 0..700_usize, byte: u8) {
        let mut text = include_bytes!("tests/sketch.yaml").to_vec();
        if let Some(place) = text.get_mut(at) {
            *place = byte;
        }
        if let Err(diagnostics) = parse("policy.yaml", &text) {
            prop_assert!(!render(&diagnostics, false).is_empty());
        }
    }
}
