//! The guest's OCI runtime. Each step is a process of its own, with one thread, as joining namespaces wants it:
//! `Create` and `Enter` stay outside of the container and tell how it went; `Init` and `Join` go in, and become the
//! program.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde::{Deserialize, Serialize};

use super::{CONTAINERS, cgroup};
use crate::node::{IMAGE, PATH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Makes the namespaces, and runs `Init` in them.
    Create,
    /// Makes the container's root, and becomes its first program.
    Init,
    /// Makes children be in the container's namespace of processes, and runs `Join`.
    Enter,
    /// Joins the rest, and becomes the program.
    Join,
}

/// What a step is asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub step: Step,
    pub container: String,
    /// The container's first process, where there is one.
    pub init_pid: u32,
    pub words: Vec<String>,
    pub argv0: Option<String>,
    pub user: u32,
    /// Besides `PATH`.
    pub environment: Vec<(String, String)>,
    /// It shares the node's processes.
    pub host_processes: bool,
}

/// What a step tells, one line each, through its standard input, which is the writing end of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The program was executed; its process as the guest sees it.
    Started(u32),
    Exited(i32),
    Signalled(i32),
    /// `execve` failed with this.
    Refused(i32),
    /// The step itself failed.
    Failed(String),
}

impl Request {
    pub fn new(step: Step, container: &str, init_pid: u32, words: &[&str]) -> Request {
        let words = words.iter().map(ToString::to_string).collect();
        Request {
            step,
            container: container.to_owned(),
            init_pid,
            words,
            argv0: None,
            user: 0,
            environment: Vec::new(),
            host_processes: false,
        }
    }
}

/// Does one step.
pub fn run(request: &str) -> Result<()> {
    let reports = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let done = serde_json::from_str(request).context("an unreadable request").and_then(|request: Request| {
        match request.step {
            Step::Create => create(&request).and_then(|()| supervise(&request, Step::Init, &reports)),
            Step::Enter => enter(&request).and_then(|()| supervise(&request, Step::Join, &reports)),
            Step::Init => make_root(&request).and_then(|()| become_program(&request, &reports)),
            Step::Join => join(&request).and_then(|()| become_program(&request, &reports)),
        }
    });
    done.or_else(|error| tell(&reports, &Report::Failed(format!("{error:#}"))))
}

fn tell(mut reports: &File, report: &Report) -> Result<()> {
    let line = serde_json::to_string(report)?;
    reports.write_all(format!("{line}\n").as_bytes()).context("cannot report")
}

fn create(request: &Request) -> Result<()> {
    let mut kinds = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    if !request.host_processes {
        kinds |= CloneFlags::CLONE_NEWPID;
    }
    unshare(kinds).context("cannot make namespaces")
}

fn enter(request: &Request) -> Result<()> {
    setns(namespace(request, "pid")?, CloneFlags::CLONE_NEWPID).context("cannot join the processes")
}

fn namespace(request: &Request, kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{}/ns/{kind}", request.init_pid);
    Ok(File::open(&path).with_context(|| format!("cannot open {path}"))?.into())
}

/// Runs the step that becomes the program, and tells how that went and how it ended.
fn supervise(request: &Request, step: Step, reports: &File) -> Result<()> {
    let (mut reader, writer) = std::io::pipe()?;
    let next = Request { step, ..request.clone() };
    let mut child = Command::new("/proc/self/exe")
        .arg("runc")
        .arg(serde_json::to_string(&next)?)
        .stdin(OwnedFd::from(writer))
        .spawn()
        .context("cannot execute the runtime anew")?;
    // Closed by a successful execution, with nothing said.
    let mut said = String::new();
    reader.read_to_string(&mut said)?;
    if !said.is_empty() {
        child.wait()?;
        return tell(reports, &serde_json::from_str(said.trim()).unwrap_or(Report::Failed(said)));
    }
    tell(reports, &Report::Started(child.id()))?;
    let status = child.wait()?;
    tell(
        reports,
        &match (status.code(), status.signal()) {
            (Some(code), _) => Report::Exited(code),
            (None, Some(signal)) => Report::Signalled(signal),
            (None, None) => Report::Failed(format!("it ended in an unknown way: {status}")),
        },
    )
}

fn join_cgroup(request: &Request) -> Result<()> {
    let file = cgroup(&request.container).join("cgroup.procs");
    fs::write(&file, "0").with_context(|| format!("cannot join {}", file.display()))
}

fn join(request: &Request) -> Result<()> {
    let mounts = namespace(request, "mnt")?;
    join_cgroup(request)?;
    // Changes the root directory too.
    setns(namespace(request, "net")?, CloneFlags::CLONE_NEWNET).context("cannot join the network")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).context("cannot join the mounts")?;
    std::env::set_current_dir("/").context("cannot enter the root")
}

fn make_root(request: &Request) -> Result<()> {
    join_cgroup(request)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let folder = Path::new(CONTAINERS).join(&request.container);
    let root = folder.join("root");
    let options =
        format!("lowerdir={IMAGE},upperdir={folder}/upper,workdir={folder}/work", folder = folder.display());
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .context("cannot mount the overlay")?;
    mount(Some("proc"), &root.join("proc"), Some("proc"), MsFlags::empty(), none)?;
    let devices = root.join("dev");
    mount(Some("tmpfs"), &devices, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        let path = devices.join(name);
        mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor))
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    for part in ["proof", "volume"] {
        mount(Some(&folder.join(part)), &root.join(part), none, MsFlags::MS_BIND, none)?;
    }
    nix::unistd::pivot_root(&root, &root.join("old")).context("cannot change the root")?;
    std::env::set_current_dir("/")?;
    umount2("/old", MntFlags::MNT_DETACH).context("cannot leave the old root")
}

/// Returns only where `execve` fails.
fn become_program(request: &Request, reports: &File) -> Result<()> {
    let (program, arguments) = request.words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(request.environment.iter().cloned())
        .stdin(Stdio::null());
    if let Some(name) = &request.argv0 {
        command.arg0(name);
    }
    if request.user != 0 {
        command.uid(request.user).gid(request.user);
    }
    let error = command.exec();
    tell(reports, &Report::Refused(error.raw_os_error().unwrap_or_default()))
}
