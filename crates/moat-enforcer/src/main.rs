//! The privileged agent's program: flags, log, signals. `moat up` starts it as its child.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use moat_enforcer::runtime::cgroup;
use moat_enforcer::{Config, State, oci_runtime};
use moat_kernel::Instance;
use moat_wire::cleanup::Report;
use rustix::process::{Signal, getppid, set_parent_process_death_signal, setpriority_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Moat's node agent: enforces runtime policies on the containers of this node.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    /// What to log on standard error: error, warn, info, debug, trace, or directives as `RUST_LOG` has them.
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enforces until it is told to end. On SIGTERM, what the LSM driver holds stays in force until the next agent
    /// takes over; on SIGINT, nothing stays.
    Run(Config),
    /// Prints what this kernel can hold, as JSON.
    Probe(Format),
    /// Removes what an agent left behind and says what of it is still in the kernel, as JSON; no agent may be
    /// running.
    Cleanup {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        _format: Format,
    },
    /// Makes containers by the real OCI runtime, with the seccomp filters that policies ask for.
    OciRuntime(oci_runtime::Settings),
}

/// These commands answer programs.
#[derive(Debug, Args)]
struct Format {
    /// As JSON, the only format there is.
    #[arg(long = "json")]
    _json: bool,
}

/// Our nice value: about nine times the share of those who have not asked for one (sched(7)).
const PRIORITY: i32 = -10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&arguments.log_level))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let done = match arguments.command {
        Command::Run(config) => run(config),
        Command::Probe(_) => probe(),
        Command::Cleanup { config, .. } => cleanup(&config),
        Command::OciRuntime(settings) => oci_runtime::run(&settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    if config.supervised {
        let parent = getppid();
        set_parent_process_death_signal(Some(Signal::TERM)).context("cannot ask for the parent's end")?;
        // The parent may have ended before it was asked for.
        anyhow::ensure!(getppid() == parent, "the supervisor has ended already");
    }
    // Containers wait for our answers: on a busy node we come before them. All threads take this over.
    if let Err(error) = setpriority_process(None, PRIORITY) {
        tracing::warn!(%error, "cannot come before others; on a busy node containers will wait for us");
    }
    cgroup::join_host_namespace().context("cannot see the node's cgroups")?;
    // One thread for all tasks: they are light, and whatever blocks has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the agent's tasks")?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let release = CancellationToken::new();
        let (signals, interrupted) = (cancel.clone(), release.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => interrupted.cancel(),
            }
            tracing::info!("ending");
            signals.cancel();
        });
        let (choice, runtimes) = (config.driver, config.oci_runtime.clone());
        let instance = Instance::of(&config.state);
        let load = move |hierarchy: &_, sink, observations, held| {
            moat_enforcer::load_driver(choice, hierarchy, &runtimes, instance, sink, observations, held)
        };
        moat_enforcer::run(config, load, cancel, release).await?;
        anyhow::Ok(())
    });
    // An output that blocks for ever must not keep the process.
    runtime.shutdown_background();
    done
}

fn probe() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&moat_kernel::probe())?);
    Ok(())
}

fn cleanup(config: &Config) -> anyhow::Result<()> {
    // But for pins, all that drivers place in the kernel ends with their process; what would still be there is
    // somebody else's to look at.
    let state = State::lock(&config.state)?;
    let removed = moat_kernel::unpin(&Instance::of(&config.state)).context("cannot remove what is pinned")?;
    let left = moat_kernel::leftovers();
    if left.is_empty() {
        state.remove(&config.control())?;
    }
    println!("{}", serde_json::to_string(&Report { removed, left })?);
    Ok(())
}
