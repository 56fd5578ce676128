use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use moat_event::{Origin, Severity};
use moat_kernel::guard::{Guard, GuardConfig};
use moat_kernel::{Act, ContainerScope, Driver, Held, Outcome, Record, Sink};
use moat_policy::model::{
    DriftMatcher, ExecutableList, NetworkMatcher, OriginMatcher, ProcessMatcher, RuleAction,
};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};
use moat_testkit::{Containerd, Image, Running, skip};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

struct Node {
    guard: Guard,
    records: Receiver<Record>,
    held: Receiver<Held>,
    containerd: Containerd,
    image: Image,
}

impl Node {
    fn start() -> Option<Node> {
        let containerd = match Containerd::start() {
            Ok(containerd) => containerd,
            Err(why) => {
                skip("guard", format!("{why:#}"));
                return None;
            }
        };
        let (records_in, records) = mpsc::sync_channel(4096);
        let (held_in, held) = mpsc::sync_channel(64);
        let config =
            GuardConfig { oci_runtimes: vec![containerd.oci_runtime().to_owned()], ..GuardConfig::default() };
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
            .file("/opt/sh", 0o755, busybox)
            .symlink("/local", "/opt");
        containerd.import(&image).expect("import");
        Some(Node { guard, records, held, containerd, image })
    }

    /// Runs a container whose start the guard holds, and puts these rules in force before it goes on.
    fn container(&mut self, id: &str, rules: Vec<EffectiveRule>) -> (Running, ContainerScope) {
        let running = self.containerd.container(&self.image, id).start().expect("start");
        let held = self.held.recv_timeout(DEADLINE).expect("the start is held");
        assert_eq!(held.pid, running.pid);
        let scope = scope(running.pid);
        assert_eq!(scope.cgroup, held.cgroup);
        self.guard.apply(&scope, &rule_set(rules)).expect("apply");
        (running, scope)
    }

    fn record(&self) -> Record {
        self.records.recv_timeout(DEADLINE).expect("a record")
    }
}

fn scope(pid: u32) -> ContainerScope {
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

fn rule_set(rules: Vec<EffectiveRule>) -> Arc<RuleSet> {
    let hash = format!("{rules:?}");
    Arc::new(RuleSet { generation: 7, hash, rules })
}

fn rule(name: &str, action: RuleAction, matcher: Matcher) -> EffectiveRule {
    EffectiveRule {
        policy: "test".into(),
        rule: name.into(),
        severity: Severity::High,
        action,
        enforced: true,
        matcher,
    }
}

fn process(matcher: ProcessMatcher) -> Matcher {
    Matcher::Process(Arc::new(matcher))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn arguments_decide_before_the_first_instruction() {
    let Some(mut node) = Node::start() else { return };
    let arguments = ProcessMatcher {
        names: vec![String::from("touch")],
        args_regex: Some(String::from("evil[0-9]+")),
        ..ProcessMatcher::default()
    };
    let (running, scope) =
        node.container("arguments", vec![rule("evil", RuleAction::Block, process(arguments))]);

    let fine = running.exec(&["/opt/touch", "/tmp/fine"]).unwrap();
    assert!(fine.status.success(), "{}", text(&fine));
    let denied = running.exec(&["/opt/touch", "/tmp/evil42"]).unwrap();
    assert!(!denied.status.success(), "{}", text(&denied));

    let record = node.record();
    assert_eq!(record.cgroup, scope.cgroup);
    assert_eq!((record.generation, record.enforced, record.audited), (7, Some(0), None));
    assert_eq!(record.outcome, Outcome::Killed);
    assert_eq!(record.process.arguments, b"/opt/touch\0/tmp/evil42\0");
    assert_eq!(record.process.origin, Some(Origin::ExecSession));
    assert!(matches!(record.act, Act::Exec { ref path, .. } if path == b"/opt/touch"), "{record:?}");
    let listing = running.exec(&["/bin/ls", "/tmp"]).unwrap();
    assert_eq!(text(&listing), "fine\n", "the denied act had no effect");
}

#[test]
fn a_denied_entrypoint_never_runs() {
    let Some(mut node) = Node::start() else { return };
    let touch = ProcessMatcher { names: vec![String::from("touch")], ..ProcessMatcher::default() };
    let rules = rule_set(vec![rule("no-touch", RuleAction::Block, process(touch))]);
    for round in 0..20 {
        let shared = tempfile::tempdir().unwrap();
        let mount = format!("--mount=type=bind,src={},dst=/out,options=rbind:rw", shared.path().display());
        let running = node
            .containerd
            .container(&node.image, &format!("denied-{round}"))
            .flag(&mount)
            .command(["/opt/touch", "/out/ran"])
            .start()
            .unwrap();
        let held = node.held.recv_timeout(DEADLINE).expect("the start is held");
        assert_eq!(held.pid, running.pid);
        node.guard.apply(&scope(running.pid), &rules).expect("apply");
        let record = node.record();
        assert_eq!(record.outcome, Outcome::Killed);
        assert_eq!(record.process.origin, Some(Origin::Entrypoint));
        assert!(!shared.path().join("ran").exists(), "round {round}: the entrypoint ran");
    }
}

#[test]
fn origin_tells_sessions_from_the_entrypoint() {
    let Some(mut node) = Node::start() else { return };
    let shell = ProcessMatcher {
        names: vec![String::from("sh")],
        origin: OriginMatcher::ExecSession,
        ..ProcessMatcher::default()
    };
    let rules = vec![rule("no-session-shells", RuleAction::KillProcess, process(shell))];
    let running = node
        .containerd
        .container(&node.image, "origin")
        .command(["/opt/sh", "-c", "while true; do /opt/sh -c 'echo own'; /bin/sleep 1; done"])
        .start()
        .unwrap();
    let held = node.held.recv_timeout(DEADLINE).unwrap();
    assert_eq!(held.pid, running.pid);
    node.guard.apply(&scope(running.pid), &rule_set(rules)).unwrap();
    let denied = running.exec(&["/opt/sh", "-c", "echo session"]).unwrap();
    assert!(!text(&denied).contains("session\n"), "{}", text(&denied));
    let record = node.record();
    assert_eq!(record.process.origin, Some(Origin::ExecSession));
    let nested = running.exec(&["/bin/env", "/opt/sh", "-c", "echo nested"]).unwrap();
    assert!(!text(&nested).contains("nested\n"), "{}", text(&nested));
    assert_eq!(node.record().process.origin, Some(Origin::ExecSession));
    assert!(running.output().unwrap().contains("own"));
}

#[test]
fn programs_that_did_not_come_with_the_image_do_not_run() {
    let Some(mut node) = Node::start() else { return };
    let drift = DriftMatcher { execute: true, fileless: true, except: None };
    let rules = vec![rule("immutable", RuleAction::Block, Matcher::Drift(Arc::new(drift)))];
    let (running, _) = node.container("drift", rules);
    let dropped =
        running.exec(&["/bin/sh", "-c", "cp /bin/busybox /tmp/touch; /tmp/touch /tmp/ran; ls /tmp"]).unwrap();
    assert_eq!(text(&dropped).lines().filter(|line| *line == "ran").count(), 0, "{}", text(&dropped));
    let record = node.record();
    assert_eq!(record.outcome, Outcome::Killed);
    assert!(matches!(record.act, Act::Exec { ref path, .. } if path == b"/tmp/touch"));
}

#[test]
fn connections_are_refused_by_network_and_port() {
    let Some(mut node) = Node::start() else { return };
    let egress = NetworkMatcher {
        direction: moat_event::Direction::Egress,
        cidrs: vec![String::from("127.0.0.0/8"), String::from("::1/128")],
        ports: vec![String::from("1-1024")],
        protocols: Vec::new(),
        except: None,
    };
    let rules = vec![rule("egress", RuleAction::Block, Matcher::Network(Arc::new(egress)))];
    let (running, _) = node.container("network", rules);
    for (command, refused) in [
        (vec!["/bin/nc", "-w", "1", "127.0.0.1", "80"], true),
        (vec!["/bin/nc", "-w", "1", "127.0.0.1", "2000"], false),
        (vec!["/bin/nc", "-w", "1", "::1", "443"], true),
        (vec!["/bin/nc", "-w", "1", "::ffff:127.0.0.1", "80"], true),
    ] {
        let output = running.exec(&command).unwrap();
        let said = text(&output);
        assert_eq!(said.contains("Operation not permitted"), refused, "{command:?}: {said}");
        if refused {
            let record = node.record();
            assert_eq!(record.outcome, Outcome::Denied);
            assert!(matches!(record.act, Act::Connect { .. }), "{record:?}");
        }
    }
}

#[test]
fn a_rule_on_a_link_holds_where_the_link_leads() {
    let Some(mut node) = Node::start() else { return };
    let by_link = ProcessMatcher { paths: vec![String::from("/local/touch")], ..ProcessMatcher::default() };
    // Every applet is a link to busybox here: allowing one by its link must let it run.
    let allowed = ExecutableList {
        paths: ["/bin/cat", "/local/touch", "/bin/sleep"].map(String::from).to_vec(),
        ..ExecutableList::default()
    };
    let allow_list = ProcessMatcher { allow_only: Some(allowed), ..ProcessMatcher::default() };
    let rules = vec![
        rule("no-touch", RuleAction::Block, process(by_link)),
        rule("only-these", RuleAction::Block, process(allow_list)),
    ];
    let (running, _) = node.container("links", rules);
    let denied = running.exec(&["/opt/touch", "/tmp/x"]).unwrap();
    assert!(!denied.status.success(), "{}", text(&denied));
    assert_eq!(node.record().enforced, Some(0));
    let fine = running.exec(&["/bin/cat", "/etc/hostname"]).unwrap();
    assert!(!text(&fine).contains("not permitted"), "{}", text(&fine));
    let other = running.exec(&["/opt/sh", "-c", "echo ran"]).unwrap();
    assert!(!text(&other).contains("ran\n"), "{}", text(&other));
    assert_eq!(node.record().enforced, Some(1));
}
