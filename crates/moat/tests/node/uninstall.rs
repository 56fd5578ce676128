//! Nothing of Moat stays: neither after an end in order, nor after `moat uninstall`.

use std::collections::BTreeSet;
use std::fs;

use libbpf_rs::query::{LinkInfoIter, MapInfoIter, ProgInfoIter};
use serde_json::Value;

use crate::Node;
use crate::life_cycle::{NO_ID, busybox};
use crate::node::{exec, policy, text};

const GROUPS: &str = "/proc/sys/fs/fanotify/max_user_groups";

/// What a process holds in the kernel, by kind and id (`proc_pid_fdinfo(5)`).
fn held_by(pid: u32) -> BTreeSet<(String, u32)> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = files.filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
    let mut held = BTreeSet::new();
    for text in texts {
        for (kind, id) in text.lines().filter_map(|line| line.split_once(':')) {
            if matches!(kind, "prog_id" | "map_id" | "link_id") {
                held.insert((kind.to_owned(), id.trim().parse().unwrap()));
            }
        }
    }
    held
}

/// What of it is in the kernel now.
fn still_there(held: &BTreeSet<(String, u32)>) -> BTreeSet<(String, u32)> {
    let programs = ProgInfoIter::default().map(|info| (String::from("prog_id"), info.id));
    let maps = MapInfoIter::default().map(|info| (String::from("map_id"), info.id));
    let links = LinkInfoIter::default().map(|info| (String::from("link_id"), info.id));
    programs.chain(maps).chain(links).filter(|one| held.contains(one)).collect()
}

fn mounts(part: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

fn cgroups() -> BTreeSet<String> {
    fn below(folder: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.insert(entry.path().display().to_string());
                below(&entry.path(), found);
            }
        }
    }
    let mut found = BTreeSet::new();
    below(std::path::Path::new("/sys/fs/cgroup"), &mut found);
    found
}

/// Other agents of this machine would raise and lower the same limit.
fn agents() -> usize {
    let names = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("comm")).ok());
    names.filter(|name| name == "moat-enforcer\n").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstalling_leaves_nothing_and_frees_what_runs() {
    let (agents_before, groups_before) = (agents(), fs::read_to_string(GROUPS).unwrap());
    let Some(mut node) = Node::start_alone(busybox()).await else { return };
    let unique = node.containerd.oci_runtime().trim_start_matches("runc-").to_owned();
    let web = node.run("web");
    node.rules("web", 0).await;
    let (mounts_before, cgroups_before) = (mounts(&unique), cgroups());
    // Every kind of rule, so that everything that Moat can attach is attached.
    let rules = format!(
        "{NO_ID}
  - {{ name: no-passwd, action: Block, file: {{ paths: [/etc/passwd], operations: [Read, Delete] }} }}
  - {{ name: no-out, action: Block, network: {{ direction: Egress, cidrs: [10.9.0.0/16] }} }}
  - {{ name: no-in, action: Block, network: {{ direction: Ingress, ports: [\"99\"] }} }}
  - {{ name: no-ptrace, action: KillProcess, syscalls: [ptrace] }}
  - {{ name: no-drift, action: Block, drift: {{ execute: true, fileless: true }} }}"
    );
    node.write("web.yaml", &policy("web", "web", &rules));
    node.rules("web", 6).await;
    exec(&web, &["/bin/id"]);
    node.denied_exec("web", "no-id").await;
    let held = held_by(node.status().await.pid);
    for kind in ["prog_id", "map_id", "link_id"] {
        assert!(held.iter().any(|one| one.0 == kind), "{held:?}");
    }
    assert_eq!(still_there(&held), held);

    let state = node.folder.path().join("state");
    assert!(state.exists());
    let removed = node.moat(&["uninstall", "--json", "--state", state.to_str().unwrap()]).await;
    assert!(removed.status.success(), "{removed:?}");
    let report: Value = serde_json::from_slice(&removed.stdout).unwrap();
    assert_eq!(report["left"], Value::Array(Vec::new()), "{report:#}");
    node.ended().await;

    // Programs are freed by the kernel's own worker, a moment after the last descriptor.
    node.until("the kernel has let go", async || still_there(&held).is_empty().then_some(())).await;
    assert!(!state.exists() && !node.control().exists());
    assert_eq!(mounts(&unique), mounts_before);
    let new: Vec<_> =
        cgroups().difference(&cgroups_before).filter(|path| path.contains("moat")).cloned().collect();
    assert_eq!(new, [""; 0]);
    assert!(node.folder.path().join("policies/web.yaml").exists(), "policies are the user's");
    assert!(text(&exec(&web, &["/bin/id"])).contains("uid=0"));
    if agents_before == 0 && agents() == 0 {
        assert_eq!(fs::read_to_string(GROUPS).unwrap(), groups_before);
    } else {
        println!("skipped: {GROUPS} is not compared while other agents run here");
    }
    // A container that starts now waits for nobody.
    let output = tokio::task::block_in_place(|| node.container("after").command(["/bin/id"]).run()).unwrap();
    assert!(text(&output).contains("uid=0"), "{output:?}");
}
