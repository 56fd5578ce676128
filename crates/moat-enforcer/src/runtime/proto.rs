//! Generated from the files in `proto/`.
#![allow(clippy::all, clippy::pedantic, missing_debug_implementations, reason = "generated code")]

pub mod containers {
    tonic::include_proto!("containerd.services.containers.v1");
}
pub mod events {
    tonic::include_proto!("containerd.services.events.v1");
}
pub mod images {
    tonic::include_proto!("containerd.services.images.v1");
}
pub mod namespaces {
    tonic::include_proto!("containerd.services.namespaces.v1");
}
pub mod task_events {
    tonic::include_proto!("containerd.events");
}
pub mod tasks {
    tonic::include_proto!("containerd.services.tasks.v1");
}
pub mod version {
    tonic::include_proto!("containerd.services.version.v1");
}
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
