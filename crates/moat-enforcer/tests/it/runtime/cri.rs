//! The source for CRI-O, against another runtime that speaks the same interface.

use moat_enforcer::runtime::{Hint, Kind};
use moat_testkit::Pods;

use super::{Watch, containerd, source};

#[tokio::test]
async fn pods_are_found_through_the_container_runtime_interface_alone() {
    let Some((containerd, image)) = containerd() else { return };
    let source = source(Kind::Crio, &containerd.socket());
    assert!(source.version().await.unwrap().starts_with("containerd "));
    let mut watch = Watch::of(&source);
    assert_eq!(watch.resync().await, []);

    let pods = Pods::connect(&containerd).await.unwrap();
    let pod = pods.pod("shop", "cart-0", &[("app", "cart")]).await.unwrap();
    let main = pods.container(&pod, "main", &image, &[]).await.unwrap();
    let container = watch.created(&main.id).await;
    assert_eq!(container.workload.namespace, "shop");
    assert_eq!(container.workload.pod, "cart-0");
    assert_eq!(container.workload.container, "main");
    assert_eq!(container.workload.image, image.name());
    assert_eq!(container.workload.labels.get("app").map(String::as_str), Some("cart"));
    let listed = source.list().await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.contains(&container));

    let hint = Hint { pid: container.init_pid, cgroup_path: None };
    assert_eq!(source.resolve(&hint).await.unwrap(), Some(container.clone()));

    source.stop_pod(&container).await.unwrap();
    watch.died(&main.id).await;
    assert_eq!(source.list().await.unwrap(), []);
    watch.end().await;
}
