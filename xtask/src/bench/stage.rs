//! The benchmark's containers: one that `examples/` select, its neighbour that no policy selects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use moat_testkit::{Containerd, Image, PodContainer, Pods};
use tokio::process::Command;

use super::PROFILE;
use crate::demo::agent::Agent;
use crate::demo::terminal;
use crate::workspace;

pub const IMAGE: &str = "docker.io/moat/bench:1";
/// The pod that the policies select, and its container.
pub const SELECTED: &str = "selected";
pub const CONTAINER: &str = "nginx";

/// Files of the image that are opened for the first time, one after the other.
pub const FILES: usize = 5_000;
/// Programs of the image that may not run.
pub const DENIED: usize = 600;

#[derive(Debug)]
pub struct Stage {
    pub containerd: Arc<Containerd>,
    pub folder: PathBuf,
    pods: Pods,
    selected: PodContainer,
    neighbour: PodContainer,
}

/// Where the measured calls are made.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Host,
    /// A container that no policy selects.
    Neighbour,
    Selected,
}

impl Stage {
    pub async fn set(folder: PathBuf) -> Result<Stage> {
        let image = image(&folder).await?;
        let containerd = terminal::progress("starting a private containerd", async {
            // Off the runtime's thread, for it blocks.
            tokio::task::spawn_blocking(Containerd::start).await.context("starting containerd failed")?
        })
        .await?;
        let start = async {
            containerd.import(&image)?;
            let pods = Pods::connect(&containerd).await?;
            let mut containers = Vec::new();
            for (name, app) in [(SELECTED, "nginx"), ("neighbour", "other")] {
                let pod = pods.pod("default", name, &[("app", app)]).await?;
                containers.push(pods.container(&pod, CONTAINER, &image, &[]).await?);
            }
            let neighbour = containers.pop().context("no container")?;
            let selected = containers.pop().context("no container")?;
            anyhow::Ok((pods, selected, neighbour))
        };
        let (pods, selected, neighbour) = terminal::progress("starting two containers", start).await?;
        Ok(Stage { containerd: Arc::new(containerd), folder, pods, selected, neighbour })
    }

    /// An agent with these policies.
    pub async fn agent(&self, policies: &[PathBuf]) -> Result<Agent> {
        let programs = workspace::programs()?.with_file_name(PROFILE);
        Agent::start(&self.folder, &self.containerd, &programs, policies).await
    }

    /// What the probe printed, one number a line.
    pub async fn probe(&self, place: Place, arguments: &[&str]) -> Result<Vec<u64>> {
        let container = match place {
            Place::Host => {
                let mut command = Command::new(self.folder.join("probe"));
                let output = command.args(arguments).stdin(Stdio::null()).output().await?;
                return numbers(arguments, output.status.success(), &output.stdout, &output.stderr);
            }
            Place::Neighbour => &self.neighbour,
            Place::Selected => &self.selected,
        };
        let command: Vec<&str> = ["/bench/probe"].iter().chain(arguments).copied().collect();
        let output = self.pods.exec(container, &command).await?;
        numbers(arguments, output.exit_code == 0, &output.stdout, &output.stderr)
    }

    /// A path of the image, as the host has it.
    pub fn on_host(&self, path: &str) -> String {
        let name = path.trim_start_matches("/bench/");
        self.folder.join(name).display().to_string()
    }
}

fn numbers(arguments: &[&str], success: bool, output: &[u8], error: &[u8]) -> Result<Vec<u64>> {
    ensure!(success, "probe {} failed: {}", arguments.join(" "), String::from_utf8_lossy(error).trim());
    let lines = std::str::from_utf8(output)?.lines();
    lines.map(|line| line.parse().with_context(|| format!("the probe printed {line}"))).collect()
}

/// The image with the probe and what it works on; the same files lie in `folder`.
async fn image(folder: &Path) -> Result<Image> {
    let source = workspace::root()?.join("xtask/src/bench/probe.c");
    compile(&source, &folder.join("probe")).await?;
    let nothing = folder.join("true.c");
    fs::write(&nothing, "int main(void) { return 0; }\n")?;
    compile(&nothing, &folder.join("true")).await?;
    fs::write(folder.join("plain"), "plain\n")?;

    let mut image =
        Image::busybox(IMAGE)?.file("/bench/plain", 0o644, "plain\n").file("/bench/ruled", 0o644, "ruled\n");
    for (name, program) in [("probe", "probe"), ("true", "true"), ("late", "true")] {
        image = image.file(&format!("/bench/{name}"), 0o755, fs::read(folder.join(program))?);
    }
    for number in 0..FILES {
        image = image.file(&format!("/bench/files/{number}"), 0o644, "");
    }
    for number in 0..DENIED {
        image = image.file(&format!("/bench/denied/{number}"), 0o755, "");
    }
    Ok(image)
}

async fn compile(source: &Path, program: &Path) -> Result<()> {
    let mut command = Command::new("gcc");
    command.args(["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(program).arg(source);
    let output = command.stdin(Stdio::null()).output().await.context("cannot run gcc; run: make setup")?;
    ensure!(
        output.status.success(),
        "cannot compile {}: {}",
        source.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
