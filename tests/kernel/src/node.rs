//! The guest as a node: what its init does. It mounts the kernel's file systems, loads modules, runs each suite
//! in a process of its own, ends those that hang, and powers off.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

use crate::container;
use crate::protocol::{Message, Verdict};
use crate::suites::lsm;

/// Where the initramfs has what the guest needs; the host puts it there.
pub const INIT: &str = "/init";
pub const IMAGE: &str = "/image";
pub const MODULES: &str = "/modules";
pub const SELECTION: &str = "/cases";
/// What the suites are told besides: `NAME=VALUE`, one a line.
pub const ENVIRONMENT: &str = "/environment";
/// What is selected where a shell is wanted instead of cases.
pub const SHELL: &str = "shell";

/// How long a suite may take to begin its next case.
const PAUSE: Duration = Duration::from_mins(3);
/// The first serial port, and the second one.
const CONSOLE: &str = "/dev/ttyS0";
const MESSAGES: &str = "/dev/ttyS1";
pub const PATH: &str = "/bin:/usr/bin";

/// Runs all that was selected, and powers off.
pub fn boot() {
    let ended = mount_all().context("cannot set up the guest").and_then(|()| {
        let mut messages = File::options().write(true).open(MESSAGES).context("no second serial port")?;
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(&mut messages)));
        let ran = ran.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked: see its console")));
        let last = match ran {
            Ok(()) => Message::End,
            Err(error) => Message::Fatal(format!("{error:#}")),
        };
        send(&mut messages, &last)?;
        rustix::termios::tcdrain(&messages).context("cannot wait for the last message to be sent")
    });
    if let Err(error) = ended {
        eprintln!("moat-guest: {error:#}");
    }
    // It returns only when refused; then init ends, and the kernel panics.
    let Err(error) = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_POWER_OFF);
    eprintln!("moat-guest: cannot power off: {error}");
}

/// `(major, minor)` of the running kernel.
pub fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn mount_all() -> Result<()> {
    // A root that pivot_root(2) can change: the first one, the initramfs itself, has no parent.
    fs::create_dir_all("/root")?;
    let none = None::<&str>;
    mount(Some("/"), "/root", none, MsFlags::MS_BIND, none)?;
    std::env::set_current_dir("/root")?;
    mount(Some("."), "/", none, MsFlags::MS_MOVE, none)?;
    rustix::process::chroot(".")?;
    std::env::set_current_dir("/")?;

    for (kind, place) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("bpf", "/sys/fs/bpf"),
        ("tracefs", "/sys/kernel/tracing"),
        ("securityfs", "/sys/kernel/security"),
    ] {
        mount(Some(kind), place, Some(kind), MsFlags::empty(), none)
            .with_context(|| format!("cannot mount {kind} on {place}"))?;
    }
    let mut modules: Vec<_> =
        fs::read_dir(MODULES)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    modules.sort();
    for module in modules {
        nix::kmod::finit_module(File::open(&module)?, c"", nix::kmod::ModuleInitFlags::empty())
            .with_context(|| format!("cannot load {}", module.display()))?;
    }
    container::prepare()?;
    let up = command("/bin/ip").args(["link", "set", "lo", "up"]).status()?;
    anyhow::ensure!(up.success(), "cannot bring lo up: {up}");
    Ok(())
}

fn serve(messages: &mut File) -> Result<()> {
    let selection = fs::read_to_string(SELECTION).context("cannot read what to run")?;
    if selection == SHELL {
        let mut shell = command("/bin/setsid");
        shell.args(["-c", "/bin/sh"]).stdin(File::open(CONSOLE)?);
        return shell.status().map(drop).context("cannot run a shell");
    }
    send(messages, &Message::Ready)?;
    let mut waiting: VecDeque<&str> = selection.lines().collect();
    while let Some(first) = waiting.front() {
        let suite = process_of(first);
        let together = waiting.iter().take_while(|name| process_of(name) == suite).count();
        let cases: Vec<&str> = waiting.iter().copied().take(together).collect();
        let settled = Suite::start(suite, &cases)?.watch(messages)?;
        // A process that ends with all its cases left, before the first one began, would do so again.
        anyhow::ensure!(settled > 0, "suite {suite} ends before its first case: see the console");
        waiting.drain(..settled.min(together));
    }
    Ok(())
}

/// The suite that a case is of, or what all suites are called that share a driver.
fn process_of(case: &str) -> &str {
    let suite = case.split_once("::").map_or(case, |(suite, _)| suite);
    if lsm::SUITES.contains(&suite) { "lsm" } else { suite }
}

/// A process that runs cases of one suite in their order, so that a crash takes no more with it than one case.
struct Suite {
    process: Child,
    messages: Receiver<Message>,
}

impl Suite {
    /// Its messages come through its standard input: what it prints is the console's.
    fn start(suite: &str, cases: &[&str]) -> Result<Suite> {
        let (reader, writer) = std::io::pipe()?;
        let environment = fs::read_to_string(ENVIRONMENT).context("cannot read the suites' environment")?;
        let process = command(INIT)
            .arg("suite")
            .args(cases)
            .envs(environment.lines().filter_map(|line| line.split_once('=')))
            .stdin(OwnedFd::from(writer))
            .spawn()
            .with_context(|| format!("cannot start suite {suite}"))?;
        let (sender, messages) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if let Some(message) = Message::parse(&line)
                    && sender.send(message).is_err()
                {
                    break;
                }
            }
        });
        Ok(Suite { process, messages })
    }

    /// Passes its messages on until it ends; how many cases have a verdict then.
    fn watch(mut self, onwards: &mut File) -> Result<usize> {
        let mut settled = 0;
        let mut running: Option<String> = None;
        let mut limit = PAUSE;
        loop {
            let why = match self.messages.recv_timeout(limit) {
                Ok(message) => {
                    match &message {
                        Message::Begin { name, limit: its } => {
                            running = Some(name.clone());
                            limit = *its;
                        }
                        Message::Case { .. } => {
                            running = None;
                            limit = PAUSE;
                            settled += 1;
                        }
                        _ => {}
                    }
                    send(onwards, &message)?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.process.kill()?;
                    self.process.wait()?;
                    format!("no end after {} s", limit.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => format!("its process ended: {}", self.process.wait()?),
            };
            if let Some(name) = running {
                let text = format!("{why}; its console tells what it printed");
                send(onwards, &Message::Case { name, verdict: Verdict::Failed, text })?;
                settled += 1;
                container::sweep();
            }
            return Ok(settled);
        }
    }
}

/// A program of the guest, with the guest's environment.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Sends one message; whole, for others may write to the same place.
pub fn send(to: &mut impl Write, message: &Message) -> Result<()> {
    to.write_all(format!("{}\n", message.line()).as_bytes()).context("cannot send a message")
}
