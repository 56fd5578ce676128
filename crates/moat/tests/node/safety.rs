//! The strictest policy stops containers, never the node.

use std::process::Command;

use moat_event::{EventAction, EventType};

use crate::Node;
use crate::life_cycle::busybox;
use crate::node::{exec, text};

const NOTHING: &str = "apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: nothing }
spec:
  namespaceSelector: { matchNames: [\"*\"] }
  mode: Enforce
  rules:
  - { name: no-program, action: KillProcess, process: { allowOnly: { paths: [/nonexistent] } } }
  - { name: no-read, action: Block, file: { paths: [\"/**\"], operations: [Read, Write] } }
  - { name: no-network, action: Block, network: { direction: Egress } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_denies_everything_leaves_the_node_alone() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    let before = node.run("before");
    let agent = node.status().await.pid;
    node.write("nothing.yaml", NOTHING);
    node.rules("before", 3).await;

    // Programs of the node, and files: as ever.
    let host = Command::new("/bin/sh").args(["-c", "cat /etc/passwd && exec id -u"]).output().unwrap();
    assert!(host.status.success() && text(&host).ends_with("0\n"), "{host:?}");
    // containerd, its shims, runc and ctr: as ever, but for what runs inside.
    assert!(node.containerd.ctr(&node.namespace, ["tasks", "list"]).unwrap().contains("RUNNING"));
    let output = exec(&before, &["/bin/true"]);
    assert!(!output.status.success(), "{output:?}");
    node.denied_exec("before", "no-program").await;
    let refused = node.container("refused");
    assert!(!tokio::task::block_in_place(|| refused.run()).unwrap().status.success());
    node.denied_exec("refused", "no-program").await;
    // A pod's sandbox is the runtime's, its containers are not.
    let pods = node.pods().await;
    let pod = pods.pod("default", "strict", &[]).await.unwrap();
    let _ = pods.container(&pod, "strict", &node.image, &[]).await;
    node.denied_exec("strict", "no-program").await;
    pods.remove(&pod).await.unwrap();
    // Moat: the same agent answers, and takes the policy back.
    assert_eq!(node.status().await.pid, agent);
    node.remove("nothing.yaml");
    node.rules("before", 0).await;
    assert!(text(&exec(&before, &["/bin/echo", "free"])).contains("free"));

    let outside = node.drain().iter().filter(|event| {
        event.event_type != EventType::System
            && !matches!(event.container_name.as_deref(), Some("before" | "refused" | "strict"))
    });
    assert_eq!(outside.count(), 0, "{:#?}", node.seen);
    assert!(node.seen.iter().all(|event| event.action != EventAction::PodKilled));
    assert_eq!(node.complaints(), [""; 0]);
    node.end().await;
}
