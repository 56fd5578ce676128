//! The test kit against the real containerd.

use moat_testkit::{Containerd, Image, Pods, skip};

#[tokio::test]
async fn containers_and_pods_run_and_leave_nothing() {
    let containerd = match Containerd::start() {
        Ok(containerd) => containerd,
        Err(why) => return skip("guard", format!("{why:#}")),
    };
    let path = containerd.path().to_owned();
    let image = Image::busybox("docker.io/moat-test/busybox:1").unwrap();
    containerd.import(&image).unwrap();

    let once =
        containerd.container(&image, "once").command(["/bin/sh", "-c", "id -u; exit 3"]).run().unwrap();
    assert_eq!(String::from_utf8_lossy(&once.stdout), "0\n");
    assert_eq!(once.status.code(), Some(3));

    let running = containerd.container(&image, "web").label("app", "web").start().unwrap();
    let listing = running.exec(&["/bin/cat", "/proc/1/cmdline"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&listing.stdout), "/bin/sleep\x0086400\0", "{listing:?}");

    // More than a pipe holds, and all of it is there although the program ends with its last line.
    let numbers = (1..=50_000).fold(String::new(), |numbers, number| numbers + &number.to_string() + "\n");
    let script = ["/bin/sh", "-c", "seq 50000; echo last >&2; exit 3"];
    for output in [running.exec(&script), containerd.container(&image, "long").command(script).run()] {
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == numbers.as_bytes(), "{} bytes", output.stdout.len());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "last\n");
    }

    let pods = Pods::connect(&containerd).await.unwrap();
    let pod = pods.pod("shop", "cart", &[("app", "cart")]).await.unwrap();
    let container = pods.container(&pod, "main", &image, &[]).await.unwrap();
    let address = pods.exec(&container, &["/bin/ip", "-4", "-o", "addr", "show", "eth0"]).await.unwrap();
    assert!(String::from_utf8_lossy(&address.stdout).contains("10.77.0."), "{address:?}");
    pods.remove(&pod).await.unwrap();

    let first_process = running.pid;
    drop(containerd);
    assert!(!std::path::Path::new(&format!("/proc/{first_process}")).exists());
    assert!(!path.exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(path.to_str().unwrap()));
}
