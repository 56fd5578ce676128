//! A private Docker daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::Image;
use crate::daemon::{Daemon, end_shims, remove_cgroup, report, unmount_all};

/// A Docker daemon of one's own, with a containerd of its own under it. It makes no bridge and no firewall rule;
/// containers get no network. Dropping it removes everything again.
#[derive(Debug)]
pub struct Docker {
    directory: TempDir,
    daemon: Option<Daemon>,
    cgroup: String,
}

impl Docker {
    /// Starts it and waits until it serves. Needs root and the Debian package docker.io.
    pub fn start() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "containers need root");
        let directory = tempfile::Builder::new().prefix("moat-docker-").tempdir()?;
        let name = directory.path().file_name().and_then(|name| name.to_str()).context("no name")?;
        let cgroup = name.to_owned();
        let mut docker = Self { directory, daemon: None, cgroup };
        fs::write(docker.path().join("daemon.json"), "{}")?;
        docker.resume()?;
        Ok(docker)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The socket of the Engine API.
    pub fn socket(&self) -> PathBuf {
        self.path().join("docker.sock")
    }

    /// Ends the daemon; the containers keep running.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    /// Starts the daemon again after [`Docker::stop`] and waits until it serves.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let at = |name: &str| self.path().join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--live-restore"]).args([
            format!("--config-file={}", at("daemon.json")),
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--cgroup-parent=/{}", self.cgroup),
            format!("--host=unix://{}", self.socket().display()),
        ]);
        self.daemon = Some(Daemon::start(&command, &self.path().join("log"), "API listen on")?);
        Ok(())
    }

    /// Makes an image known.
    pub fn load(&self, image: &Image) -> anyhow::Result<()> {
        let archive = self.path().join("image.tar");
        fs::write(&archive, image.archive()?)?;
        self.command(&["load", "--input", &archive.to_string_lossy()])?;
        Ok(fs::remove_file(archive)?)
    }

    /// Runs the `docker` command and returns what it printed, trimmed; an error if it failed.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(arguments);
        let output = command.output().context("cannot run docker")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?} failed: {}", error.trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn remove_containers(&self) -> anyhow::Result<()> {
        for id in self.command(&["ps", "--all", "--quiet"])?.lines() {
            self.command(&["rm", "--force", id])?;
        }
        Ok(())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            report("remove containers", self.remove_containers());
        }
        report("stop Docker", self.stop());
        report("end shims", end_shims(&self.path().join("exec/containerd/containerd.sock")));
        report("unmount", unmount_all(self.path()));
        remove_cgroup(&self.cgroup);
    }
}
