use std::net::IpAddr;
use std::sync::Arc;

use moat_event::{Direction, FileOperation, Protocol, Workload};
use moat_kernel::RawProcess;
use moat_policy::activity::FileSource;
use moat_policy::{ActivePolicy, Document, PolicySet, RuleSet};

use super::*;
use crate::runtime::RuntimeId;

const POLICIES: &str = r#"
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: DisallowEtcAccessForNginx }
spec:
  mode: Enforce
  rules:
  - { name: no-passwd, severity: High, action: Block, file: { paths: [/etc/passwd], operations: [Read] } }
  - { name: no-deletion, severity: High, action: KillProcess, file: { paths: [/data/**], operations: [Delete] } }
  - { name: image-only, severity: Critical, action: KillPod, drift: { execute: true } }
  - { name: no-shells, severity: High, action: Block, process: { names: [sh], argsRegex: "(^| )-c( |$)" } }
  - { name: egress, action: Block, network: { direction: Egress, cidrs: [10.0.0.0/8], ports: ["5432"] } }
  - { name: applets, action: Block, process: { names: [wget] } }
  - { name: privileges, severity: Critical, action: Block, capabilities: [NET_ADMIN] }
  - { name: ports, action: Block, network: { direction: Listen, ports: ["1-1023"] } }
  - { name: raw-sockets, action: Block, network: { direction: Egress, protocols: [Raw] } }
---
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: trial }
spec:
  rules:
  - { name: nobody-reads-etc, action: KillProcess, file: { paths: [/etc/**], operations: [Read] } }
"#;

fn rules() -> Arc<RuleSet> {
    let policies = moat_policy::parse("policies.yaml", POLICIES.as_bytes()).unwrap();
    let active = policies.into_iter().map(|document| match document {
        Document::Runtime(policy) => {
            ActivePolicy { policy: Arc::new(policy), first_seen: Timestamp::UNIX_EPOCH }
        }
        Document::Compliance(_) => unreachable!("all are runtime policies"),
    });
    PolicySet::new(active, 7).unwrap().rule_set(&Workload::default(), Timestamp::UNIX_EPOCH)
}

fn container() -> Container {
    Container {
        workload: Workload {
            namespace: String::from("default"),
            pod: String::from("vulnerable-nginx-pod"),
            labels: [(String::from("app"), String::from("nginx"))].into(),
            container: String::from("nginx"),
            container_id: String::from("0123abcd"),
            image: String::from("docker.io/library/nginx:1.27"),
            image_digest: String::from("sha256:00ff"),
            ..Workload::default()
        },
        runtime_id: RuntimeId { namespace: String::from("k8s.io"), id: String::from("0123abcd") },
        // No process has this id: it is beyond PID_MAX_LIMIT.
        init_pid: 1 << 23,
        sandbox: false,
        sandbox_id: None,
    }
}

fn record(rule: Option<&str>, outcome: Outcome, act: Act) -> Record {
    let index = |name: &str| rules().rules.iter().position(|rule| &*rule.rule == name).unwrap();
    Record {
        cgroup: 4711,
        generation: 7,
        enforced: rule.map(index),
        audited: None,
        outcome,
        process: RawProcess {
            pid: 4242,
            parent_pid: 4200,
            uid: 33,
            executable: b"/usr/bin/cat".to_vec(),
            arguments: b"cat\0/etc/passwd\0".to_vec(),
            cwd: b"/".to_vec(),
            parent_executable: b"/usr/sbin/nginx".to_vec(),
            origin: Some(Origin::Entrypoint),
            ..RawProcess::default()
        },
        act,
        count: 1,
    }
}

fn read_passwd() -> Act {
    Act::File { path: b"/etc/passwd".to_vec(), operation: FileOperation::Read }
}

fn enriched(record: Record, likeness: Likeness) -> Vec<Enriched> {
    let (rules, container) = (rules(), container());
    let context = Context {
        node: "node-1",
        container: Some(&container),
        rules: Some(&rules),
        now: "2023-10-27T10:30:00Z".parse().unwrap(),
    };
    let count = record.count;
    let mut enriched =
        enrich(&Group { record: Arc::new(record), count, likeness }, &context, &mut Reasons::default());
    for Enriched { event, .. } in &mut enriched {
        assert_eq!(event.id.len(), 36);
        event.id = String::from("ID");
    }
    enriched
}

fn one(record: Record) -> Enriched {
    let kept = record.clone();
    let mut enriched = enriched(record, Likeness::Identical);
    assert_eq!(enriched.len(), 1);
    let told = enriched.remove(0);
    // What is kept of it is judged like the act itself, as far as it is kept.
    if kept.process.arguments_truncated {
        return told;
    }
    let parent = [kept.process.parent_executable.as_slice()];
    let attempt = moat_policy::Attempt::of(&told.event).unwrap();
    attempt.judged(|judged| assert_eq!(Some(*judged), activity(&kept, &parent)));
    told
}

#[test]
fn an_enforced_read_is_the_event_of_the_design_key_for_key() {
    let event = one(record(Some("no-passwd"), Outcome::Denied, read_passwd())).event;
    let line = crate::events::line::json(&event).unwrap();
    let promised = concat!(
        r#"{"timestamp":"2023-10-27T10:30:00Z","eventType":"FileAccess","#,
        r#""policyName":"DisallowEtcAccessForNginx","podName":"vulnerable-nginx-pod","containerName":"nginx","#,
        r#""filePath":"/etc/passwd","action":"Blocked","severity":"High","#,
        r#""message":"File access to /etc/passwd by nginx container is prohibited by policy.","#
    );
    assert!(line.starts_with(promised), "{line}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap());
}

#[test]
fn outcomes_and_audit_mode_have_their_own_actions() {
    let action = |rule, outcome, act| one(record(Some(rule), outcome, act)).event.action;
    let delete = || Act::File { path: b"/data/a".to_vec(), operation: FileOperation::Delete };
    assert_eq!(action("no-passwd", Outcome::Denied, read_passwd()), EventAction::Blocked);
    assert_eq!(action("no-deletion", Outcome::Killed, delete()), EventAction::Killed);
    assert_eq!(action("no-deletion", Outcome::KilledAfter, delete()), EventAction::Killed);
    assert_eq!(action("no-deletion", Outcome::Allowed, delete()), EventAction::Alerted);

    let audited = Record {
        audited: rules().rules.iter().position(|rule| &*rule.policy == "trial"),
        ..record(Some("no-passwd"), Outcome::Denied, read_passwd())
    };
    let both = enriched(audited, Likeness::Identical);
    let actions: Vec<_> = both
        .iter()
        .map(|one| (one.event.action, one.event.policy_name.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        actions,
        [(EventAction::Blocked, "DisallowEtcAccessForNginx"), (EventAction::WouldKill, "trial")]
    );
}

#[test]
fn what_could_only_be_detected_says_so() {
    let delete = Act::File { path: b"/data/a".to_vec(), operation: FileOperation::Delete };
    let reason = |outcome| one(record(Some("no-deletion"), outcome, delete.clone())).event.reason;
    insta::assert_debug_snapshot!([Outcome::Allowed, Outcome::KilledAfter].map(reason));
}

#[test]
fn executions_connections_and_drift_carry_what_is_known() {
    let shell = Record {
        process: RawProcess {
            executable: b"/bin/sh".to_vec(),
            arguments: b"sh\0-c\0id; echo \xff\n\0".to_vec(),
            arguments_truncated: true,
            ..record(None, Outcome::Killed, read_passwd()).process
        },
        ..record(
            Some("no-shells"),
            Outcome::Killed,
            Act::Exec { path: b"/bin/sh".to_vec(), source: FileSource::Image },
        )
    };
    let connection = record(
        Some("egress"),
        Outcome::Denied,
        Act::Connect {
            direction: Direction::Egress,
            protocol: Protocol::Tcp,
            peer: "::ffff:10.1.2.3".parse::<IpAddr>().unwrap(),
            port: 5432,
        },
    );
    let drift = one(record(
        Some("image-only"),
        Outcome::Denied,
        Act::Exec { path: b"/tmp/x".to_vec(), source: FileSource::Added },
    ));
    assert_eq!(drift.response, Some(RuleAction::KillPod));
    insta::assert_yaml_snapshot!([one(shell).event, one(connection).event, drift.event]);
}

#[test]
fn applets_capabilities_and_sockets_carry_what_is_known() {
    let applet = Act::Exec { path: b"/bin/busybox".to_vec(), source: FileSource::Image };
    let applet = record(Some("applets"), Outcome::Denied, applet);
    let arguments = b"busybox\0wget\0a b\0".to_vec();
    let process = RawProcess { executable: b"/bin/busybox".to_vec(), arguments, ..applet.process };
    let applet = Record { process, ..applet };
    let socket = |direction, protocol, port| Act::Connect {
        direction,
        protocol,
        peer: IpAddr::from([0, 0, 0, 0]),
        port,
    };
    let listen = socket(Direction::Listen, Protocol::Tcp, 80);
    let raw = socket(Direction::Egress, Protocol::Raw, 0);
    insta::assert_yaml_snapshot!([
        one(applet).event,
        one(record(Some("privileges"), Outcome::Denied, Act::Capability { name: "NET_ADMIN" })).event,
        one(record(Some("ports"), Outcome::Denied, listen)).event,
        one(record(Some("raw-sockets"), Outcome::Denied, raw)).event,
    ]);
}

#[test]
fn what_was_collapsed_shows_no_detail_that_not_all_share() {
    let many = Record { count: 250, ..record(Some("no-passwd"), Outcome::Denied, read_passwd()) };
    let repeated = Record { act: Act::Repeated, ..many.clone() };
    for record in [many, repeated] {
        let [one] = &enriched(record, Likeness::SameRule)[..] else { panic!("one event is expected") };
        assert_eq!((one.event.count, one.event.event_type), (250, EventType::FileAccess));
        assert_eq!((&one.event.file_path, &one.event.process), (&None, &None));
        insta::assert_snapshot!("collapsed_message", one.event.message);
    }
}

#[test]
fn a_record_of_an_unknown_container_or_generation_is_reported_all_the_same() {
    let record = record(Some("no-passwd"), Outcome::Denied, read_passwd());
    let context = Context { node: "node-1", container: None, rules: None, now: Timestamp::UNIX_EPOCH };
    let group = Group { record: Arc::new(record), count: 1, likeness: Likeness::Identical };
    let enriched = enrich(&group, &context, &mut Reasons::default());
    let [Enriched { event, response: None }] = &enriched[..] else { panic!("one event is expected") };
    assert_eq!(event.action, EventAction::Blocked);
    assert_eq!(event.file_path.as_deref(), Some("/etc/passwd"));
    assert!(event.message.contains("generation 7"), "{}", event.message);
}

#[test]
fn an_act_on_moat_is_an_event_without_a_rule() {
    let act = Act::Tampering { what: "signal the agent" };
    let told = |outcome| {
        let mut told = enriched(record(None, outcome, act.clone()), Likeness::Identical);
        assert_eq!(told.len(), 1);
        told.remove(0).event
    };
    let event = told(Outcome::Denied);
    assert!(moat_policy::Attempt::of(&event).is_none(), "no rule could say otherwise");
    assert_eq!(event.message, "Container nginx tried to signal the agent; it was refused.");
    assert_eq!(event.pod_name.as_deref(), Some("vulnerable-nginx-pod"));
    assert_eq!((event.event_type, event.severity), (EventType::PrivilegedOperation, Severity::Critical));
    assert_eq!((event.action, event.policy_name, event.rule), (EventAction::Blocked, None, None));
    assert_eq!(event.process.map(|process| process.executable).as_deref(), Some("/usr/bin/cat"));
    let killed = told(Outcome::Killed);
    assert_eq!((killed.action, killed.reason.is_some()), (EventAction::Killed, true));
    assert!(killed.message.ends_with("the process was killed."), "{}", killed.message);
    // Above what a container may report in detail it is not known which of several.
    let many = enriched(Record { count: 90, ..record(None, Outcome::Denied, act) }, Likeness::SameRule);
    let [Enriched { event, response: None }] = many.as_slice() else { panic!("{many:?}") };
    assert_eq!((event.count, event.process.is_none()), (90, true));
    assert!(event.message.contains("act on Moat"), "{}", event.message);
}
