use super::*;
use crate::{Document, parse};

fn workload() -> Workload {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Workload {
        namespace: "team-a".to_owned(),
        namespace_labels: labels(&[("tier", "prod")]),
        pod: "web-7d4b9-x2x".to_owned(),
        labels: labels(&[("app", "nginx"), ("version", "2")]),
        container: "nginx".to_owned(),
        container_id: "0123".to_owned(),
        image: "docker.io/library/nginx:1.27".to_owned(),
        image_digest: "sha256:abcd".to_owned(),
        service_account: "web".to_owned(),
        node: "node-1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
    }
}

/// The selectors of a policy, as YAML on one line each.
fn spec(selectors: &str) -> RuntimePolicySpec {
    let selectors = selectors.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: p }}\nspec:\n  {selectors}\n  rules: [{{ name: r, action: Block, syscalls: [bpf] }}]\n"
    );
    match parse("select.yaml", text.as_bytes()).as_deref() {
        Ok([Document::Runtime(policy)]) => policy.spec.clone(),
        other => panic!("{other:#?}"),
    }
}

fn selected_by(selectors: &str) -> Result<(), NotSelected> {
    spec(selectors).selects(&workload()).unwrap()
}

#[test]
fn what_selects() {
    for selectors in [
        "",
        "namespaceSelector: {}\nlabelSelector: {}\nworkloadSelector: {}",
        "namespaceSelector: { matchNames: [team-a] }",
        "namespaceSelector: { matchNames: [other, \"team-*\"] }",
        "namespaceSelector: { excludeNames: [kube-system, \"team-b*\"] }",
        "namespaceSelector: { matchNames: [\"*\"], excludeNames: [other], matchLabels: { tier: prod } }",
        "namespaceSelector: { matchExpressions: [{ key: tier, operator: In, values: [dev, prod] }] }",
        "labelSelector: { matchLabels: { app: nginx, version: \"2\" } }",
        "labelSelector: { matchExpressions: [{ key: app, operator: NotIn, values: [redis] }] }",
        "labelSelector: { matchExpressions: [{ key: absent, operator: NotIn, values: [nginx] }] }",
        "labelSelector: { matchExpressions: [{ key: app, operator: Exists }] }",
        "labelSelector: { matchExpressions: [{ key: absent, operator: DoesNotExist }] }",
        "workloadSelector: { kinds: [Deployment], names: [\"w?b\"], containers: [nginx] }",
        "workloadSelector: { images: [\"docker.io/library/nginx:*\"] }",
        "workloadSelector: { images: [\"**/nginx:1.{26,27}\"] }",
        "workloadSelector: { images: [\"sha256:abcd\"] }",
        "workloadSelector: { serviceAccounts: [web], nodes: [\"node-[0-9]\"] }",
    ] {
        assert_eq!(selected_by(selectors), Ok(()), "{selectors}");
    }
}

#[test]
fn what_does_not_select_and_why() {
    let reasons: Vec<String> = [
        "namespaceSelector: { matchNames: [team, default] }",
        "namespaceSelector: { matchNames: [\"*\"], excludeNames: [\"team-?\"] }",
        "namespaceSelector: { matchLabels: { tier: dev } }",
        "namespaceSelector: { matchExpressions: [{ key: zone, operator: Exists }] }",
        "labelSelector: { matchLabels: { app: nginx, version: \"3\" } }",
        "labelSelector: { matchLabels: { absent: \"\" } }",
        "labelSelector: { matchExpressions: [{ key: absent, operator: In, values: [a] }] }",
        "labelSelector: { matchExpressions: [{ key: app, operator: NotIn, values: [nginx] }] }",
        "labelSelector: { matchExpressions: [{ key: app, operator: DoesNotExist }] }",
        "workloadSelector: { kinds: [deployment] }",
        "workloadSelector: { names: [web-*] }",
        "workloadSelector: { containers: [ngin] }",
        "workloadSelector: { images: [\"nginx*\"] }",
        "workloadSelector: { images: [\"*/nginx:1.27\"] }",
        "workloadSelector: { serviceAccounts: [default] }",
        "workloadSelector: { nodes: [node-2] }",
        "namespaceSelector: { matchNames: [team-a] }\nlabelSelector: { matchLabels: { app: redis } }",
    ]
    .into_iter()
    .map(|selectors| format!("{selectors}\n    {}", selected_by(selectors).unwrap_err()))
    .collect();
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn reasons_carry_no_control_characters() {
    let mut workload = workload();
    workload.namespace = "\u{1b}[2J\n".to_owned();
    let reason = spec("namespaceSelector: { matchNames: [a] }").selects(&workload).unwrap().unwrap_err();
    assert_eq!(reason.to_string(), r"`namespaceSelector.matchNames` does not match `\u{1b}[2J\n`");
}

#[test]
fn a_glob_that_validation_would_refuse_is_an_error() {
    let mut spec = spec("namespaceSelector: { matchNames: [a] }");
    spec.namespace_selector.get_or_insert_default().match_names = vec!["[".to_owned()];
    assert_eq!(
        Selector::new(&spec).unwrap_err().to_string(),
        "glob `[`: unclosed character class; missing ']'"
    );
}
