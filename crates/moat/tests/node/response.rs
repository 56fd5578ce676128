//! Rules that ask for more than the kernel's verdict.

use moat_event::{EventAction, EventType};

use crate::Node;
use crate::life_cycle::busybox;
use crate::node::policy;

#[tokio::test(flavor = "multi_thread")]
async fn kill_pod_stops_the_pod_and_says_so() {
    let Some(mut node) = Node::start(busybox()).await else { return };
    let rule =
        "  - { name: no-wget, severity: Critical, action: KillPod, process: { argsRegex: \"^/bin/wget \" } }";
    node.write("shop.yaml", &policy("shop", "shop", rule));
    let pods = node.pods().await;
    let pod = pods.pod("default", "shop-0", &[("app", "shop")]).await.unwrap();
    let main = pods.container(&pod, "main", &node.image, &[]).await.unwrap();
    pods.container(&pod, "beside", &node.image, &[]).await.unwrap();
    let bystander = pods.pod("default", "bystander", &[("app", "other")]).await.unwrap();
    pods.container(&bystander, "other", &node.image, &[]).await.unwrap();
    let all = node.containers("all have their rules", |all| {
        let ruled = |name| all.iter().any(|one| one.workload.container == name && one.rules == 1);
        ruled("main") && ruled("beside") && all.iter().any(|one| one.workload.container == "other")
    });
    let processes: Vec<u32> =
        all.await.iter().filter(|one| one.workload.pod == "shop-0").map(|one| one.pid).collect();

    // The exec session ends with its pod, whatever the runtime calls that.
    let _ = pods.exec(&main, &["/bin/wget", "http://127.0.0.1/"]).await;
    let killed = node.event("the pod is killed", |event| event.action == EventAction::PodKilled).await;
    assert_eq!(killed.event_type, EventType::ProcessExec);
    assert_eq!(
        (killed.pod_name.as_deref(), killed.container_name.as_deref(), killed.rule.as_deref()),
        (Some("shop-0"), Some("main"), Some("no-wget"))
    );
    let left =
        node.containers("the pod is gone", |all| all.iter().all(|one| one.workload.pod != "shop-0")).await;
    assert!(left.iter().any(|one| one.workload.container == "other"), "{left:#?}");
    for pid in processes {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} of the pod runs");
    }
    node.end().await;
    let count = node.seen.iter().filter(|event| event.action == EventAction::PodKilled).count();
    assert_eq!(count, 1, "{:#?}", node.seen);
}
