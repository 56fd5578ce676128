fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "containerd/containers.proto",
        "containerd/events.proto",
        "containerd/images.proto",
        "containerd/namespaces.proto",
        "containerd/task_events.proto",
        "containerd/tasks.proto",
        "containerd/version.proto",
        "cri.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
