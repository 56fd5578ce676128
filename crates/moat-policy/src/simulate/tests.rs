use moat_event::{FileOperation, FileSource, Labels, Origin};

use super::*;
use crate::Document;

fn policy(text: &str) -> RuntimePolicy {
    let documents = crate::parse("p.yaml", text.as_bytes()).unwrap();
    let Ok([Document::Runtime(policy)]) = <[Document; 1]>::try_from(documents) else {
        panic!("one runtime policy is expected")
    };
    policy
}

fn shells(mode: &str, action: &str, selector: &str) -> RuntimePolicy {
    policy(&format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: shells }}\nspec:\n  {selector}\n  \
         mode: {mode}\n  rules:\n  - {{ name: sh, severity: High, action: {action}, process: {{ names: [sh], argsRegex: '-c' }} }}\n"
    ))
}

fn in_force(policy: RuntimePolicy) -> ActivePolicy {
    ActivePolicy { policy: Arc::new(policy), first_seen: Timestamp::UNIX_EPOCH }
}

fn workload(name: &str, app: &str) -> Arc<Workload> {
    Arc::new(Workload {
        namespace: "default".into(),
        kind: "Deployment".into(),
        name: name.into(),
        container: "main".into(),
        container_id: format!("{name}-1"),
        labels: Labels::from([("app".into(), app.into())]),
        ..Workload::default()
    })
}

fn exec(path: &str, arguments: Option<&[&str]>) -> Attempt {
    Attempt::Exec {
        path: path.into(),
        arguments: arguments.map(|arguments| arguments.iter().map(|&argument| argument.into()).collect()),
        user: Some(0),
        parents: Vec::new(),
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    }
}

fn recorded(workload: &Arc<Workload>, attempt: Attempt, second: i64) -> Recorded {
    let at = Timestamp::from_second(second).unwrap();
    Recorded { workload: Arc::clone(workload), attempt, count: 2, at, event: Some(format!("event-{second}")) }
}

#[test]
fn what_a_new_policy_would_deny_is_listed_by_workload() {
    let (web, batch) = (workload("web", "nginx"), workload("batch", "job"));
    let candidate = shells("Audit", "Block", "labelSelector: { matchLabels: { app: nginx } }");
    let mut simulator = Simulator::new(Vec::new(), candidate, Timestamp::UNIX_EPOCH).unwrap();
    for (workload, second) in [(&web, 5), (&web, 9), (&batch, 7)] {
        simulator.record(recorded(workload, exec("/bin/sh", Some(&["sh", "-c", "id"])), second));
        simulator.record(recorded(workload, exec("/usr/sbin/nginx", Some(&["nginx"])), second));
    }
    simulator.record(recorded(&web, exec("/bin/sh", None), 1));
    let simulation = simulator.finish().unwrap();

    assert_eq!((simulation.acts, simulation.left_out), (5, 0));
    let [batch, web] = simulation.workloads.as_slice() else { panic!("{simulation:?}") };
    assert_eq!((batch.name.as_str(), batch.unchanged), ("batch", 2));
    assert_eq!(batch.newly_denied, []);
    assert_eq!((web.unchanged, web.undecided, web.newly_denied.len()), (1, 1, 1));
    let denied = &web.newly_denied[0];
    assert_eq!((denied.count, denied.last.as_second(), denied.event.as_deref()), (4, 9, Some("event-9")));
    assert_eq!(denied.before, None);
    let effect = denied.after.as_ref().unwrap();
    assert_eq!(
        (effect.policy.as_str(), effect.rule.as_str(), effect.action),
        ("shells", "sh", RuleAction::Block)
    );
    assert!(effect.reason.contains("-c"), "{}", effect.reason);
}

#[test]
fn a_changed_policy_takes_the_place_of_the_one_of_its_name() {
    let web = workload("web", "nginx");
    let shell = || recorded(&web, exec("/bin/sh", Some(&["sh", "-c", "id"])), 5);
    let outcome = |current: RuntimePolicy, candidate: RuntimePolicy| {
        let mut simulator =
            Simulator::new(vec![in_force(current)], candidate, Timestamp::UNIX_EPOCH).unwrap();
        simulator.record(shell());
        simulator.finish().unwrap().workloads.remove(0)
    };
    let everywhere = "labelSelector: {}";

    let relaxed = outcome(shells("Enforce", "Block", everywhere), shells("Enforce", "Alert", everywhere));
    assert_eq!((relaxed.newly_allowed.len(), relaxed.newly_denied.len()), (1, 0));
    let harsher = outcome(shells("Enforce", "Block", everywhere), shells("Enforce", "KillPod", everywhere));
    assert_eq!((harsher.otherwise_decided.len(), harsher.newly_denied.len()), (1, 0));
    let enforced = outcome(shells("Audit", "Block", everywhere), shells("Enforce", "Block", everywhere));
    assert_eq!(enforced.newly_denied.len(), 1);
    let same = outcome(shells("Enforce", "Block", everywhere), shells("Enforce", "Block", everywhere));
    assert_eq!((same.unchanged, same.newly_denied.len()), (1, 0));
}

#[test]
fn names_of_users_that_only_the_container_knows_are_told() {
    let candidate = policy(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: { name: files }\nspec:\n  mode: Enforce\n  rules:\n  \
         - { name: passwd, severity: High, action: Block, file: { paths: [/etc/passwd], operations: [Read], users: [www-data] } }\n",
    );
    let mut simulator = Simulator::new(Vec::new(), candidate, Timestamp::UNIX_EPOCH).unwrap();
    let web = workload("web", "nginx");
    let read = Attempt::File {
        path: "/etc/passwd".into(),
        operation: FileOperation::Read,
        executable: "/usr/bin/cat".into(),
        user: Some(33),
    };
    simulator.record(recorded(&web, read, 1));
    let changes = simulator.finish().unwrap().workloads.remove(0);
    assert_eq!(changes.unresolved_users, ["www-data"]);
    assert_eq!((changes.unchanged, changes.newly_denied.len()), (1, 0));
}

#[test]
fn more_acts_than_can_be_decided_are_counted() {
    let web = workload("web", "nginx");
    let candidate = shells("Enforce", "Block", "labelSelector: {}");
    let mut simulator = Simulator::new(Vec::new(), candidate, Timestamp::UNIX_EPOCH).unwrap();
    for number in 0..=MAX_ACTS {
        simulator.record(recorded(&web, exec(&format!("/bin/{number}"), Some(&[])), 1));
    }
    let simulation = simulator.finish().unwrap();
    assert_eq!((simulation.acts, simulation.left_out), (MAX_ACTS, 1));
}

#[test]
fn a_node_s_own_policies_decide_there_too() {
    let selector = "labelSelector: { matchLabels: { app: nginx } }";
    let run = |own: &str| {
        let candidate = shells("Audit", "Block", selector);
        let own = policy(own);
        let mut simulator = Simulator::new(Vec::new(), candidate, Timestamp::UNIX_EPOCH)
            .unwrap()
            .with_own(["node-1".to_owned()], &[in_force(own)])
            .unwrap();
        for node in ["node-1", "node-2"] {
            let web = workload("web", "nginx");
            let web = Workload { node: node.into(), container_id: node.into(), ..Arc::unwrap_or_clone(web) };
            simulator.record(recorded(&Arc::new(web), exec("/bin/sh", Some(&["sh", "-c", "id"])), 5));
        }
        let [web] = <[_; 1]>::try_from(simulator.finish().unwrap().workloads).unwrap();
        (web.newly_denied.len(), web.otherwise_decided.len(), web.unchanged)
    };
    let own = |name: &str| {
        format!(
            "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: {name} }}\nspec:\n  {selector}\n  \
             mode: Enforce\n  rules:\n  - {{ name: sh, severity: Critical, action: KillProcess, process: {{ names: [sh] }} }}\n"
        )
    };
    // Denied there already, by a rule that goes before; and its own policy of the candidate's name stays in force.
    assert_eq!(run(&own("no-shells")), (1, 0, 1));
    assert_eq!(run(&own("shells")), (1, 0, 1));
}
