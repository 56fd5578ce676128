//! `moat up`: the agent as a supervised child.
//!
//! The kernel ends the agent if this process dies without having ended it (`--supervised`: the agent asks for
//! that itself, prctl(2), `PR_SET_PDEATHSIG`). The agent ends with status 0 when it was asked to; with status 2
//! when it cannot start as asked; anything else is a death, and it is started again.

mod back_off;

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::arguments::ConsoleChoice;
use crate::config::Config;
use crate::console::hosted::Hosted;
use crate::{Outcome, enforcer, output};
use back_off::BackOff;

/// How long the agent has to end when it is asked to.
const END: Duration = Duration::from_secs(10);
/// How long an agent needs until it enforces, at most.
const BIRTH: Duration = Duration::from_secs(1);
/// `moat-enforcer`'s exit status for "not with these arguments, not on this node".
const CANNOT_START: i32 = 2;

pub async fn run(config: &Config, console: &ConsoleChoice) -> anyhow::Result<Outcome> {
    if config.socket.is_some() && config.runtime.is_none() {
        anyhow::bail!("--socket needs --runtime: say whether containerd, docker or crio answers there");
    }
    let program = enforcer::locate()?;
    // Until the agent has ended: its last events are for the console.
    let hosted = host(config, console).await;
    let mut arguments = arguments(config);
    if let Some(url) = &console.console {
        arguments.extend(uplink(url, console.enrolment_token_file.as_deref()));
    } else if let Some(hosted) = &hosted {
        arguments.extend(uplink(&hosted.uplink.console, Some(&hosted.uplink.token_file)));
    }
    if console.no_observe {
        arguments.push("--no-observe".into());
    }
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut back_off = BackOff::default();
    let mut died: Option<Instant> = None;
    let mut first = true;
    loop {
        let gap = died.map(|died| died.elapsed());
        let started = Instant::now();
        let status = match start(&program, &arguments, gap) {
            Ok(mut child) => {
                if first {
                    output::note(&format!(
                        "the agent runs as process {}; Ctrl-C ends it",
                        child.id().unwrap_or(0)
                    ));
                }
                tokio::select! {
                    status = child.wait() => Some(status.context("the agent's end cannot be awaited")?),
                    _ = terminate.recv() => return stop(child, Signal::TERM, &mut terminate, &mut interrupt).await,
                    _ = interrupt.recv() => return stop(child, Signal::INT, &mut terminate, &mut interrupt).await,
                }
            }
            Err(error) if first => return Err(error),
            Err(error) => {
                output::note(&format!("{error:#}"));
                None
            }
        };
        match status.and_then(|status| status.code()) {
            Some(0) => {
                output::note("the agent was asked to end, and has");
                return Ok(Outcome::Ok);
            }
            Some(CANNOT_START) if first => {
                anyhow::bail!("the agent cannot start: it has said why above");
            }
            _ => {}
        }
        first = false;
        // The gap lasts from the first death until an agent lives; one that dies at birth has not.
        if status.is_some() && started.elapsed() >= BIRTH {
            died = None;
        }
        died.get_or_insert_with(Instant::now);
        let delay = back_off.next(started.elapsed());
        let how = status.map_or_else(|| String::from("could not be started"), describe);
        output::note(&if delay.is_zero() {
            format!("the agent {how}; it is started again")
        } else {
            format!("the agent {how}, again; the next try comes in {} ms", delay.as_millis())
        });
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = terminate.recv() => return Ok(Outcome::Ok),
            _ = interrupt.recv() => return Ok(Outcome::Ok),
        }
    }
}

/// The console on this machine. Without one the agent enforces all the same.
async fn host(config: &Config, console: &ConsoleChoice) -> Option<Hosted> {
    if console.no_console || console.console.is_some() {
        return None;
    }
    match Hosted::start(&config.state).await {
        Ok(hosted) => Some(hosted),
        Err(error) => {
            output::note(&format!(
                "{error:#}; the agent runs without a console (`--no-console` leaves it out, `--console` names another)"
            ));
            None
        }
    }
}

fn uplink(url: &str, token_file: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--console".into(), url.into()];
    if let Some(file) = token_file {
        arguments.extend(["--enrolment-token-file".into(), file.into()]);
    }
    arguments
}

/// The agent's flags, the same names as ours.
fn arguments(config: &Config) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), "--supervised".into()];
    let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    flag("--policies", config.policies.clone().into());
    flag("--state", config.state.clone().into());
    flag("--events", config.events.clone().into());
    flag("--control", config.control.clone().into());
    if let Some(runtime) = config.runtime.and_then(|runtime| runtime.to_possible_value()) {
        flag("--runtime", runtime.get_name().into());
    }
    if let Some(socket) = &config.socket {
        flag("--socket", socket.clone().into());
    }
    if let Some(driver) = config.driver.to_possible_value() {
        flag("--driver", driver.get_name().into());
    }
    if let Some(name) = &config.oci_runtime {
        flag("--oci-runtime", name.clone().into());
    }
    arguments
}

fn start(program: &Path, arguments: &[OsString], gap: Option<Duration>) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(gap) = gap {
        command.arg("--restarted-after-millis").arg(gap.as_millis().to_string());
    }
    // A group of its own: Ctrl-C is for the supervisor, which ends the agent in order.
    command.process_group(0).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("{} cannot be started", program.display()))
}

/// Ends the agent: passes the signal on, waits, and kills it if it does not listen or the user is impatient.
async fn stop(
    mut child: Child,
    signal: Signal,
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
) -> anyhow::Result<Outcome> {
    // The id is there until the child is waited for, so it is nobody else's.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        kill_process(pid, signal).context("the agent cannot be asked to end")?;
    }
    let ended = tokio::select! {
        ended = timeout(END, child.wait()) => ended.ok(),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(status) = ended {
        let status = status.context("the agent's end cannot be awaited")?;
        if status.success() {
            return Ok(Outcome::Ok);
        }
        output::note(&format!("the agent {} when it was asked to end", describe(status)));
    } else {
        output::note(
            "the agent did not end when it was asked to, and is killed; `sudo moat uninstall` removes what it may have left",
        );
        child.kill().await.context("the agent cannot be killed")?;
    }
    Ok(Outcome::Finding)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => String::from("ended"),
    }
}
