//! Rules follow what happens to policies, containers, the agent and the runtime.

use std::fs;
use std::process::Output;
use std::time::Instant;

use moat_event::{EventType, Severity};
use moat_testkit::{Image, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Node;
use crate::node::{exec, policy, text};

pub const NO_ID: &str = "  - { name: no-id, action: Block, process: { argsRegex: \"^/bin/id( |$)\" } }";
const NO_PASSWD: &str =
    "  - { name: no-passwd, action: Block, file: { paths: [/etc/passwd], operations: [Read] } }";

pub fn busybox() -> Image {
    Image::busybox("docker.io/moat-test/busybox:1").unwrap()
}

fn read_passwd(running: &Running) -> Output {
    exec(running, &["/bin/cat", "/etc/passwd"])
}

fn assert_enforced(running: &Running) {
    let output = exec(running, &["/bin/id"]);
    assert!(!output.status.success() && !text(&output).contains("uid="), "{output:?}");
    let output = read_passwd(running);
    assert!(text(&output).contains("Operation not permitted"), "{output:?}");
}

fn assert_free(running: &Running) {
    let output = exec(running, &["/bin/id"]);
    assert!(text(&output).contains("uid=0"), "{output:?}");
    let output = read_passwd(running);
    assert!(text(&output).contains("root:x:0"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_change_break_and_go() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    let web = node.run("web");
    node.rules("web", 0).await;
    assert_free(&web);

    node.write("web.yaml", &policy("web", "web", NO_ID));
    node.rules("web", 1).await;
    assert!(!text(&exec(&web, &["/bin/id"])).contains("uid="));
    node.denied_exec("web", "no-id").await;
    assert!(text(&read_passwd(&web)).contains("root:x:0"));

    node.write("web.yaml", &policy("web", "web", &format!("{NO_ID}\n{NO_PASSWD}")));
    node.rules("web", 2).await;
    assert_enforced(&web);
    let event = node.event("the read", |event| event.rule.as_deref() == Some("no-passwd")).await;
    assert_eq!(event.event_type, EventType::FileAccess);

    // Broken: refused with the place, the last good one holds.
    let broken = policy("web", "web", "  - { name: no-id, action: Blok, process: { names: [id] } }");
    node.write("web.yaml", &broken);
    let event = node
        .event("the refusal", |event| {
            event.event_type == EventType::System && event.message.contains("web.yaml:")
        })
        .await;
    assert!(event.severity >= Severity::Medium, "{event:?}");
    let list = node.moat(&["policy", "list", "--json"]).await;
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let refused = list[0]["refused"].as_str().unwrap_or_default();
    assert!(refused.contains("web.yaml:8:"), "{list:#}");
    assert!(refused.contains("Blok"), "{list:#}");
    assert_enforced(&web);

    // A container that starts meanwhile, and one that starts again, get it too.
    tokio::task::block_in_place(|| web.remove()).unwrap();
    node.containers("web is gone", <[_]>::is_empty).await;
    let web = node.run("web");
    assert_enforced(&web);

    node.remove("web.yaml");
    node.rules("web", 0).await;
    assert_free(&web);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_comes_back_with_its_rules_and_tells_the_gap() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    node.write("web.yaml", &policy("web", "web", &format!("{NO_ID}\n{NO_PASSWD}")));
    let web = node.run("web");
    node.rules("web", 2).await;
    let first = node.status().await.pid;
    kill_process(Pid::from_raw(first.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    let killed = Instant::now();

    let gap = node
        .event("the gap", |event| {
            event.event_type == EventType::System && event.message.contains("restarted")
        })
        .await;
    let millis = gap.message.split(' ').find_map(|word| word.parse::<u128>().ok());
    assert!(millis.is_some_and(|millis| (1..=killed.elapsed().as_millis()).contains(&millis)), "{gap:?}");
    assert_eq!(gap.severity, Severity::High);
    node.rules("web", 2).await;
    assert_ne!(node.status().await.pid, first);
    assert_enforced(&web);
    node.denied_exec("web", "no-id").await;
    let fresh = node.run("fresh");
    node.rules("fresh", 0).await;
    assert_free(&fresh);
    node.end().await;
    assert_free(&web);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runtime_that_restarts_changes_nothing() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    node.write("web.yaml", &policy("web", "web", &format!("{NO_ID}\n{NO_PASSWD}")));
    let script = "until [ -e /tmp/go ]; do sleep 0.01; done; cat /etc/passwd; sleep 86400";
    let web = node.container("web").command(["/bin/sh", "-c", script]);
    let web = tokio::task::block_in_place(|| web.start()).unwrap();
    node.rules("web", 2).await;
    tokio::task::block_in_place(|| node.containerd.stop()).unwrap();
    fs::write(format!("/proc/{}/root/tmp/go", web.pid), "").unwrap();
    let refused = async || web.output().ok().filter(|output| output.contains("passwd"));
    let output = node.until("the container reads without containerd", refused).await;
    assert!(output.contains("Operation not permitted"), "{output}");
    tokio::task::block_in_place(|| node.containerd.resume()).unwrap();
    assert_enforced(&web);
    node.denied_exec("web", "no-id").await;

    // The agent follows the new containerd: containers that come are protected, those that go are forgotten.
    node.write("late.yaml", &policy("late", "late", NO_ID));
    let late = node.run("late");
    node.rules("late", 1).await;
    assert!(!text(&exec(&late, &["/bin/id"])).contains("uid="));
    node.denied_exec("late", "no-id").await;
    tokio::task::block_in_place(|| web.remove()).unwrap();
    node.containers("web is gone", |all| all.iter().all(|one| one.workload.container == "late")).await;
    node.end().await;
}
