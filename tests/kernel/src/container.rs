//! Containers in the guest, as an OCI runtime makes them: a cgroup, namespaces of mounts and processes, an overlay of
//! the image as root.
//!
//! Everything that changes namespaces is done by the guest's program, executed anew under the name `runc`
//! ([`runtime`]), so that drivers see a container runtime at work.

pub mod runtime;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_kernel::ContainerScope;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::node::{INIT, command};
use runtime::{Report, Request, Step};

/// The cgroup that all containers are in.
pub const CGROUPS: &str = "/sys/fs/cgroup/moat";
const CONTAINERS: &str = "/run/moat";
/// The guest's program as drivers see it when it acts as the OCI runtime.
const RUNTIME: &str = "/usr/bin/runc";
/// How long a process in a container may take unless said otherwise.
const LIMIT: Duration = Duration::from_mins(1);
/// As much as is kept of what a process prints.
const OUTPUT: u64 = 256 << 10;

/// Makes the guest able to start containers; its init calls it.
pub fn prepare() -> Result<()> {
    fs::hard_link(INIT, RUNTIME).context("cannot make the runtime")?;
    fs::create_dir(CONTAINERS)?;
    fs::create_dir(CGROUPS).context("cannot make the containers' cgroup")
}

/// Ends and removes what a crashed suite has left.
pub fn sweep() {
    for entry in fs::read_dir(CGROUPS).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str().filter(|_| entry.path().is_dir()) {
            remove(name);
        }
    }
}

/// A running container. Dropping it kills all its processes and removes it.
#[derive(Debug)]
pub struct Container {
    name: String,
    init_pid: u32,
    /// The parent of its first process, and what it says of that one's end.
    monitor: Child,
    entrypoint: Option<Entered>,
}

impl Container {
    /// Starts a container whose first process sleeps. With a driver loaded, that one may be held when this returns.
    pub fn start(name: &str) -> Result<Container> {
        Container::start_with(name, &["/bin/sleep", "1000000"])
    }

    /// Starts a container with this as its first program, executed when this returns.
    pub fn start_with(name: &str, entrypoint: &[&str]) -> Result<Container> {
        Container::create(&Request::new(Step::Create, name, 0, entrypoint))
    }

    /// As [`start`](Container::start), but its processes are the node's: it sees them all.
    pub fn start_among_all(name: &str) -> Result<Container> {
        let request = Request::new(Step::Create, name, 0, &["/bin/sleep", "1000000"]);
        Container::create(&Request { host_processes: true, ..request })
    }

    fn create(request: &Request) -> Result<Container> {
        let name = request.container.as_str();
        let folder = Path::new(CONTAINERS).join(name);
        for part in ["upper", "work", "root", "proof", "volume"] {
            fs::create_dir_all(folder.join(part)).with_context(|| format!("cannot prepare {name}"))?;
        }
        for part in ["proof", "volume"] {
            mount(Some("tmpfs"), &folder.join(part), Some("tmpfs"), MsFlags::empty(), Some("mode=1777"))?;
        }
        fs::create_dir(cgroup(name)).with_context(|| format!("cannot make the cgroup of {name}"))?;
        let (mut entered, monitor) = Entered::begin(request, Stdio::inherit(), Stdio::inherit())?;
        let init_pid = match entered.report()? {
            Report::Started(pid) => pid,
            other => {
                remove(name);
                anyhow::bail!("cannot start container {name}: {other:?}");
            }
        };
        Ok(Container { name: name.to_owned(), init_pid, monitor, entrypoint: Some(entered) })
    }

    /// Its first process, as the guest sees it.
    pub fn init_pid(&self) -> u32 {
        self.init_pid
    }

    /// Waits for the end of its first process, once. What that one prints is the console's.
    pub fn wait(&mut self) -> Result<Ended> {
        let mut entrypoint = self.entrypoint.take().context("its first process was already waited for")?;
        entrypoint.first = Some(Report::Started(self.init_pid));
        entrypoint.wait(LIMIT)
    }

    pub fn cgroup_directory(&self) -> PathBuf {
        cgroup(&self.name)
    }

    pub fn scope(&self) -> Result<ContainerScope> {
        let directory = self.cgroup_directory();
        Ok(ContainerScope {
            cgroup: fs::metadata(&directory)?.ino(),
            cgroup_directory: Some(directory),
            init_pid: self.init_pid,
        })
    }

    /// What the container calls `/proof/NAME`, as the guest sees it.
    pub fn mark(&self, name: &str) -> PathBuf {
        Path::new(CONTAINERS).join(&self.name).join("proof").join(name)
    }

    /// A file of the container by its path there, as the guest sees it. Only while its first process lives.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/{}", self.init_pid, path.trim_start_matches('/')))
    }

    /// Runs a program in the container as `runc exec` does, to its end. Its first word is a path.
    pub fn run(&self, words: &[&str]) -> Result<Ended> {
        self.session(words).start()?.wait(LIMIT)
    }

    /// A program to run as `runc exec` does.
    pub fn session(&self, words: &[&str]) -> Session {
        Session { request: Request::new(Step::Enter, &self.name, self.init_pid, words) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = fs::write(self.cgroup_directory().join("cgroup.kill"), "1");
        // With the first process of a namespace all of them end, and it is reaped last.
        let _ = self.monitor.wait();
        remove(&self.name);
    }
}

fn cgroup(name: &str) -> PathBuf {
    Path::new(CGROUPS).join(name)
}

fn remove(name: &str) {
    let _ = fs::write(cgroup(name).join("cgroup.kill"), "1");
    for part in ["proof", "volume"] {
        let _ = umount2(&Path::new(CONTAINERS).join(name).join(part), MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir_all(Path::new(CONTAINERS).join(name));
    if let Err(error) = await_empty(name).and_then(|()| Ok(fs::remove_dir(cgroup(name))?)) {
        eprintln!("cannot remove the cgroup of {name}: {error:#}");
    }
}

/// Waits until no process is left in the cgroup.
fn await_empty(name: &str) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut events = File::open(cgroup(name).join("cgroup.events"))?;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if text.lines().any(|line| line == "populated 0") {
            return Ok(());
        }
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        let changed = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&limit))?;
        ensure!(changed > 0, "its processes do not end");
    }
}

/// A program about to be run in a container.
#[derive(Debug, Clone)]
pub struct Session {
    request: Request,
}

impl Session {
    /// The user and group that it runs as, without capabilities; 0 with all of them unless told.
    #[must_use]
    pub fn user(mut self, id: u32) -> Session {
        self.request.user = id;
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Session {
        self.request.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it is told as its own name, instead of its path.
    #[must_use]
    pub fn named(mut self, name: &str) -> Session {
        self.request.argv0 = Some(name.to_owned());
        self
    }

    /// Starts it: returns once it was executed, or could not be.
    pub fn start(self) -> Result<Entered> {
        let output = tempfile::tempfile()?;
        let (entered, child) =
            Entered::begin(&self.request, output.try_clone()?.into(), output.try_clone()?.into())?;
        let mut running = Entered { output: Some(output), child: Some(child), ..entered };
        running.first = Some(running.report()?);
        Ok(running)
    }

    pub fn run(self) -> Result<Ended> {
        self.run_within(LIMIT)
    }

    pub fn run_within(self, limit: Duration) -> Result<Ended> {
        self.start()?.wait(limit)
    }
}

/// A program that was started in a container; it goes on when this is dropped.
#[derive(Debug)]
pub struct Entered {
    reports: Receiver<Report>,
    first: Option<Report>,
    child: Option<Child>,
    output: Option<File>,
}

/// How a program in a container has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// With which it exited.
    pub status: Option<i32>,
    /// That killed it.
    pub signal: Option<i32>,
    /// With which `execve` refused to start it.
    pub errno: Option<i32>,
    /// What it printed, on both its outputs.
    pub output: String,
}

impl Ended {
    /// `execve` failed with EPERM.
    pub fn was_refused(&self) -> bool {
        self.errno == Some(rustix::io::Errno::PERM.raw_os_error())
    }

    pub fn was_killed(&self) -> bool {
        self.signal == Some(rustix::process::Signal::KILL.as_raw())
    }

    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }
}

impl Entered {
    fn begin(request: &Request, output: Stdio, errors: Stdio) -> Result<(Entered, Child)> {
        let (reader, writer) = std::io::pipe()?;
        let child = command(RUNTIME)
            .arg("runc")
            .arg(serde_json::to_string(request)?)
            .stdin(OwnedFd::from(writer))
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("cannot start the runtime")?;
        Ok((Entered { reports: read_reports(reader), first: None, child: None, output: None }, child))
    }

    fn report(&mut self) -> Result<Report> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.reports.recv_timeout(LIMIT).context("the runtime says nothing: see the console")
    }

    /// Its process as the guest sees it; `None` when it could not be executed.
    pub fn pid(&self) -> Option<u32> {
        match self.first {
            Some(Report::Started(pid)) => Some(pid),
            _ => None,
        }
    }

    /// Waits for its end.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        let mut ended = Ended { status: None, signal: None, errno: None, output: String::new() };
        let mut report = self.report()?;
        if let Report::Started(pid) = report {
            report = self
                .reports
                .recv_timeout(limit)
                .with_context(|| format!("process {pid} does not end within {} s", limit.as_secs()))?;
        }
        match report {
            Report::Exited(status) => ended.status = Some(status),
            Report::Signalled(signal) => ended.signal = Some(signal),
            Report::Refused(errno) => ended.errno = Some(errno),
            Report::Started(_) => anyhow::bail!("the runtime says twice that it started"),
            Report::Failed(why) => anyhow::bail!("the runtime failed: {why}"),
        }
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        if let Some(mut output) = self.output.take() {
            let mut bytes = Vec::new();
            output.rewind()?;
            output.take(OUTPUT).read_to_end(&mut bytes)?;
            ended.output = String::from_utf8_lossy(&bytes).into_owned();
        }
        Ok(ended)
    }
}

fn read_reports(reader: PipeReader) -> Receiver<Report> {
    let (sender, reports) = mpsc::sync_channel(4);
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let report = serde_json::from_str(&line).unwrap_or(Report::Failed(line));
            if sender.send(report).is_err() {
                break;
            }
        }
    });
    reports
}
