use moat_event::{Event, EventAction, FileSource, Origin, Process, Severity};
use moat_store::{
    ActivityKind, Actor, Container, NewActivity, NewEnforcer, NewEnrolmentToken, NewEvent, Protection,
};

use super::*;

const ENFORCER: &str = "0197f5a0-0000-7000-8000-000000000001";

async fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite:{}", folder.path().join("moat.db").display())).await.unwrap()
}

fn web() -> Workload {
    Workload {
        namespace: "default".into(),
        kind: "Deployment".into(),
        name: "web".into(),
        pod: "web-1".into(),
        container: "nginx".into(),
        container_id: "c0ffee".into(),
        labels: [("app".to_owned(), "nginx".to_owned())].into(),
        ..Workload::default()
    }
}

fn shell(number: u128, at: Timestamp, container_id: &str, arguments: &[&str]) -> NewEvent {
    let event = serde_json::json!({
        "timestamp": at, "eventType": "ProcessExec", "action": "Alerted", "severity": "Low", "message": "sh",
        "id": uuid::Uuid::from_u128(number).to_string(), "filePath": "/bin/sh", "namespace": "default",
        "containerName": "nginx", "containerId": container_id,
    });
    let mut event: Event = serde_json::from_value(event).unwrap();
    assert_eq!((event.action, event.severity), (EventAction::Alerted, Severity::Low));
    event.process = Some(Process {
        executable: "/bin/sh".into(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        origin: Some(Origin::ExecSession),
        ..Process::default()
    });
    NewEvent { enforcer_id: ENFORCER.into(), workload: None, event }
}

fn policy(rule: &str) -> RuntimePolicy {
    candidate(&format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: shells }}\nspec:\n  \
         labelSelector: {{ matchLabels: {{ app: nginx }} }}\n  mode: Audit\n  rules:\n  - {rule}\n"
    ))
    .unwrap()
}

#[tokio::test]
async fn recorded_events_and_the_inventory_are_decided_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let now = Timestamp::now();
    let hours_ago = |hours| now - SignedDuration::from_hours(hours);
    let container = Container {
        enforcer_id: ENFORCER.into(),
        container_id: "c0ffee".into(),
        workload: web(),
        policies: Vec::new(),
        rules: 0,
        problem: None,
        protection: Protection::Unprotected,
        started_at: None,
        seen_at: now,
        ended_at: None,
    };
    store.put_containers(ENFORCER, true, &[container], &[]).await.unwrap();
    let events = vec![
        shell(1, hours_ago(1), "c0ffee", &["sh", "-c", "id"]),
        shell(2, hours_ago(2), "c0ffee", &["sh", "-c", "id"]),
        shell(3, hours_ago(30), "c0ffee", &["sh", "-c", "too old"]),
        shell(4, hours_ago(1), "unknown", &["sh", "-c", "id"]),
    ];
    store.insert_events(events).await.unwrap();
    let started = Attempt::Exec {
        path: "/usr/bin/wget".into(),
        arguments: Some(vec!["wget".into()]),
        user: Some(0),
        parents: Vec::new(),
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    };
    let observed = NewActivity {
        namespace: "default".into(),
        workload_kind: "Deployment".into(),
        workload_name: "web".into(),
        container: "nginx".into(),
        kind: ActivityKind::Executed,
        subject: "/usr/bin/wget".into(),
        detail: serde_json::to_value(&started).unwrap(),
        first_seen: hours_ago(3),
        last_seen: hours_ago(3),
        count: 7,
    };
    store.put_activities(&[observed]).await.unwrap();

    let rule = "{ name: tools, severity: High, action: Block, process: { names: [sh, wget] } }";
    let answer = run(&store, policy(rule), 24).await.unwrap();
    assert_eq!((answer.events, answer.searched_to, answer.simulation.acts), (3, None, 3));
    let denied: Vec<_> =
        answer.simulation.workloads.iter().map(|workload| workload.newly_denied.len()).collect();
    let names: Vec<_> = answer.simulation.workloads.iter().map(|workload| workload.name.as_str()).collect();
    // The unknown container's labels were not recorded, so that the policy does not select it.
    assert_eq!((names, denied), (vec!["nginx", "web"], vec![0, 2]));
    let changes = &answer.simulation.workloads[1].newly_denied;
    assert_eq!((&changes[0].attempt, changes[0].count, &changes[0].event), (&started, 7, &None));
    assert_eq!(changes[1].count, 2);
    assert_eq!(changes[1].event, Some(uuid::Uuid::from_u128(1).to_string()));

    let rule = "{ name: tools, severity: High, action: Block, process: { names: [sh], argsRegex: 'old' } }";
    let answer = run(&store, policy(rule), 48).await.unwrap();
    assert_eq!(answer.simulation.workloads[1].newly_denied.len(), 1);
    store.close().await;
}

#[tokio::test]
async fn what_both_an_event_and_an_observation_tell_is_one_act() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let now = Timestamp::now();
    let refused = {
        let mut refused = shell(2, now, "unknown", &["sh", "refused"]);
        refused.event.action = EventAction::Blocked;
        refused
    };
    store.insert_events(vec![shell(1, now, "unknown", &["sh", "-c", "id"]), refused]).await.unwrap();
    let seen = |arguments: &[&str], count| {
        let detail = Attempt::Exec {
            path: "/bin/sh".into(),
            arguments: Some(arguments.iter().map(|&argument| argument.into()).collect()),
            user: Some(0),
            parents: vec!["/usr/bin/containerd-shim".into()],
            origin: Origin::ExecSession,
            source: FileSource::Image,
        };
        NewActivity {
            namespace: "default".into(),
            workload_kind: "Container".into(),
            workload_name: "nginx".into(),
            container: "nginx".into(),
            kind: ActivityKind::Executed,
            subject: "/bin/sh".into(),
            detail: serde_json::to_value(&detail).unwrap(),
            first_seen: now,
            last_seen: now,
            count,
        }
    };
    let inventory = [seen(&["sh", "-c", "id"], 1), seen(&["sh", "refused"], 4), seen(&["sh"], 2)];
    store.put_activities(&inventory).await.unwrap();

    let everywhere = "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: { name: shells }\nspec:\n  \
                      namespaceSelector: { matchNames: [default] }\n  mode: Audit\n  rules:\n  \
                      - { name: sh, severity: High, action: Block, process: { names: [sh] } }\n";
    let answer = run(&store, candidate(everywhere).unwrap(), 24).await.unwrap();
    let denied = answer.simulation.workloads.iter().flat_map(|workload| &workload.newly_denied);
    let counts: Vec<_> = denied
        .map(|change| {
            let Attempt::Exec { arguments: Some(arguments), .. } = &change.attempt else {
                panic!("{change:?}")
            };
            (arguments.join(" "), change.count)
        })
        .collect();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (arguments, count) in counts {
        *sums.entry(arguments).or_default() += count;
    }
    // The refused one did not take place, so that what was observed is more.
    assert_eq!(
        sums,
        [("sh", 2), ("sh -c id", 1), ("sh refused", 5)].map(|(act, count)| (act.to_owned(), count)).into()
    );
    store.close().await;
}

#[tokio::test]
async fn policies_of_a_node_s_own_folder_count_on_that_node() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let now = Timestamp::now();
    let document = "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: { name: own }\nspec:\n  \
                    namespaceSelector: { matchNames: [default] }\n  mode: Enforce\n  rules:\n  \
                    - { name: sh, severity: Critical, action: KillProcess, process: { names: [sh] } }\n";
    let actor = Actor { name: "test".into(), role: "admin".into(), source_address: String::new() };
    let mut transaction = store.begin(&actor).await.unwrap();
    let token = NewEnrolmentToken {
        label: "lab".into(),
        secret_hash: vec![7; 32],
        uses: 1,
        expires_at: now + SignedDuration::from_hours(1),
    };
    let token = transaction.create_enrolment_token(token).await.unwrap();
    let node = NewEnforcer { node: "node-1".into(), machine: "one".into(), version: "1".into() };
    let enforcer = transaction.enrol(&token.id, &[7; 32], node).await.unwrap();
    transaction.commit().await.unwrap();
    let own = NodePolicy {
        enforcer_id: enforcer.id.clone(),
        kind: "RuntimePolicy".into(),
        name: "own".into(),
        file: "/etc/moat/policies/own.yaml".into(),
        document: document.into(),
        first_seen: now,
        state: PolicyState::Enforced,
        reasons: Vec::new(),
        containers: 1,
    };
    store.put_node_policies(&enforcer.id, true, &[own], &[]).await.unwrap();
    let on = |number, node: &str| {
        let mut new = shell(number, now, node, &["sh"]);
        new.event.node = node.into();
        new
    };
    store.insert_events(vec![on(1, "node-1"), on(2, "node-2")]).await.unwrap();

    let block = document.replace("name: own", "name: shells").replace("KillProcess", "Block");
    let answer = run(&store, candidate(&block).unwrap(), 24).await.unwrap();
    let [nginx] = answer.simulation.workloads.as_slice() else { panic!("{:?}", answer.simulation) };
    assert_eq!((nginx.newly_denied.len(), nginx.otherwise_decided.len(), nginx.unchanged), (1, 0, 1));
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let rule = "{ name: tools, severity: High, action: Block, process: { names: [sh] } }";
    assert!(run(&store, policy(rule), 0).await.is_err());
    assert!(run(&store, policy(rule), u32::MAX).await.is_err());
    assert!(candidate("kind: RuntimePolicy").is_err());
    store.close().await;
}
