//! The demo's containers: a private containerd, the nginx image, and the pods that are attacked.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use moat_testkit::{Containerd, Image, Pod, PodContainer, Pods};
use tokio::process::Command;

use super::{attacks, terminal};
use crate::workspace;

const IMAGE: &str = "docker.io/moat/demo-nginx:1";
const NAMESPACE: &str = "default";
const BUILD: &str = "scripts/demo-image/build.sh";

/// How long nginx may take to serve.
const DEADLINE: Duration = Duration::from_secs(30);

/// A containerd with the image of the demo. Dropping it ends all that runs in it.
#[derive(Debug)]
pub struct Stage {
    containerd: Containerd,
    pods: Pods,
}

/// A pod of one container.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    pod: Pod,
    container: PodContainer,
}

/// What the one who tried something saw.
#[derive(Debug)]
pub struct Seen {
    pub output: String,
    pub error: String,
    /// `None` if the program was not even started.
    pub exit: Option<i32>,
}

impl Seen {
    /// The most telling line, with how it ended.
    pub fn gist(&self) -> String {
        let text =
            if self.exit == Some(0) || self.error.trim().is_empty() { &self.output } else { &self.error };
        let gist = terminal::gist(text);
        match self.exit {
            Some(0) | None => gist,
            // A shell's convention for "killed by signal 9".
            Some(137) => format!("{gist} killed").trim_start().to_owned(),
            Some(code) => format!("{gist} (exit status {code})").trim_start().to_owned(),
        }
    }
}

impl Stage {
    /// Builds the image if its recipe changed since the last time, starts containerd, imports the image.
    pub async fn set(folder: &Path) -> Result<Stage> {
        let archive = folder.join("nginx-image.tar");
        if !is_current(&archive)? {
            terminal::progress("building the nginx image from Debian packages", build(&archive)).await?;
        }
        let containerd = terminal::progress("starting a private containerd", async {
            // Off the runtime's thread, for it blocks.
            tokio::task::spawn_blocking(Containerd::start).await.context("starting containerd failed")?
        })
        .await?;
        let pods = terminal::progress("importing the image", async {
            containerd.import_archive("k8s.io", &archive)?;
            Pods::connect(&containerd).await
        })
        .await?;
        Ok(Stage { containerd, pods })
    }

    pub fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Starts a pod with the container `container` in it, of the demo's image.
    pub async fn pod(
        &self,
        name: &'static str,
        app: &str,
        container: &str,
        command: &[&str],
    ) -> Result<Target> {
        let pod = self.pods.pod(NAMESPACE, name, &[("app", app)]).await?;
        let container = self.pods.container(&pod, container, &Image::new(IMAGE), command).await?;
        Ok(Target { name, pod, container })
    }

    /// Runs a command in the container from outside, as `kubectl exec` does.
    pub async fn exec(&self, target: &Target, command: &[&str]) -> Seen {
        match self.pods.exec(&target.container, command).await {
            Ok(seen) => Seen {
                output: String::from_utf8_lossy(&seen.stdout).into_owned(),
                error: String::from_utf8_lossy(&seen.stderr).into_owned(),
                exit: Some(seen.exit_code),
            },
            // The runtime could not start the program; the kernel's word is in the cause.
            Err(error) => Seen { output: String::new(), error: cause(&format!("{error:#}")), exit: None },
        }
    }

    /// Prepares a pod for the attacks: a program that is not of the image, and the addresses that they connect to.
    pub async fn equip(&self, target: &Target) -> Result<()> {
        let dropped = self.exec(target, &["cp", "/usr/bin/id", attacks::DROPPED]).await;
        ensure!(dropped.exit == Some(0), "cannot drop a program into {}: {}", target.name, dropped.gist());
        let pid = self.pid(target)?.to_string();
        for address in [attacks::FORBIDDEN_V4, attacks::FORBIDDEN_V6, attacks::EXCEPTED_V4] {
            let output = Command::new("nsenter")
                .args(["--target", &pid, "--net", "ip", "address", "add", address, "dev", "lo"])
                .stdin(Stdio::null())
                .output()
                .await
                .context("cannot run nsenter")?;
            ensure!(
                output.status.success(),
                "cannot add {address} to {}: {}",
                target.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// The first process of a container, in the node's pid namespace.
    pub fn pid(&self, target: &Target) -> Result<u32> {
        let list = self.containerd.ctr("k8s.io", ["tasks", "list"])?;
        // Lines of "TASK PID STATUS".
        let line = list.lines().find(|line| line.starts_with(&target.container.id));
        let pid = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        pid.with_context(|| format!("the container of {} does not run", target.name))
    }

    /// The page that nginx serves at the pod's own address, fetched from another pod.
    pub async fn page(&self, from: &Target, of: &Target) -> Seen {
        let url = format!("http://{}/", of.pod.address);
        self.exec(from, &["wget", "-q", "-O", "-", &url]).await
    }

    /// Waits until nginx serves.
    pub async fn served(&self, from: &Target, of: &Target) -> Result<()> {
        let start = Instant::now();
        loop {
            let seen = self.page(from, of).await;
            if seen.exit == Some(0) {
                return Ok(());
            }
            ensure!(start.elapsed() < DEADLINE, "nginx in {} does not serve: {}", of.name, seen.gist());
        }
    }

    /// What a container printed.
    pub fn log(&self, container: &str) -> Result<String> {
        let path = self.containerd.path().join("logs").join(format!("{container}.log"));
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Whether the image is newer than everything that it is made of.
fn is_current(archive: &Path) -> Result<bool> {
    let Ok(made) = fs::metadata(archive).and_then(|archive| archive.modified()) else { return Ok(false) };
    let recipe = workspace::root()?.join(BUILD);
    let recipe = recipe.parent().context("the recipe has no folder")?;
    for source in fs::read_dir(recipe).context("cannot read the image's recipe")? {
        if source?.metadata()?.modified()? > made {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn build(archive: &Path) -> Result<()> {
    let output = Command::new(workspace::root()?.join(BUILD))
        .arg(archive)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run {BUILD}"))?;
    ensure!(
        output.status.success(),
        "{BUILD} {} failed: {}",
        archive.file_name().and_then(OsStr::to_str).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The runtime's report is a chain of causes; the last but one names the program and what the kernel said:
/// `… exec: "sh": operation not permitted: unknown`.
fn cause(report: &str) -> String {
    let chain: Vec<&str> = report.split(": ").filter(|part| *part != "unknown").collect();
    let start = chain.len().saturating_sub(2);
    chain.get(start..).unwrap_or_default().join(": ")
}

#[cfg(test)]
mod tests {
    use super::cause;

    #[test]
    fn the_kernels_word_is_found_in_the_runtimes_report() {
        let report = "exec failed: status: Unknown, message: \"failed to exec in container: OCI runtime exec failed: \
                      exec failed: unable to start container process: exec /usr/bin/sh: operation not permitted: unknown";
        assert_eq!(cause(report), "exec /usr/bin/sh: operation not permitted");
    }
}
