use std::sync::mpsc::sync_channel;

use moat_event::{FileOperation, FileSource, Origin, Severity, Workload};
use moat_policy::{ActivePolicy, Attempt, Document, PolicySet, Users};

use super::*;

const POLICY: &str = r#"
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: no-shells }
spec:
  mode: Enforce
  rules:
  - { name: shells, severity: High, action: Block, process: { names: [sh], argsRegex: "-c", users: [www-data] } }
"#;

fn explain(activity: Attempt) -> Explanation {
    let Ok([Document::Runtime(policy)]) =
        <[Document; 1]>::try_from(moat_policy::parse("p.yaml", POLICY.as_bytes()).unwrap())
    else {
        panic!("one runtime policy is expected")
    };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let active = ActivePolicy { policy: Arc::new(policy), first_seen: now };
    let workload = Workload { pod: String::from("web"), ..Workload::default() };
    let container = Explanations {
        rules: PolicySet::new([active], 3).unwrap().rule_set(&workload, now),
        workload,
        init_pid: 1,
        selected: vec![String::from("no-shells")],
        not_selected: Vec::new(),
        filtered: filters::Calls::new(),
    };
    let question = Explain { pod: None, container: None, activity };
    explained(container, &Capabilities::default(), &question, &Users::parse(b"www-data:x:33:33::/:/bin/sh\n"))
        .unwrap()
}

#[test]
fn a_decision_is_explained_with_the_containers_own_users() {
    let exec = |user| Attempt::Exec {
        path: String::from("/bin/sh"),
        arguments: Some(vec![String::from("sh"), String::from("-c"), String::from("id")]),
        user: Some(user),
        parents: Vec::new(),
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    };
    let denied = explain(exec(33));
    assert_eq!((denied.verdict.as_str(), denied.generation), ("Block", 3));
    let rule = denied.enforced.unwrap();
    assert_eq!((rule.policy.as_str(), rule.rule.as_str()), ("no-shells", "shells"));
    assert!(rule.reason.contains("`-c`") && rule.reason.contains("www-data"), "{}", rule.reason);
    let allowed = explain(exec(0));
    assert_eq!((allowed.verdict.as_str(), allowed.enforced), ("Allowed", None));
}

#[test]
fn a_question_about_something_else_is_not_matched() {
    let read = Attempt::File {
        path: String::from("/etc/passwd"),
        operation: FileOperation::Read,
        executable: String::from("/bin/sh"),
        user: None,
    };
    assert_eq!(explain(read).verdict, "Allowed");
}

#[test]
fn events_are_chosen_by_policy_and_severity() {
    let (output, _lines) = sync_channel(8);
    let journal = Journal::new(String::from("n"), output, None);
    journal.system(Severity::Info, String::from("one"));
    journal.system(Severity::High, String::from("two"));
    let (kept, _) = journal.subscribe();
    let chosen = |query: EventQuery| {
        let fitting = kept.iter().filter(|entry| fits(&query, &entry.event));
        fitting.map(|entry| entry.event.message.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(chosen(EventQuery::default()), ["one", "two"]);
    assert_eq!(chosen(EventQuery { severity: Some(Severity::Medium), ..EventQuery::default() }), ["two"]);
    let of_policy = EventQuery { policy: Some(String::from("p")), ..EventQuery::default() };
    assert!(chosen(of_policy).is_empty());
}
