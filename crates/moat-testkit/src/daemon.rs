//! A daemon of one's own in a network namespace of its own, and what is left to remove after its end.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long one may take to come up on a busy machine.
const BOOT_DEADLINE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Daemon {
    process: Child,
}

impl Daemon {
    /// Starts it and waits until it logs `ready`; its log is added to the file `log`.
    pub fn start(command: &Command, log: &Path, ready: &'static str) -> anyhow::Result<Self> {
        let mut process = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Of its own, so that Ctrl-C in a terminal leaves it to its owner to end it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let lines = process.stderr.take().context("no log of the daemon")?;
        let daemon = Self { process };
        let mut file = fs::File::options().create(true).append(true).open(log)?;
        let (booted, wait) = mpsc::channel();
        // Ends with the daemon, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let _ = writeln!(file, "{line}");
                if line.contains(ready) {
                    let _ = booted.send(());
                }
            }
        });
        if wait.recv_timeout(BOOT_DEADLINE).is_err() {
            let _ = daemon.stop();
            bail!("{command:?} does not come up:\n{}", fs::read_to_string(log)?);
        }
        Ok(daemon)
    }

    /// Asks it to end and waits for that.
    pub fn stop(mut self) -> anyhow::Result<()> {
        if self.process.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.process), Signal::TERM)?;
            self.process.wait()?;
        }
        Ok(())
    }
}

/// Ends the shims that are left: those started for the containerd at this socket.
pub fn end_shims(socket: &Path) -> anyhow::Result<()> {
    for process in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(arguments) = fs::read(process.path().join("cmdline")) else { continue };
        let mut arguments = arguments.split(|byte| *byte == 0);
        let shim = arguments.next().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
        if shim && arguments.any(|argument| argument == socket.as_os_str().as_encoded_bytes()) {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
    Ok(())
}

/// Unmounts everything below a folder.
pub fn unmount_all(folder: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    for point in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if Path::new(point).starts_with(folder) {
            rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH)?;
        }
    }
    Ok(())
}

/// Removes a cgroup at the top of every hierarchy, if nobody else is in it.
pub fn remove_cgroup(top: &str) {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok);
    for hierarchy in hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]) {
        // The kernel refuses to remove one that holds a process or another cgroup.
        let _ = fs::remove_dir(hierarchy.join(top));
    }
}

/// Cleaning up cannot fail a test; what stays is said.
pub fn report(what: &str, result: anyhow::Result<()>) {
    if let Err(error) = result {
        eprintln!("moat-testkit: cannot {what}: {error:#}");
    }
}
