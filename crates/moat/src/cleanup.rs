//! `moat uninstall`: nothing that Moat made stays on the node.
//!
//! First the agent ends, then the kernel is looked over, then files go: an agent that still runs, or a program
//! that is still attached, must not lose the state that says what it is.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use moat_wire::cleanup::Report;
use moat_wire::control::{Client, ClientError};
use moat_wire::state;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};

use crate::config::Config;
use crate::output::{self, style};
use crate::{Outcome, enforcer};

/// How long the agent has to end.
const END: Duration = Duration::from_secs(30);
/// How long looking the kernel over may take.
const CLEANUP: Duration = Duration::from_mins(1);

pub async fn run(config: &Config, json: bool) -> anyhow::Result<Outcome> {
    // Found first: without it nothing can be verified, and nothing is begun.
    enforcer::locate()?;
    let mut report = Report::default();
    if let Some(pid) = stop_agent(&config.control).await? {
        report.removed.push(format!("the running agent (process {pid})"));
    }
    let arguments = ["cleanup".as_ref(), "--json".as_ref(), "--state".as_ref(), config.state.as_os_str()];
    let kernel: Report = enforcer::ask(&arguments, CLEANUP).await?;
    report.removed.extend(kernel.removed);
    report.left.extend(kernel.left);
    if report.left.is_empty() {
        remove_state(&config.state, &mut report);
        remove_socket(&config.control, &mut report);
    }
    if json {
        output::json(&report)?;
    } else {
        output::text(&render(&report))?;
    }
    Ok(if report.left.is_empty() { Outcome::Ok } else { Outcome::Finding })
}

/// Asks the agent to end and waits for it; its process id where one ran.
async fn stop_agent(control: &Path) -> anyhow::Result<Option<u32>> {
    let mut client = match Client::connect(control).await {
        Ok(client) => client,
        Err(ClientError::NoAgent(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let pid = client.status().await?.pid;
    let process = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
    client.shutdown().await?;
    if let Some(process) = process {
        let deadline = Timespec::try_from(END).context("the deadline is out of range")?;
        // Readable when the process has ended, at once if that is so already (pidfd_open(2)).
        let ended = tokio::task::spawn_blocking(move || {
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline))
        });
        if ended.await?.context("the agent's end cannot be awaited")? == 0 {
            bail!("the agent (process {pid}) does not end: stop it, then run `moat uninstall` again");
        }
    }
    Ok(Some(pid))
}

/// Removes what Moat made in its state folder, and the folder if nothing else is in it.
fn remove_state(folder: &Path, report: &mut Report) {
    for name in state::ENTRIES {
        let path = folder.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Err(error) => Err(error),
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
        };
        note(&path, removed, report);
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            output::note(&format!("{} stays, for it holds files that Moat did not make", folder.display()));
        }
        removed => note(folder, removed, report),
    }
}

/// Removes the socket that the agent left, and the folder that Moat makes for it.
fn remove_socket(control: &Path, report: &mut Report) {
    note(control, fs::remove_file(control), report);
    if let Some(folder) = control.parent().filter(|folder| folder.ends_with("moat")) {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => note(folder, removed, report),
        }
    }
}

fn note(path: &Path, removed: io::Result<()>, report: &mut Report) {
    match removed {
        Ok(()) => report.removed.push(path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => report.left.push(format!("{}: {error}", path.display())),
    }
}

fn render(report: &Report) -> String {
    let mut text = String::new();
    for removed in &report.removed {
        let _ =
            writeln!(text, "{} removed {}", style::paint(style::GOOD, "✓"), moat_event::printable(removed));
    }
    for left in &report.left {
        let _ = writeln!(text, "{} left {}", style::paint(style::BAD, "✗"), moat_event::printable(left));
    }
    text += match (report.left.is_empty(), report.removed.is_empty()) {
        (true, true) => "There was nothing of Moat on this node.\n",
        (true, false) => "Nothing of Moat is left on this node.\n",
        (false, _) => "Remove what is left by hand, or run `sudo moat uninstall` again.\n",
    };
    text
}
