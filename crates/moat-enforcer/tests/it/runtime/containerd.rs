use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use moat_enforcer::runtime::cgroup::Hierarchy;
use moat_enforcer::runtime::{Change, Hint, Kind, RuntimeError};
use moat_testkit::Pods;
use rustix::fs::{FileType, Mode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Handle;

use super::{Watch, containerd, source};

#[tokio::test]
async fn plain_containers_of_every_namespace_are_listed_with_their_labels() {
    let Some((containerd, image)) = containerd() else { return };
    containerd.import_into("tenant", &image).unwrap();
    let source = source(Kind::Containerd, &containerd.socket());
    assert!(source.version().await.unwrap().starts_with("containerd "));
    assert_eq!(source.list().await.unwrap(), []);

    let web = containerd.container(&image, "web-1").label("app", "nginx").start().unwrap();
    let twin = containerd.container(&image, "web-1").namespace("tenant").start().unwrap();
    let named = containerd.container(&image, "0a1b").label("nerdctl/name", "cache").start().unwrap();
    let mut all = source.list().await.unwrap();
    all.sort_by_key(|container| container.runtime_id.clone());
    let [cache, first, second] = all.as_slice() else { panic!("not three: {all:?}") };

    assert_eq!((first.init_pid, second.init_pid, cache.init_pid), (web.pid, twin.pid, named.pid));
    let workload = &first.workload;
    assert_eq!(workload.namespace, "default");
    assert_eq!((workload.pod.as_str(), workload.container.as_str()), ("web-1", "web-1"));
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Container", "web-1"));
    assert_eq!(workload.labels.get("app").map(String::as_str), Some("nginx"));
    assert_eq!(workload.image, image.name());
    let digest = workload.image_digest.strip_prefix("sha256:").unwrap();
    assert_eq!(digest.len(), 64);
    assert!(!first.sandbox && first.sandbox_id.is_none());
    assert_eq!(second.workload.namespace, "tenant");
    assert_eq!(cache.workload.container, "cache");
    assert_eq!(cache.workload.container_id, "0a1b");
}

#[tokio::test]
async fn a_pod_is_known_by_the_names_and_labels_that_kubernetes_gave_it() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    let mut watch = Watch::of(&source);
    assert_eq!(watch.resync().await, []);

    let pods = Pods::connect(&containerd).await.unwrap();
    let pod = pods.pod("shop", "cart-0", &[("app", "cart"), ("tier", "back")]).await.unwrap();
    let sandbox = watch.created(&pod.sandbox_id).await;
    assert!(sandbox.sandbox);
    let main = pods.container(&pod, "main", &image, &[]).await.unwrap();
    let created = watch.created(&main.id).await;
    let mut listed = source.list().await.unwrap();
    listed.sort_by_key(|container| !container.sandbox);
    assert_eq!(listed, [sandbox.clone(), created.clone()]);

    assert_eq!(created.sandbox_id.as_deref(), Some(pod.sandbox_id.as_str()));
    assert!(!created.sandbox);
    let workload = created.workload;
    assert_eq!((workload.namespace.as_str(), workload.pod.as_str()), ("shop", "cart-0"));
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Pod", "cart-0"));
    assert_eq!((workload.container.as_str(), workload.container_id), ("main", main.id.clone()));
    assert_eq!(workload.image, image.name());
    assert!(workload.image_digest.starts_with("sha256:"));
    // The pod's labels, all of them and none but them.
    let labels: Vec<_> = workload.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("app", "cart"), ("tier", "back")]);
    assert_eq!(workload.labels, sandbox.workload.labels);
    assert_eq!(sandbox.workload.pod, "cart-0");

    source.stop_pod(&listed[1]).await.unwrap();
    watch.died(&main.id).await;
    watch.died(&pod.sandbox_id).await;
    assert_eq!(source.list().await.unwrap(), []);
    // Once more: it is gone, which is what was asked for.
    source.stop_pod(&listed[1]).await.unwrap();
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_told_before_its_program_starts_and_when_it_dies() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    let mut watch = Watch::of(&source);
    watch.resync().await;

    // A runc whose `start` waits until the change came: it can have come from the creation only.
    let gate = containerd.path().join("gate");
    rustix::fs::mknodat(rustix::fs::CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let runc = containerd.path().join("gated-runc");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' start '*) read -r go < '{}';; esac\nexec runc \"$@\"\n",
        gate.display()
    );
    std::fs::write(&runc, script).unwrap();
    std::fs::set_permissions(&runc, Permissions::from_mode(0o755)).unwrap();
    let starting = containerd.container(&image, "early").flag(&format!("--runc-binary={}", runc.display()));
    let (early, running) = std::thread::scope(|scope| {
        let start = scope.spawn(|| starting.start());
        let early = tokio::task::block_in_place(|| Handle::current().block_on(watch.created("early")));
        let program = std::fs::read_to_string(format!("/proc/{}/comm", early.init_pid));
        std::fs::write(&gate, "go\n").unwrap();
        assert_eq!(program.unwrap(), "runc:[2:INIT]\n");
        (early, start.join().unwrap().unwrap())
    });
    assert_eq!((early.workload.container.as_str(), early.init_pid), ("early", running.pid));
    assert_eq!(source.list().await.unwrap(), std::slice::from_ref(&early));

    source.stop_pod(&early).await.unwrap();
    watch.died("early").await;
    source.stop_pod(&early).await.unwrap();
    watch.end().await;
}

#[tokio::test]
async fn a_process_is_resolved_to_its_container_within_milliseconds() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    let hierarchy = Hierarchy::detect().unwrap();
    let web = containerd.container(&image, "web").label("app", "web").start().unwrap();
    let odd = containerd.container(&image, "odd").flag("--cgroup=/default/named-otherwise").start().unwrap();

    let cgroup = hierarchy.cgroup_of(web.pid).unwrap();
    let hint = Hint { pid: web.pid, cgroup_path: Some(cgroup.path) };
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let found = source.resolve(&hint).await.unwrap().unwrap();
        times.push(begun.elapsed());
        assert_eq!((found.runtime_id.id.as_str(), found.init_pid), ("web", web.pid));
    }
    times.sort();
    println!("resolve: median {:?}, slowest {:?}", times[10], times[19]);
    assert!(times[10] < Duration::from_millis(50), "{times:?}");

    // Stopped, as one is whose start is held.
    signal(web.pid, Signal::STOP);
    assert_eq!(source.resolve(&hint).await.unwrap().unwrap().init_pid, web.pid);
    signal(web.pid, Signal::CONT);

    let by_pid = source.resolve(&Hint { pid: web.pid, cgroup_path: None }).await.unwrap().unwrap();
    assert_eq!(by_pid.runtime_id.id, "web");
    let custom = source.resolve(&Hint { pid: odd.pid, cgroup_path: None }).await.unwrap().unwrap();
    assert_eq!(custom.runtime_id.id, "odd");
    // A name that a stranger chose does not make a process part of the container.
    let stranger = Hint { pid: std::process::id(), cgroup_path: Some("/somewhere/web".to_owned()) };
    assert_eq!(source.resolve(&stranger).await.unwrap(), None);
}

#[tokio::test]
async fn a_restart_of_containerd_is_told_and_followed_by_a_resync() {
    let Some((mut containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    let mut watch = Watch::of(&source);
    watch.resync().await;
    let stays = containerd.container(&image, "stays").start().unwrap();
    watch.created("stays").await;
    let dies = containerd.container(&image, "dies").start().unwrap();
    watch.created("dies").await;

    containerd.stop().unwrap();
    signal(dies.pid, Signal::KILL);
    let reason = watch
        .next(|change| if let Change::Unreachable { reason } = change { Some(reason) } else { None })
        .await;
    assert!(reason.contains("containerd"), "{reason}");
    assert!(matches!(source.list().await, Err(RuntimeError::Connect { .. })));
    containerd.resume().unwrap();
    let all = watch.resync().await;
    assert_eq!(all.iter().map(|container| container.init_pid).collect::<Vec<_>>(), [stays.pid]);

    containerd.container(&image, "later").start().unwrap();
    watch.created("later").await;
    watch.end().await;
}

#[tokio::test]
async fn no_container_is_missed_between_subscription_and_list() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    for round in 0..5 {
        let mut watch = Watch::of(&source);
        let id = format!("race-{round}");
        let running = containerd.container(&image, &id).start().unwrap();
        let seen = watch
            .next(|change| match change {
                Change::Resync(all) => all.into_iter().find(|container| container.runtime_id.id == id),
                Change::Created(container) => {
                    Some(container).filter(|container| container.runtime_id.id == id)
                }
                _ => None,
            })
            .await;
        assert_eq!(seen.init_pid, running.pid);
        watch.end().await;
    }
}

#[tokio::test]
async fn a_list_larger_than_a_grpc_message_is_read_whole() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Containerd, &containerd.socket());
    // 40 times 120 KiB are more than the 4 MiB that a gRPC client takes at once.
    let ballast = format!("--annotation=ballast={}", "x".repeat(120 << 10));
    for number in 0..40 {
        let id = format!("created-{number}");
        containerd.ctr("default", ["containers", "create", &ballast, image.name(), &id]).unwrap();
    }
    let running = containerd.container(&image, "running").flag(&ballast).start().unwrap();
    let listed = source.list().await.unwrap();
    assert_eq!(listed.iter().map(|container| container.init_pid).collect::<Vec<_>>(), [running.pid]);
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}
