//! A container: an overlay of its own in a mount namespace of its own, a control group, and a shell in it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moat_event::{FileOperation, Origin, Severity};
use moat_policy::model::{FileMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::{EffectiveRule, Matcher};
use moat_policy::{RuleIndex, RuleSet, Users};
use tempfile::TempDir;

use super::super::{FilePermissions, RuntimeTasks, mounts};
use crate::record::{Record, Sink};
use crate::{ApplyError, ContainerScope};

/// Whether this machine can run these tests; says why not. With `guard` in `MOAT_REQUIRE`, it must.
pub fn available() -> bool {
    let refusal = if !rustix::process::geteuid().is_root() {
        "not root".into()
    } else if let Err(error) = super::super::IgnoreFlags::probe() {
        format!("no fanotify permission events: {error}")
    } else if cgroup_mount().is_none() {
        "no cgroup2 file system is mounted".into()
    } else if !Path::new("/bin/busybox").exists() {
        "no /bin/busybox (apt-get install busybox-static)".into()
    } else {
        return true;
    };
    let required = std::env::var("MOAT_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|needed| needed == "guard"), "MOAT_REQUIRE=guard, but: {refusal}");
    println!("skipped: {refusal}");
    false
}

pub fn cgroup_mount() -> Option<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap();
    let mount = mounts::parse(&table).find(|mount| mount.filesystem == b"cgroup2")?;
    Some(String::from_utf8(mount.point).unwrap().into())
}

/// Processes that count as the runtime's.
#[derive(Clone, Default)]
pub struct Runtimes(Arc<Mutex<Vec<u32>>>);

impl Runtimes {
    pub fn add(&self, pid: u32) {
        self.0.lock().unwrap().push(pid);
    }
}

impl RuntimeTasks for Runtimes {
    fn is_runtime(&self, pid: u32) -> bool {
        self.0.lock().unwrap().contains(&pid)
    }

    fn origin(&self, _: u32) -> Option<Origin> {
        None
    }
}

pub struct Agent {
    pub driver: FilePermissions,
    pub records: Receiver<Record>,
    pub runtimes: Runtimes,
}

impl Agent {
    pub fn start() -> Agent {
        let (queue, records) = mpsc::sync_channel(4096);
        let runtimes = Runtimes::default();
        let driver = FilePermissions::new(Sink::new(queue), Arc::new(runtimes.clone())).unwrap();
        Agent { driver, records, runtimes }
    }

    pub fn apply(&mut self, sandbox: &Sandbox, rules: Vec<EffectiveRule>) {
        self.try_apply(&sandbox.scope, rules).unwrap();
    }

    pub fn try_apply(&mut self, scope: &ContainerScope, rules: Vec<EffectiveRule>) -> Result<(), ApplyError> {
        static GENERATION: AtomicU32 = AtomicU32::new(1);
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed).into();
        let rules = Arc::new(RuleSet { generation, hash: String::new(), rules });
        let index = Arc::new(RuleIndex::new(Arc::clone(&rules), &Users::default()).unwrap());
        self.driver.apply(scope, &rules, &index)
    }

    /// The next record; there must be one.
    pub fn record(&self) -> Record {
        self.records.recv_timeout(Duration::from_secs(10)).expect("a record")
    }
}

/// A container whose first process is a shell that takes commands.
pub struct Sandbox {
    pub scope: ContainerScope,
    pub directory: TempDir,
    cgroup: PathBuf,
    shell: Child,
    commands: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a command in a container said, and its exit status (128 + signal when killed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub text: String,
    pub status: i32,
}

impl Reply {
    #[track_caller]
    pub fn allowed(&self) -> &str {
        assert_eq!(self.status, 0, "{}", self.text);
        &self.text
    }

    /// It failed with EPERM.
    #[track_caller]
    pub fn denied(&self) {
        assert!(self.status != 0 && self.text.contains("Operation not permitted"), "{self:?}");
        assert!(!self.text.contains("secret!"), "{self:?}");
    }
}

impl Sandbox {
    /// The image has busybox with its programs as links, copies of it as `/bin/id`, `/bin/env` and `/opt/tool`, and
    /// `/etc/secret`, `/etc/conf`, `/etc/keys/one` with `secret!` in each.
    pub fn start() -> Sandbox {
        Sandbox::start_with("")
    }

    /// `volumes` are commands that mount more, in the directory that becomes the root.
    pub fn start_with(volumes: &str) -> Sandbox {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = cgroup_mount().unwrap().join(format!("moat-test-{}-{number}", std::process::id()));
        fs::create_dir(&cgroup).unwrap();
        let image = format!(
            r"set -e
cd {directory}
mkdir -p lower/bin lower/etc/keys lower/opt lower/proc lower/old lower/tmp lower/data lower/shm upper work merged volume
for name in busybox id env; do cp /bin/busybox lower/bin/$name; done
cp /bin/busybox lower/opt/id
for name in sh cat ln mv cp mount umount unshare chroot mkdir echo true rm ls touch head sleep; do ln -s busybox lower/bin/$name; done
for name in secret conf keys/one; do echo 'secret!' > lower/etc/$name; done
echo plain > lower/tmp/plain
echo 'secret!' > volume/secret
",
            directory = directory.path().display(),
        );
        // Before the container starts, as images are.
        assert!(Command::new("/bin/sh").args(["-c", &image]).status().unwrap().success());
        let script = format!(
            r"set -e
cd {directory}
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
cd merged
mount -t proc proc proc
{volumes}
echo $$ > {cgroup}/cgroup.procs
pivot_root . old
exec /bin/sh -c 'umount -l /old; exec /bin/sh' 2>&1
",
            directory = directory.path().display(),
            cgroup = cgroup.display(),
        );
        let mut shell = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let scope = ContainerScope {
            cgroup: fs::metadata(&cgroup).unwrap().ino(),
            cgroup_directory: Some(cgroup.clone()),
            init_pid: shell.id(),
        };
        let mut sandbox = Sandbox { scope, directory, cgroup, shell, commands, output };
        sandbox.run("true").allowed();
        sandbox
    }

    pub fn run(&mut self, command: &str) -> Reply {
        self.converse(&format!("( {command} ) 2>&1"))
    }

    /// Runs `command` in the container's first process itself, and gives what it prints.
    pub fn run_in_shell(&mut self, command: &str) -> String {
        self.converse(&format!("{{ {command}; }}")).text
    }

    fn converse(&mut self, command: &str) -> Reply {
        writeln!(self.commands, "{command}; echo \"@@$?\"").unwrap();
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the container ended: {text}");
            if let Some(at) = line.find("@@") {
                text.push_str(&line[..at]);
                return Reply { text, status: line[at + 2..].trim().parse().unwrap() };
            }
            text.push_str(&line);
        }
    }

    /// Runs `act` in a process of the container. Between fork and exec: it must not allocate.
    pub fn act(&self, act: impl Fn() -> rustix::io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
        use rustix::fs::{Mode, OFlags};
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        let namespace: OwnedFd = fs::File::open(format!("/proc/{}/ns/mnt", self.scope.init_pid))?.into();
        let procs: OwnedFd = fs::File::options().write(true).open(self.cgroup.join("cgroup.procs"))?.into();
        let mut command = Command::new("/bin/true");
        let join = move || {
            rustix::io::write(&procs, b"0")?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
            let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            rustix::process::fchdir(root)?;
            act()?;
            Ok(())
        };
        // SAFETY: the closure makes system calls only; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(join) };
        command.spawn()?.wait().map(drop)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        // What the shell left behind ends too; the directory cannot be removed before.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        for _ in 0..1000 {
            if fs::remove_dir(&self.cgroup).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

pub fn rule(name: &str, action: RuleAction, matcher: Matcher) -> EffectiveRule {
    EffectiveRule {
        policy: "test".into(),
        rule: name.into(),
        severity: Severity::High,
        action,
        enforced: true,
        matcher,
    }
}

pub fn file(action: RuleAction, paths: &[&str], operations: &[FileOperation]) -> EffectiveRule {
    let paths = paths.iter().map(ToString::to_string).collect();
    rule(
        "file",
        action,
        Matcher::File(Arc::new(FileMatcher {
            paths,
            operations: operations.to_vec(),
            ..FileMatcher::default()
        })),
    )
}

pub fn process(action: RuleAction, matcher: ProcessMatcher) -> EffectiveRule {
    rule("process", action, Matcher::Process(Arc::new(matcher)))
}

pub fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
