//! No unprotected window: a container's own entrypoint is judged before its first instruction.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use moat_event::{EventAction, EventType};
use moat_testkit::{Image, Pods};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Node;
use crate::node::policy;
use crate::program::compile;

/// Containers that are started at the same time.
const AT_ONCE: usize = 4;
const BY_CTR: usize = 170;
const PODS: usize = 3;
const PER_POD: usize = 10;
const ALLOWED: usize = 50;

/// Busybox, and `mark` that leaves a mark when it runs.
fn image() -> Image {
    Image::busybox("docker.io/moat-test/mark:1")
        .unwrap()
        .file("/bin/mark", 0o755, compile("mark.S", &["-nostdlib", "-Wl,--build-id=none"]))
        .directory("/marks", 0o777)
}

/// The three ways in which an entrypoint may be denied; the label of a container chooses one.
const DENIALS: [(&str, &str); 3] = [
    ("by-name", "  - { name: no-entry, action: Block, process: { names: [mark] } }"),
    ("by-list", "  - { name: no-entry, action: Block, process: { allowOnly: { paths: [/bin/busybox] } } }"),
    ("by-arguments", "  - { name: no-entry, action: KillProcess, process: { argsRegex: \"^/bin/mark /\" } }"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn no_denied_entrypoint_executes_one_instruction() {
    let Some(mut node) = Node::start(image()).await else { return };
    for (app, rule) in DENIALS {
        node.write(&format!("{app}.yaml"), &policy(app, app, rule));
    }
    node.loaded(DENIALS.len()).await;
    let marks = tempfile::tempdir().unwrap();
    let mount = format!("--mount=type=bind,src={},dst=/marks,options=rbind:rw", marks.path().display());

    // The mark would be seen: this one is allowed to leave it.
    let control = node.container("free").flag(&mount).command(["/bin/mark", "/marks/free"]);
    let status = tokio::task::block_in_place(|| control.run()).unwrap().status;
    assert_eq!(status.code(), Some(7));
    fs::remove_file(marks.path().join("free")).unwrap();

    let mut expected = BTreeSet::new();
    let denial = |number: usize| DENIALS[number % DENIALS.len()].0;
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for worker in 0..AT_ONCE {
                let (node, mount) = (&node, &mount);
                scope.spawn(move || {
                    for number in (worker..BY_CTR).step_by(AT_ONCE) {
                        let (id, file) = (format!("ctr-{number}"), format!("/marks/{number}"));
                        let container = node.container_of(denial(number), &id);
                        let output = container.flag(mount).command(["/bin/mark", &file]).run().unwrap();
                        assert!(!output.status.success(), "{id}: {output:?}");
                    }
                });
            }
        });
    });
    expected.extend((0..BY_CTR).map(|number| (format!("ctr-{number}"), denial(number).to_owned())));

    let pods = node.pods().await;
    let mut starts = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for number in 0..PODS {
        let app = denial(number);
        let pod = pods.pod("default", &format!("pod-{number}"), &[("app", app)]).await.unwrap();
        for index in 0..PER_POD {
            let name = format!("cri-{number}-{index}");
            expected.insert((name.clone(), app.to_owned()));
            let (pods, pod, image, permits) =
                (pods.clone(), pod.clone(), node.image.clone(), Arc::clone(&permits));
            starts.spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                // What the runtime says about an entrypoint that is denied is its own matter.
                let _ = pods.container(&pod, &name, &image, &["/bin/mark", &format!("/marks/{name}")]).await;
            });
        }
    }
    while let Some(start) = starts.join_next().await {
        start.unwrap();
    }

    let mut denied = BTreeSet::new();
    for (container, policy) in &expected {
        let event = node
            .event(&format!("{container} is denied by {policy}"), |event| {
                event.container_name.as_deref() == Some(container)
                    && event.policy_name.as_deref() == Some(policy)
            })
            .await;
        assert_eq!(event.event_type, EventType::ProcessExec, "{event:?}");
        assert!(matches!(event.action, EventAction::Blocked | EventAction::Killed), "{event:?}");
        denied.insert((container.clone(), policy.clone()));
    }
    assert_eq!(denied, expected);
    let left: Vec<PathBuf> = fs::read_dir(marks.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "denied entrypoints ran: {left:?}");
    let left = marks_in_snapshots(&node);
    assert!(left.is_empty(), "denied entrypoints of pods ran: {left:?}");
    assert_eq!(node.complaints(), [""; 0]);
    node.end().await;
}

/// Marks in the file systems of containers that mount nothing over `/marks`.
fn marks_in_snapshots(node: &Node) -> Vec<PathBuf> {
    let snapshots = node.containerd.path().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots");
    let folders = fs::read_dir(snapshots).unwrap().map(|entry| entry.unwrap().path().join("fs/marks"));
    folders
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn every_allowed_entrypoint_runs_and_none_stays_stopped() {
    let Some(mut node) = Node::start(image()).await else { return };
    let list = "  - { name: only-mark, action: Block, process: { allowOnly: { paths: [/bin/mark] } } }\n  \
                - { name: no-sh, action: Block, process: { names: [sh], argsRegex: x } }";
    node.write("list.yaml", &policy("list", "listed", list));
    node.loaded(1).await;

    let pods: Pods = node.pods().await;
    let pod = pods.pod("default", "allowed", &[("app", "listed")]).await.unwrap();
    let mut starts = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for number in 0..ALLOWED / 2 {
        let (pods, pod, image, permits) =
            (pods.clone(), pod.clone(), node.image.clone(), Arc::clone(&permits));
        starts.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let (name, file) = (format!("cri-{number}"), format!("/marks/cri-{number}"));
            pods.container(&pod, &name, &image, &["/bin/mark", &file, "stay"]).await.unwrap();
        });
    }
    while let Some(start) = starts.join_next().await {
        start.unwrap();
    }
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for worker in 0..AT_ONCE {
                let node = &node;
                scope.spawn(move || {
                    for number in (worker..ALLOWED / 2).step_by(AT_ONCE) {
                        let (id, file) = (format!("ctr-{number}"), format!("/marks/ctr-{number}"));
                        let container = node.container_of("listed", &id);
                        container.command(["/bin/mark", &file, "stay"]).start().unwrap();
                    }
                });
            }
        });
    });

    let containers = node
        .containers("all containers have their rules", |all| {
            let ours = all.iter().filter(|one| one.rules == 2 && one.problem.is_empty());
            ours.filter(|one| one.workload.container.contains('-')).count() == ALLOWED
        })
        .await;
    node.until("all leave their marks", async || (marks_in_snapshots(&node).len() == ALLOWED).then_some(()))
        .await;
    for container in containers {
        let status = fs::read_to_string(format!("/proc/{}/status", container.pid)).unwrap();
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap().trim();
        assert!(state.starts_with('S'), "{}: {state}", container.workload.container);
    }
    assert_eq!(node.complaints(), [""; 0]);
    assert!(node.seen.is_empty(), "{:?}", node.seen);
    node.end().await;
}
