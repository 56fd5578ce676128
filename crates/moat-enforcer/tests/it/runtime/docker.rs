use moat_enforcer::runtime::{Change, Hint, Kind};
use moat_testkit::{Docker, Image, skip};

use super::{Watch, source};

#[tokio::test]
async fn docker_s_containers_are_found_followed_and_stopped() {
    let mut docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return skip("docker", format!("{why:#}")),
    };
    let image = Image::busybox("moat-test/busybox:1").unwrap();
    docker.load(&image).unwrap();
    let source = source(Kind::Docker, &docker.socket());
    assert!(source.version().await.unwrap().starts_with("docker "));
    let mut watch = Watch::of(&source);
    assert_eq!(watch.resync().await, []);

    let flags = ["run", "--detach", "--network=none", "--restart=always", "--label=app=web", "--name=web"];
    let id = docker.command(&[&flags[..], &[image.name()]].concat()).unwrap();
    let container = watch.created(&id).await;
    let pid = docker.command(&["inspect", "--format={{.State.Pid}}", &id]).unwrap();
    assert_eq!(container.init_pid.to_string(), pid);
    let workload = &container.workload;
    assert_eq!((workload.namespace.as_str(), workload.pod.as_str()), ("default", "web"));
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Container", "web"));
    assert_eq!((workload.container.as_str(), workload.container_id.as_str()), ("web", id.as_str()));
    assert_eq!(workload.labels.get("app").map(String::as_str), Some("web"));
    assert_eq!(workload.image, image.name());
    // Loaded from a file: no registry ever gave it a digest.
    assert_eq!(workload.image_digest, "");

    assert_eq!(source.list().await.unwrap(), std::slice::from_ref(&container));
    let hint = Hint { pid: container.init_pid, cgroup_path: None };
    assert_eq!(source.resolve(&hint).await.unwrap(), Some(container.clone()));
    let stranger = Hint { pid: std::process::id(), cgroup_path: Some(format!("/docker/{id}")) };
    assert_eq!(source.resolve(&stranger).await.unwrap(), None);

    docker.stop().unwrap();
    watch.next(|change| matches!(change, Change::Unreachable { .. }).then_some(())).await;
    docker.resume().unwrap();
    assert_eq!(watch.resync().await, std::slice::from_ref(&container));

    source.stop_pod(&container).await.unwrap();
    watch.died(&id).await;
    // Stays down, though its restart policy says `always`.
    assert_eq!(docker.command(&["wait", &id]).unwrap(), "137");
    assert_eq!(docker.command(&["inspect", "--format={{.State.Status}}", &id]).unwrap(), "exited");
    assert_eq!(source.list().await.unwrap(), []);
    source.stop_pod(&container).await.unwrap();
    watch.end().await;
}
