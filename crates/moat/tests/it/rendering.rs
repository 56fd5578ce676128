use moat_wire::control::{Request, Response};
use serde_json::{Value, json};

use super::agent::Agent;

/// Answers as an agent gives them, with names that an attacker chose among them.
#[expect(clippy::needless_pass_by_value, reason = "what a listener hands to its handler")]
fn answers(request: Request) -> Vec<Response> {
    let value = match request {
        Request::Status => json!({ "status": {
            "version": "0.1.0", "pid": 4711, "uptimeSeconds": 11_520, "driver": "guard", "policies": 3,
            "containers": 12, "enforcedContainers": 9, "generation": 7, "events": 1234, "residentBytes": 40_265_318,
            "losses": [{ "stage": "RingBuffer", "events": 12 }, { "stage": "Output", "events": 0 }],
            "problems": ["policies/bad.yaml:3:5: unknown field `rulez`\u{1b}[2J"] } }),
        Request::Containers => json!({ "containers": [
            { "workload": workload("web-0", "nginx", "docker.io/library/nginx:1.27"), "cgroup": 42, "pid": 100,
              "policies": ["no-shells", "egress"], "rules": 5, "problem": "" },
            { "workload": workload("job", "job", "evil\u{202e}gpj"), "cgroup": 43, "pid": 101,
              "policies": ["no-shells"], "rules": 0, "problem": "the kernel refused: no space left on device" },
            { "workload": workload("batch", "batch", "busybox"), "cgroup": 44, "pid": 102,
              "policies": [], "rules": 0, "problem": "" },
        ] }),
        Request::Policies => json!({ "policies": [
            { "name": "no-shells", "kind": "RuntimePolicy", "file": "policies/no-shells.yaml", "mode": "Enforce",
              "labels": {}, "containers": 2, "refused": "no-shells.yaml:3:5: unknown field `rulez`\n(did you mean `rules`?)",
              "document": "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\n",
              "rules": [
                { "name": "shells", "action": "Block", "severity": "High",
                  "holding": { "state": "Held", "driver": "guard", "reason": "" } },
                { "name": "no-delete", "action": "KillProcess", "severity": "Critical",
                  "holding": { "state": "Degraded", "driver": "guard", "reason": "deletion is seen, not refused: the process is killed after it" } } ] },
            { "name": "audit-egress", "kind": "RuntimePolicy", "file": "policies/egress.yaml", "mode": "Audit",
              "labels": {}, "containers": 0, "refused": null, "document": "", "rules": [
                { "name": "out", "action": "Block", "severity": "Low",
                  "holding": { "state": "NotHeld", "driver": "", "reason": "no driver is loaded" } } ] },
        ] }),
        Request::Explain(_) => json!({ "explanation": {
            "workload": workload("web-0", "nginx", "nginx"), "generation": 7, "verdict": "Block",
            "enforced": { "policy": "no-shells", "rule": "shells", "action": "Block", "severity": "High",
              "reason": "its name is `sh`", "holding": { "state": "Held", "driver": "guard", "reason": "" } },
            "audited": null, "selected": ["no-shells"],
            "notSelected": [{ "policy": "egress", "why": "`namespaceSelector.matchNames` does not match default" }] } }),
        Request::Events(_) => return events(),
        Request::Filter(_) | Request::Shutdown => json!({ "error": { "message": "not in this test" } }),
    };
    vec![serde_json::from_value(value).unwrap()]
}

fn workload(pod: &str, container: &str, image: &str) -> Value {
    json!({ "namespace": "default", "pod": pod, "container": container, "image": image,
            "containerId": "0123456789abcdef0123456789abcdef" })
}

fn events() -> Vec<Response> {
    let event = |more: Value| {
        let mut event = json!({ "timestamp": "2026-11-21T10:30:00Z", "severity": "High", "message": "", "id": "1",
            "namespace": "default", "podName": "web-0", "containerName": "nginx", "action": "Blocked",
            "policyName": "no-shells", "rule": "shells",
            "process": { "executable": "/bin/sh", "arguments": ["sh", "-c", "id"], "pid": 1, "parentPid": 0, "uid": 0 } });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({ "event": event })).unwrap()
    };
    vec![
        event(json!({ "eventType": "ProcessExec" })),
        event(
            json!({ "eventType": "FileAccess", "filePath": "/tmp/\u{1b}[31m\u{202e}x\nforged", "fileOperation": "Read",
                      "severity": "Critical", "action": "WouldBlock", "count": 12 }),
        ),
        event(
            json!({ "eventType": "NetworkConnection", "severity": "Low", "action": "Killed", "podName": "nginx",
                      "peer": { "direction": "Egress", "protocol": "TCP", "address": "2001:db8::1", "port": 443 } }),
        ),
        event(
            json!({ "eventType": "Syscall", "syscall": "ptrace", "severity": "Medium", "action": "Alerted" }),
        ),
        event(json!({ "eventType": "PrivilegedOperation", "capability": "NET_ADMIN" })),
        event(json!({ "eventType": "NetworkConnection",
            "peer": { "direction": "Listen", "protocol": "TCP", "address": "::", "port": 8080 } })),
        event(json!({ "eventType": "NetworkConnection",
            "peer": { "direction": "Egress", "protocol": "Raw", "address": "0.0.0.0", "port": 0 } })),
        event(
            json!({ "eventType": "ProcessExec", "process": { "executable": "/bin/echo", "pid": 1, "parentPid": 0,
                      "uid": 0, "arguments": ["echo", "x".repeat(4000)] } }),
        ),
        serde_json::from_value(
            json!({ "event": { "timestamp": "2026-11-21T10:30:01Z", "eventType": "System",
            "action": "Alerted", "severity": "Info", "id": "2", "message": "12 events were lost" } }),
        )
        .unwrap(),
    ]
}

#[test]
fn answers_become_tables() {
    let agent = Agent::start(answers);
    insta::assert_snapshot!("status", agent.ask(&["status"]));
    insta::assert_snapshot!("containers", agent.ask(&["containers"]));
    insta::assert_snapshot!("policy-list", agent.ask(&["policy", "list"]));
    insta::assert_snapshot!("policy-show", agent.ask(&["policy", "show", "no-shells"]));
    insta::assert_snapshot!("policy-show-unknown", agent.ask(&["policy", "show", "other"]));
    insta::assert_snapshot!(
        "explain",
        agent.ask(&["policy", "explain", "--pod", "web-0", "--exec", "/bin/sh -c 'id; ls'"])
    );
    insta::assert_snapshot!("events", agent.ask(&["events"]));
    insta::assert_snapshot!("events-colour", agent.ask(&["events", "--color", "always"]));
}

#[test]
fn json_is_json_and_safe_to_look_at() {
    let agent = Agent::start(answers);
    for question in [&["status"] as &[&str], &["containers"], &["policy", "list"], &["events"]] {
        let text = agent.ask(&[question, &["--json"]].concat());
        let (_, json) = text.split_once("--- stdout\n").unwrap();
        assert!(!json.contains(['\u{1b}', '\u{202e}']), "{json}");
        for document in serde_json::Deserializer::from_str(json).into_iter::<Value>() {
            document.unwrap();
        }
        if question == ["events"] {
            assert_eq!(json.lines().count(), 9);
        }
    }
}

#[test]
fn a_refusal_of_the_agent_is_a_finding() {
    let agent = Agent::start(|_| {
        vec![Response::Error { message: String::from("no pod `x` is known: `moat containers` names them") }]
    });
    assert_eq!(
        agent.ask(&["policy", "explain", "--pod", "x", "--syscall", "ptrace"]),
        "status: 1\n--- stderr\nerror: no pod `x` is known: `moat containers` names them\n"
    );
}
