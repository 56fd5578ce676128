//! Real containers, a real PostgreSQL, and an enforcer to talk to a console with, for Moat's tests.
//!
//! [`Containerd::start`] runs a private containerd with its own folders, socket and network namespace, so
//! that nothing of the host's is touched; [`Image`] makes an image out of the host's own programs, so that
//! no registry is needed; [`Containerd::container`] runs containers the way `ctr` does and [`Pods`] runs
//! pods the way kubelet does. [`Docker::start`] does the same for Docker, [`Postgres::start`] for PostgreSQL.
//! [`gateway::Enforcer`] speaks to a console's gateway as an agent does, [`Tmpfs`] is a disk that can be filled,
//! [`BreakingDisk`] one that breaks.
//! Everything is stopped and removed on drop.
//!
//! Needs root, and the Debian packages containerd, runc, containernetworking-plugins, iproute2,
//! busybox-static, docker.io for [`Docker`] and postgresql for [`Postgres`]. A development dependency only.
#![forbid(unsafe_code)]

mod archive;
mod breaking_disk;
mod containerd;
mod daemon;
mod docker;
pub mod gateway;
mod image;
mod pod;
mod postgres;
mod skip;
mod tmpfs;

pub use breaking_disk::BreakingDisk;
pub use containerd::{Containerd, NewContainer, Running};
pub use docker::Docker;
pub use image::Image;
pub use pod::{ExecOutput, Pod, PodContainer, Pods};
pub use postgres::Postgres;
pub use skip::skip;
pub use tmpfs::Tmpfs;
