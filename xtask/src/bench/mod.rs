//! `cargo xtask bench`: what Moat costs, measured on this machine and written to `docs/performance.md`.
//!
//! Everything is the real thing: the agent as a user starts it, real containers, and a small static program
//! ([`probe.c`](https://github.com/moat-security/moat/blob/main/xtask/src/bench/probe.c)) that makes the system calls.

mod idle;
mod latency;
mod overhead;
pub mod report;
mod scale;
mod stage;
mod statistics;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use self::report::Figure;
use self::stage::Stage;
use crate::demo::terminal;
use crate::workspace;

#[derive(Debug, Args)]
pub struct Options {
    /// How often the costs with and without Moat are measured in turn.
    #[arg(long, default_value_t = 15)]
    cycles: usize,
    /// How many containers share the 10,000 rules.
    #[arg(long, default_value_t = 100)]
    containers: usize,
    /// How many seconds the agent is left alone.
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// Measure only these, and leave docs/performance.md alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What system calls cost with and without Moat, and how long the agent takes to start.
    Overhead,
    /// From a denial to its event, and from a policy's file to its effect.
    Latency,
    /// What the agent costs while nothing happens.
    Idle,
    /// Many rules over many containers.
    Scale,
}

/// Measures, prints and records.
pub fn run(options: &Options) -> Result<Vec<String>> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the benchmark runs containers and loads kernel programs: run it as root, with Cargo in the path:\n  \
         sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask bench"
    );
    terminal::heading("Building");
    // By the same Cargo as this program, so into the same target folder.
    workspace::output(
        "cargo",
        &["build", "--quiet", "--profile", PROFILE, "-p", "moat", "-p", "moat-enforcer"],
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(measure(options))?;
    terminal::heading("Figures");
    for figure in &figures {
        terminal::outcome(figure.is_met(), &figure.what);
        terminal::aspect("measured", &figure.measured);
        terminal::aspect("goal", figure.goal.map_or("none", |(goal, _)| goal));
    }
    if options.only.is_empty() {
        report::write(&figures)?;
    }
    Ok(Vec::new())
}

/// The profile of what is measured.
const PROFILE: &str = "quick-release";

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let folder = workspace::root()?.join(".demo/bench");
    fs::create_dir_all(&folder)?;
    terminal::heading("Setting the stage");
    let stage = Stage::set(folder).await?;
    terminal::heading("Measuring");
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let rest = Duration::from_secs(options.rest);
    let mut figures = Vec::new();
    if wanted(Part::Overhead) {
        figures.extend(overhead::measure(&stage, options.cycles).await?);
    }
    if wanted(Part::Latency) {
        figures.extend(latency::measure(&stage).await?);
    }
    if wanted(Part::Idle) {
        figures.extend(idle::measure(&stage, "2 containers", rest).await?);
    }
    if wanted(Part::Scale) {
        figures.extend(scale::measure(&stage, options.containers, rest).await?);
    }
    // Off the runtime's thread, for it blocks.
    tokio::task::spawn_blocking(move || drop(stage)).await?;
    Ok(figures)
}

/// A policy of the benchmark's own.
fn own_policy(name: &str) -> Result<PathBuf> {
    Ok(workspace::root()?.join("xtask/src/bench/policies").join(format!("{name}.yaml")))
}
