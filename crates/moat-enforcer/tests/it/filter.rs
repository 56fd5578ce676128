//! Seccomp filters: set with the container by `moat-enforcer oci-runtime`, because nothing can set them afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use moat_event::{EventAction, EventType};
use moat_testkit::{NewContainer, Running};
use moat_wire::control::{PolicyStatus, RuleHolding};
use tokio::task::block_in_place;

use crate::agent::{Node, exec, policy};

const NO_FIFO: &str =
    "- { name: no-nodes, severity: High, action: Block, syscalls: [mknod, mknodat, personality] }";

impl Node {
    /// A program that stands in front of this node's runc.
    fn oci_runtime(&self, name: &str, control: &Path, more: &str) -> PathBuf {
        let (script, runc) = (self.folder.path().join(name), self.containerd.path());
        let text = format!(
            "#!/bin/sh\nexec {} oci-runtime --control {} --runtime {}/{} {more} -- \"$@\"\n",
            env!("CARGO_BIN_EXE_moat-enforcer"),
            control.display(),
            runc.display(),
            self.containerd.oci_runtime()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    fn made_by(&self, runtime: &Path, id: &str, app: &str) -> NewContainer<'_> {
        let runtime = format!("--runc-binary={}", runtime.display());
        self.containerd.container(&self.image, id).flag(&runtime).label("app", app)
    }

    fn start_by(&self, runtime: &Path, id: &str, app: &str) -> anyhow::Result<Running> {
        block_in_place(|| self.made_by(runtime, id, app).start())
    }

    async fn holding(&self) -> RuleHolding {
        let policies = self.client().await.policies().await.unwrap();
        let [PolicyStatus { rules, .. }] = policies.as_slice() else { panic!("{policies:?}") };
        rules.first().unwrap().holding.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_hook_guards_fails_where_the_container_was_made_with_a_filter() {
    let Some(node) = Node::start(&policy(NO_FIFO)).await else { return };
    let runtime = node.oci_runtime("moat-runc", &node.control(), "");
    let filtered = node.start_by(&runtime, "filtered", "nginx").unwrap();
    let other = node.start_by(&runtime, "other", "other").unwrap();
    let all = node.containers(|all| all.len() == 2 && all.iter().all(|one| one.problem.is_empty())).await;
    let calls = |id: &str| all.iter().find(|one| one.workload.container == id).unwrap().filtered.clone();
    assert!(calls("filtered").contains(&String::from("mknodat")), "{all:?}");
    assert_eq!(calls("other"), [""; 0]);
    let holding = node.holding().await;
    assert_eq!(holding.state, "Held", "{holding:?}");

    let output = exec(&filtered, &["/bin/sh", "-c", "mkfifo /tmp/fifo; ls /tmp; echo goes on"]).await;
    assert!(output.contains("Operation not permitted") && output.contains("goes on"), "{output}");
    assert!(!output.contains("\nfifo"), "it was made: {output}");
    let event = node.event(|event| event.event_type == EventType::Syscall).await;
    assert_eq!(event.action, EventAction::Blocked);
    assert_eq!(event.rule.as_deref(), Some("no-nodes"));
    let output = exec(&other, &["/bin/sh", "-c", "mkfifo /tmp/fifo; ls /tmp"]).await;
    assert_eq!(output.trim(), "fifo");

    // One that was made without: what is said of the rule is true of all its containers.
    let before = crate::agent::start(&node, "before");
    node.containers(|all| all.iter().filter(|one| one.rules == 1).count() == 2).await;
    let holding = node.holding().await;
    assert!(holding.state == "Degraded" && holding.reason.contains("may still take effect"), "{holding:?}");
    block_in_place(|| before.remove()).unwrap();
    node.containers(|all| all.len() == 2).await;
    assert_eq!(node.holding().await.state, "Held");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_refuses_ends_the_process_where_a_rule_demands_it() {
    let Some(node) = Node::start(&policy(&NO_FIFO.replace("Block", "KillProcess"))).await else { return };
    let runtime = node.oci_runtime("moat-runc", &node.control(), "");
    // In a filter that containerd gives it.
    let filtered =
        block_in_place(|| node.made_by(&runtime, "filtered", "nginx").flag("--seccomp").start()).unwrap();
    node.containers(|all| all.iter().any(|one| one.rules == 1)).await;
    let output = exec(&filtered, &["/bin/sh", "-c", "mkfifo /tmp/fifo; echo status $?; ls /tmp"]).await;
    assert!(output.contains("status 137") && !output.contains("\nfifo"), "{output}");
    let event = node.event(|event| event.event_type == EventType::Syscall).await;
    assert_eq!(event.action, EventAction::Killed);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_a_container_starts_or_not_as_the_node_says() {
    let Some(node) = Node::start(&policy(NO_FIFO)).await else { return };
    let nobody = node.folder.path().join("nobody.sock");
    let runtime = node.oci_runtime("starts", &nobody, "");
    let open = node.start_by(&runtime, "open", "nginx").unwrap();
    node.containers(|all| all.iter().any(|one| one.rules == 1)).await;
    assert_eq!(node.holding().await.state, "Degraded");
    drop(open);

    let runtime = node.oci_runtime("refuses", &nobody, "--without-agent refuse");
    let error = format!("{:#}", node.start_by(&runtime, "closed", "nginx").unwrap_err());
    assert!(error.contains("no agent says what the container's seccomp filter has to refuse"), "{error}");
    node.end().await;
}
