//! One guest: QEMU with one emulated processor, its console in a file, the guest's messages on its standard output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempPath;

use super::cannot_start;
use super::kernel::Kernel;
use crate::protocol::Message;
use crate::suites::Machine;

const QEMU: &str = "qemu-system-x86_64";
/// BPF among the security modules, and an end instead of a limping kernel where something goes wrong in it. An emulated
/// timer on a busy machine may miss the moment in which the kernel tests it.
const ARGUMENTS: &str = "console=ttyS0 quiet oops=panic panic=-1 mitigations=off no_timer_check \
     lsm=lockdown,capability,landlock,bpf";

/// No guest may take longer than this, whatever it does; one that counts instructions is slower.
const LIFE: Duration = Duration::from_mins(90);
const COUNTING_LIFE: Duration = Duration::from_hours(3);
/// How long it may take to boot, or to do anything else between cases, without a message.
pub const SILENCE: Duration = Duration::from_mins(5);
/// Messages that wait for the host; then the guest does.
const QUEUE: usize = 1024;
/// How much of the console is told when a guest dies.
const LAST_LINES: usize = 25;

/// A running guest. Dropping it ends it.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    messages: Receiver<Message>,
    log: PathBuf,
    started: Instant,
    life: Duration,
    _initramfs: TempPath,
}

/// What became of waiting for a message.
#[derive(Debug)]
pub enum Waited {
    Message(Message),
    /// Nothing yet.
    Nothing,
    /// The guest is dead, and why.
    Dead(String),
}

impl Guest {
    /// Boots `kernel`; what it prints on its console goes to the file `log`.
    pub fn boot(kernel: &Kernel, machine: Machine, initramfs: TempPath, log: &Path) -> Result<Guest> {
        let mut qemu = qemu(kernel, machine, &initramfs)
            .args(["-serial", &format!("file:{}", log.display()), "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log.with_extension("qemu"))?)
            .spawn()
            .map_err(|error| cannot_start(QEMU, error))?;
        let output = qemu.stdout.take().context("qemu has no output")?;
        let (sender, messages) = mpsc::sync_channel(QUEUE);
        // Ends with the guest, whose output it reads.
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if let Some(message) = Message::parse(&String::from_utf8_lossy(&line))
                    && sender.send(message).is_err()
                {
                    break;
                }
            }
        });
        let life = if machine == Machine::Counting { COUNTING_LIFE } else { LIFE };
        Ok(Guest {
            qemu,
            messages,
            log: log.to_owned(),
            started: Instant::now(),
            life,
            _initramfs: initramfs,
        })
    }

    /// Waits for the guest's next message, for at most `patience`; `expected` is when a healthy guest has sent it.
    pub fn next(&mut self, patience: Duration, expected: Instant) -> Waited {
        match self.messages.recv_timeout(patience) {
            Ok(message) => Waited::Message(message),
            Err(RecvTimeoutError::Disconnected) => Waited::Dead(self.post_mortem()),
            Err(RecvTimeoutError::Timeout) => {
                let hung = if Instant::now() >= expected {
                    "the guest hung".to_owned()
                } else if self.started.elapsed() >= self.life {
                    format!("the guest took longer than {} s", self.life.as_secs())
                } else {
                    return Waited::Nothing;
                };
                Waited::Dead(format!("{hung}; {}", self.last_words()))
            }
        }
    }

    /// How long ago it was booted.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Why a guest has ended that should have gone on.
    fn post_mortem(&mut self) -> String {
        let status = self.qemu.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let console = fs::read(&self.log).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        if console.contains("Kernel panic") {
            format!("the kernel panicked; {}", self.last_words())
        } else if console.is_empty() {
            let complaint = fs::read_to_string(self.log.with_extension("qemu")).unwrap_or_default();
            format!("qemu ended before the guest said anything ({status}): {}", complaint.trim())
        } else {
            format!("the guest ended too early ({status}); {}", self.last_words())
        }
    }

    fn last_words(&self) -> String {
        let console = fs::read(&self.log).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().map(str::trim_end).collect();
        let from = lines
            .iter()
            .position(|line| line.contains("Oops") || line.contains("BUG:"))
            .unwrap_or_else(|| lines.len().saturating_sub(LAST_LINES));
        let last: Vec<String> =
            lines[from..].iter().take(2 * LAST_LINES).map(|line| format!("  | {line}")).collect();
        format!("its console ({}) ends with\n{}", self.log.display(), last.join("\n"))
    }
}

/// QEMU with a guest that has no serial port yet.
fn qemu(kernel: &Kernel, machine: Machine, initramfs: &Path) -> Command {
    let mut qemu = Command::new(QEMU);
    qemu.args(match machine {
        Machine::Plain => ["-smp", "1"].as_slice(),
        Machine::Parallel => &["-smp", "2"],
        Machine::Counting => &["-smp", "1", "-icount", "shift=0,sleep=off"],
    });
    qemu.args(["-accel", "tcg", "-cpu", "max", "-m", "2048", "-nographic"])
        .args(["-no-reboot", "-nic", "none", "-monitor", "none", "-append", ARGUMENTS])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(initramfs);
    qemu
}

/// Boots a guest whose console is the terminal, and waits for its end.
pub fn attend(kernel: &Kernel, initramfs: &Path) -> Result<()> {
    let status = qemu(kernel, Machine::Plain, initramfs)
        .args(["-serial", "stdio", "-serial", "null"])
        .status()
        .map_err(|error| cannot_start(QEMU, error))?;
    anyhow::ensure!(status.success(), "qemu failed: {status}");
    Ok(())
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
