//! Real containers, and a real PostgreSQL, for Moat's tests.
//!
//! [`Containerd::start`] runs a private containerd with its own folders, socket and network namespace, so
//! that nothing of the host's is touched; [`Image`] makes an image out of the host's own programs, so that
//! no registry is needed; [`Containerd::container`] runs containers the way `ctr` does and [`Pods`] runs
//! pods the way kubelet does. [`Docker::start`] does the same for Docker, [`Postgres::start`] for PostgreSQL.
//! Everything is stopped and removed on drop.
//!
//! Needs root, and the Debian packages containerd, runc, containernetworking-plugins, iproute2,
//! busybox-static, docker.io for [`Docker`] and postgresql for [`Postgres`]. A development dependency only.
#![forbid(unsafe_code)]

mod archive;
mod containerd;
mod daemon;
mod docker;
mod image;
mod pod;
mod postgres;
mod skip;

pub use containerd::{Containerd, NewContainer, Running};
pub use docker::Docker;
pub use image::Image;
pub use pod::{ExecOutput, Pod, PodContainer, Pods};
pub use postgres::Postgres;
pub use skip::skip;
