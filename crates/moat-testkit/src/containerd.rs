//! A private containerd, and containers in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::Image;
use crate::daemon::{Daemon, end_shims, remove_cgroup, report, unmount_all};

/// A containerd of one's own: folders, socket and network namespace are private, so that neither the
/// host's containerd nor its network is touched. Dropping it ends its containers, its shims and itself,
/// and removes its mounts, cgroups and files.
#[derive(Debug)]
pub struct Containerd {
    directory: TempDir,
    daemon: Option<Daemon>,
    oci_runtime: String,
    /// First components of the cgroup paths that were used, removed at the end if nobody else is in them.
    cgroups: Mutex<BTreeSet<String>>,
}

impl Containerd {
    /// Starts it and waits until it serves. Pods get addresses in `10.77.0.0/24` on a bridge of the private
    /// network namespace.
    pub fn start() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "containers need root");
        let directory = tempfile::Builder::new().prefix("moat-").tempdir()?;
        // Unique on this machine, and short enough for the kernel's name of a process.
        let unique = directory.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let oci_runtime = format!("runc-{}", unique.unwrap_or_default().trim_start_matches("moat-"));
        let runc = ["/usr/sbin/runc", "/usr/bin/runc"].into_iter().find(|path| Path::new(path).exists());
        fs::copy(runc.context("runc is not installed")?, directory.path().join(&oci_runtime))?;
        let containerd = Self { directory, daemon: None, oci_runtime, cgroups: Mutex::default() };
        let at = |name: &str| containerd.path().join(name);
        for folder in ["root", "state", "cni", "ipam", "logs"] {
            fs::create_dir(at(folder))?;
        }
        fs::write(
            at("cni/10-bridge.conflist"),
            serde_json::to_vec(&serde_json::json!({
                "cniVersion": "0.4.0",
                "name": "moat-test",
                "plugins": [{
                    "type": "bridge", "bridge": "moat-test0", "isGateway": true, "ipMasq": false,
                    "ipam": {
                        "type": "host-local", "dataDir": at("ipam"),
                        "ranges": [[{ "subnet": "10.77.0.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                }],
            }))?,
        )?;
        fs::write(at("config.toml"), containerd.config())?;
        let mut containerd = containerd;
        containerd.resume()?;
        Ok(containerd)
    }

    fn config(&self) -> String {
        let (path, runtime) = (self.path().display(), self.oci_runtime());
        format!(
            r#"version = 2
root = "{path}/root"
state = "{path}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{path}/c.sock"
[ttrpc]
  address = "{path}/c.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering the score needs CAP_SYS_RESOURCE, which a nested machine may lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{path}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{path}/runc"
      BinaryName = "{path}/{runtime}"
"#
        )
    }

    /// The folder that holds everything of it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The socket of containerd's own API and of the Container Runtime Interface.
    pub fn socket(&self) -> PathBuf {
        self.path().join("c.sock")
    }

    /// Base name of this containerd's own copy of runc. An agent told to watch only this name leaves every
    /// other container of the machine alone.
    pub fn oci_runtime(&self) -> &str {
        &self.oci_runtime
    }

    /// Ends the daemon; the containers keep running under their shims.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    /// Starts the daemon again after [`Containerd::stop`] and waits until it serves.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.path().join("config.toml"));
        self.daemon = Some(Daemon::start(&command, &self.log(), "successfully booted")?);
        Ok(())
    }

    /// What the daemon logged.
    pub fn log(&self) -> PathBuf {
        self.path().join("containerd.log")
    }

    /// Makes an image known to containers started by [`Containerd::container`] in namespace `default` and to
    /// pods.
    pub fn import(&self, image: &Image) -> anyhow::Result<()> {
        for namespace in ["default", "k8s.io"] {
            self.import_into(namespace, image)?;
        }
        Ok(())
    }

    /// Makes an image known in one namespace.
    pub fn import_into(&self, namespace: &str, image: &Image) -> anyhow::Result<()> {
        let archive = self.path().join("image.tar");
        fs::write(&archive, image.archive()?)?;
        self.import_archive(namespace, &archive)?;
        fs::remove_file(archive)?;
        Ok(())
    }

    /// Makes the images of an archive, as `docker save` writes it, known in one namespace.
    pub fn import_archive(&self, namespace: &str, archive: &Path) -> anyhow::Result<()> {
        self.ctr(namespace, ["images", "import", "--no-unpack", &archive.to_string_lossy()])?;
        Ok(())
    }

    /// A container to be run from an imported image.
    pub fn container(&self, image: &Image, id: &str) -> NewContainer<'_> {
        NewContainer {
            containerd: self,
            namespace: "default".to_owned(),
            id: id.to_owned(),
            image: image.name().to_owned(),
            flags: Vec::new(),
            command: Vec::new(),
        }
    }

    /// Runs `ctr` in a namespace and returns what it printed; an error if it failed.
    pub fn ctr<S: AsRef<str>>(
        &self,
        namespace: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<String> {
        ctr(&self.socket(), namespace, arguments)
    }

    pub(crate) fn uses_cgroup(&self, top: &str) {
        if let Ok(mut cgroups) = self.cgroups.lock() {
            cgroups.insert(top.to_owned());
        }
    }

    /// Removes every container of every namespace.
    fn remove_containers(&self) -> anyhow::Result<()> {
        for namespace in self.ctr("default", ["namespaces", "list", "--quiet"])?.lines() {
            for task in self.ctr(namespace, ["tasks", "list", "--quiet"])?.lines() {
                // Fails for one that ended meanwhile.
                let _ = self.ctr(namespace, ["tasks", "delete", "--force", task]);
            }
        }
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.daemon.is_none() {
            report("start containerd to clean up", self.resume());
        }
        report("remove containers", self.remove_containers());
        report("stop containerd", self.stop());
        report("end shims", end_shims(&self.socket()));
        report("unmount", unmount_all(self.path()));
        for top in self.cgroups.lock().map(|tops| tops.clone()).unwrap_or_default() {
            remove_cgroup(&top);
        }
    }
}

/// The image of pod sandboxes, see [`crate::Pods`].
pub(crate) const PAUSE_IMAGE: &str = "docker.io/moat-test/pause:1";

/// A container that is not running yet.
#[derive(Debug)]
pub struct NewContainer<'a> {
    containerd: &'a Containerd,
    namespace: String,
    id: String,
    image: String,
    flags: Vec<String>,
    command: Vec<String>,
}

impl NewContainer<'_> {
    /// containerd's namespace, `default` unless set.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.flag(&format!("--label={key}={value}"))
    }

    /// A further flag of `ctr run`, e.g. `--mount=type=bind,src=/a,dst=/b,options=rbind`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Arguments after the image's entrypoint; `ctr` starts them in its place.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Starts it in the background.
    pub fn start(self) -> anyhow::Result<Running> {
        let socket = self.containerd.socket();
        let output = self.containerd.path().join("logs").join(&self.id);
        let pid_file = output.with_extension("pid");
        let (log_uri, pid_flag) =
            (format!("file://{}", output.display()), format!("--pid-file={}", pid_file.display()));
        let flags = ["--detach".to_owned(), format!("--log-uri={log_uri}"), pid_flag];
        ctr(&socket, &self.namespace, self.arguments(flags))?;
        let pid = fs::read_to_string(&pid_file)?.trim().parse().context("no pid of the container")?;
        Ok(Running { socket, namespace: self.namespace, id: self.id, pid, output })
    }

    /// Runs it to its end; what it printed, and its exit status.
    pub fn run(self) -> anyhow::Result<Output> {
        attended(&self.containerd.path().join("logs"), |log_uri| {
            let arguments = self.arguments(["--rm".to_owned(), log_uri]);
            ctr_command(&self.containerd.socket(), &self.namespace, arguments)
        })
    }

    fn arguments(&self, flags: impl IntoIterator<Item = String>) -> Vec<String> {
        // Ids are chosen by tests, and two tests on one machine may choose alike: each containerd has cgroups of its own.
        let top = self.containerd.oci_runtime();
        self.containerd.uses_cgroup(top);
        let cgroup = format!("--cgroup=/{top}/{}-{}", self.namespace, self.id);
        // runc's own list of containers is shared by all containerds unless each is given its own.
        let folder = self.containerd.path();
        let runc_root = format!("--runc-root={}", folder.join("runc").display());
        let runc = format!("--runc-binary={}", folder.join(self.containerd.oci_runtime()).display());
        let mut arguments = vec!["run".to_owned(), runc_root, runc];
        if !self.flags.iter().any(|flag| flag.starts_with("--cgroup=")) {
            arguments.push(cgroup);
        }
        arguments.extend(flags);
        arguments.extend_from_slice(&self.flags);
        arguments.extend([self.image.clone(), self.id.clone()]);
        arguments.extend_from_slice(&self.command);
        arguments
    }
}

/// A container that runs.
#[derive(Debug, Clone)]
pub struct Running {
    socket: PathBuf,
    pub namespace: String,
    pub id: String,
    /// Its first process, in the node's pid namespace.
    pub pid: u32,
    output: PathBuf,
}

impl Running {
    /// Runs a program in it from outside, as `kubectl exec` does, and waits for its end.
    pub fn exec(&self, command: &[&str]) -> anyhow::Result<Output> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static SESSION: AtomicU32 = AtomicU32::new(0);
        let session = format!("session-{}", SESSION.fetch_add(1, Ordering::Relaxed));
        let logs = self.output.parent().context("no folder for output")?;
        attended(logs, |log_uri| {
            let exec = ["tasks", "exec", "--exec-id", &session, &log_uri, &self.id];
            ctr_command(&self.socket, &self.namespace, exec.into_iter().chain(command.iter().copied()))
        })
    }

    /// What it printed so far, standard output and error together.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.output)?).into_owned())
    }

    /// Kills it and removes it from containerd.
    pub fn remove(self) -> anyhow::Result<()> {
        // Fails if its process ended by itself and was deleted with it.
        let _ = ctr(&self.socket, &self.namespace, ["tasks", "delete", "--force", &self.id]);
        ctr(&self.socket, &self.namespace, ["containers", "delete", &self.id])?;
        Ok(())
    }
}

/// The shell script that takes a program's output from the shim and writes it to the folder it is given. The shim
/// passes both outputs, and a pipe to close when ready; asks for the end when the program is removed, which must
/// cost nothing that is still to be read; and waits for the end before it says that the program is removed.
const KEEP_OUTPUT: &str = r#"trap '' TERM
cat <&3 >"$1/stdout" 5>&- &
cat <&4 >"$1/stderr" 5>&- &
exec 5>&-
wait
"#;

/// Runs a `ctr` that waits for the end of a program; the program's exit status and output, and after its standard
/// error `ctr`'s own.
///
/// `ctr` itself would read the output from pipes until the program has ended, no longer: of a short program on a
/// busy machine it may read nothing, and still succeed (<https://github.com/containerd/containerd/pull/13931>).
/// The shim's own log file can lose what came last on standard error. So neither is used.
fn attended(folder: &Path, command: impl FnOnce(String) -> Command) -> anyhow::Result<Output> {
    let kept = tempfile::tempdir_in(folder)?;
    let script = kept.path().join("keep-output");
    fs::write(&script, KEEP_OUTPUT)?;
    let log_uri = format!("--log-uri=binary:///bin/sh?{}={}", script.display(), kept.path().display());
    let output = command(log_uri).output().context("cannot run ctr")?;
    let read = |name| match fs::read(kept.path().join(name)) {
        // Nothing was started.
        Err(error) if error.kind() == ErrorKind::NotFound && !output.status.success() => Ok(Vec::new()),
        read => read.with_context(|| format!("no {name} of the program")),
    };
    Ok(Output {
        status: output.status,
        stdout: read("stdout")?,
        stderr: [read("stderr")?, output.stderr].concat(),
    })
}

fn ctr_command<S: AsRef<str>>(
    socket: &Path,
    namespace: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket).args(["--namespace", namespace]).stdin(Stdio::null());
    command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    command
}

fn ctr<S: AsRef<str>>(
    socket: &Path,
    namespace: &str,
    arguments: impl IntoIterator<Item = S>,
) -> anyhow::Result<String> {
    let mut command = ctr_command(socket, namespace, arguments);
    let output = command.output().context("cannot run ctr")?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
