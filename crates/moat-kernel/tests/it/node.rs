//! A node with a guard, a containerd of its own, and rules to put in force.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use moat_event::Severity;
use moat_kernel::{ContainerScope, Driver, Held, Observation, Record, Sink};
use moat_kernel::{DriverConfig, guard::Guard};
use moat_policy::model::{ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};
use moat_testkit::{Containerd, Image, Running, skip};

/// How long anything here may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Node {
    pub guard: Guard,
    pub records: Receiver<Record>,
    /// Nothing comes from there but with [`Node::observing`].
    pub observations: Receiver<Observation>,
    pub held: Receiver<Held>,
    pub containerd: Containerd,
    pub image: Image,
}

impl Node {
    pub fn start() -> Option<Node> {
        Node::with(None)
    }

    /// Tells containers apart by this cgroup v1 controller, as on a node without cgroup v2.
    pub fn with(v1_controller: Option<i32>) -> Option<Node> {
        Node::load(|_| DriverConfig { v1_controller, ..DriverConfig::default() })
    }

    /// Tells what containers do, whether or not a rule speaks of it.
    pub fn observing() -> Option<Node> {
        Node::load(|sink| DriverConfig { observations: Some(sink), ..DriverConfig::default() })
    }

    fn load(config: impl FnOnce(Sink<Observation>) -> DriverConfig) -> Option<Node> {
        let containerd = match Containerd::start() {
            Ok(containerd) => containerd,
            Err(why) => {
                skip("guard", format!("{why:#}"));
                return None;
            }
        };
        let (records_in, records) = mpsc::sync_channel(4096);
        let (held_in, held) = mpsc::sync_channel(64);
        let (observations_in, observations) = mpsc::sync_channel(4096);
        let config = DriverConfig {
            oci_runtimes: vec![containerd.oci_runtime().to_owned()],
            ..config(Sink::new(observations_in))
        };
        let guard = match Guard::load(&config, Sink::new(records_in), held_in) {
            Ok(guard) => guard,
            Err(why) => {
                skip("guard", why);
                return None;
            }
        };
        // Applets with a file of their own: a rule's names are the executable's, not what a link is called.
        let busybox = fs::read("/bin/busybox").expect("busybox-static is installed");
        let image = Image::busybox("docker.io/moat-test/busybox:1")
            .expect("busybox-static is installed")
            .file("/opt/touch", 0o755, busybox.clone())
            .file("/opt/[", 0o755, busybox.clone())
            .file("/opt/sh", 0o755, busybox)
            .symlink("/local", "/opt");
        containerd.import(&image).expect("import");
        Some(Node { guard, records, observations, held, containerd, image })
    }

    /// Runs a container whose start the guard holds, and puts these rules in force before it goes on.
    pub fn container(&mut self, id: &str, rules: Vec<EffectiveRule>) -> (Running, ContainerScope) {
        let running = self.containerd.container(&self.image, id).start().expect("start");
        let held = self.held.recv_timeout(DEADLINE).expect("the start is held");
        assert_eq!(held.pid, running.pid);
        let scope = scope(running.pid);
        assert_eq!(scope.cgroup, held.cgroup);
        self.guard.apply(&scope, &rule_set(rules)).expect("apply");
        (running, scope)
    }

    pub fn record(&self) -> Record {
        self.records.recv_timeout(DEADLINE).expect("a record")
    }
}

pub fn scope(pid: u32) -> ContainerScope {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).expect("a v2 cgroup");
    let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .find(|root| Path::new(root).join("cgroup.procs").exists())
        .expect("a v2 hierarchy");
    let directory = PathBuf::from(format!("{root}{path}"));
    ContainerScope {
        cgroup: fs::metadata(&directory).expect("cgroup directory").ino(),
        cgroup_directory: Some(directory),
        init_pid: pid,
    }
}

pub fn rule_set(rules: Vec<EffectiveRule>) -> Arc<RuleSet> {
    let hash = format!("{rules:?}");
    Arc::new(RuleSet { generation: 7, hash, rules })
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

pub fn process(matcher: ProcessMatcher) -> Matcher {
    Matcher::Process(Arc::new(matcher))
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
