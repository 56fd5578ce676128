//! A node under test: `moat up` for the containers of a private containerd, its policies and its events.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use moat_event::{Event, EventAction, EventType};
use moat_testkit::{Containerd, Image, NewContainer, Pods, Running, skip};
use moat_wire::control::{Client, ContainerStatus, Status};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use tokio::time::{interval, timeout};

/// How long anything here may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// How often the agent is asked while something is waited for that no event tells.
const ASK: Duration = Duration::from_millis(10);

/// Limits on the node are shared by all agents: a test that is about them runs alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum Share {
    One(RwLockReadGuard<'static, ()>),
    Whole(RwLockWriteGuard<'static, ()>),
}

/// Dropping it ends the agent, the containers and containerd.
#[derive(Debug)]
pub struct Node {
    supervisor: Child,
    // Ended by drop when a test fails; after the supervisor.
    pub containerd: Containerd,
    pub image: Image,
    /// containerd's, for containers without a pod.
    pub namespace: String,
    pub folder: TempDir,
    events: mpsc::UnboundedReceiver<String>,
    /// Events that came, oldest first.
    pub seen: Vec<Event>,
    _share: Share,
}

impl Node {
    /// A node whose containers are of `image`; `None`, said as skipped, where this machine can run none.
    pub async fn start(image: Image) -> Option<Node> {
        let share = Share::One(MACHINE.read().await);
        Node::start_as(share, image).await
    }

    /// While no other test runs an agent.
    pub async fn start_alone(image: Image) -> Option<Node> {
        let share = Share::Whole(MACHINE.write().await);
        Node::start_as(share, image).await
    }

    async fn start_as(share: Share, image: Image) -> Option<Node> {
        let enforcer = Path::new(env!("CARGO_BIN_EXE_moat")).with_file_name("moat-enforcer");
        assert!(enforcer.exists(), "{} is not built; run: cargo build --workspace", enforcer.display());
        let containerd = match tokio::task::block_in_place(Containerd::start) {
            Ok(containerd) => containerd,
            Err(why) => {
                skip("guard", format!("{why:#}"));
                return None;
            }
        };
        // A cgroup is named by containerd's namespace and the container; another test must not share it.
        let namespace = containerd.oci_runtime().to_owned();
        for namespace in [namespace.as_str(), "k8s.io"] {
            containerd.import_into(namespace, &image).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        let (to, events) = mpsc::unbounded_channel();
        let mut supervisor = moat_up(&containerd, folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        let mut node = Node {
            supervisor,
            containerd,
            image,
            namespace,
            folder,
            events,
            seen: Vec::new(),
            _share: share,
        };
        let serves = timeout(DEADLINE, async {
            let mut beat = interval(ASK);
            while node.supervisor.try_wait().unwrap().is_none() {
                beat.tick().await;
                // The first answer comes when rules can be held.
                if node.try_status().await.is_some() {
                    return true;
                }
            }
            false
        });
        if serves.await != Ok(true) {
            let doctor = node.moat(&["doctor", "--json"]).await;
            let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_default();
            if doctor.get("enforceable") == Some(&Value::Bool(false)) {
                skip("guard", "this kernel can hold no rules; `moat doctor` says why");
                return None;
            }
            panic!("moat up does not serve:\n{}", node.log());
        }
        Some(node)
    }

    pub fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// What `moat up` and its agent said on standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("moat.log")).unwrap()
    }

    /// Runs a command of `moat` against this agent.
    pub async fn moat(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moat"));
        command.args(arguments).arg("--control").arg(self.control());
        command.env("MOAT_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/empty.yaml"));
        command.stdin(Stdio::null()).kill_on_drop(true);
        timeout(DEADLINE, command.output()).await.unwrap().unwrap()
    }

    async fn try_status(&self) -> Option<Status> {
        Client::connect(&self.control()).await.ok()?.status().await.ok()
    }

    /// Of the agent that answers now, once one does.
    pub async fn status(&self) -> Status {
        self.until("the agent answers", async || self.try_status().await).await
    }

    /// Asks until there is an answer.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asking = async {
            let mut beat = interval(ASK);
            loop {
                beat.tick().await;
                if let Some(answer) = ask().await {
                    return answer;
                }
            }
        };
        let answer = timeout(DEADLINE, asking).await;
        answer.unwrap_or_else(|_| panic!("in vain awaited: {what}\n{}", self.log()))
    }

    /// Saves a policy file; whether it is in force is another question.
    pub fn write(&self, file: &str, text: &str) {
        // As careful programs save: the whole file at once.
        let path = self.folder.path().join("policies").join(file);
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join("policies").join(file)).unwrap();
    }

    /// Waits until the agent has read that many policies.
    pub async fn loaded(&self, policies: usize) {
        let count = async || {
            let status = self.try_status().await?;
            (status.policies == policies).then_some(())
        };
        self.until(&format!("{policies} policies"), count).await;
    }

    /// Waits until the containers are as `wanted`.
    pub async fn containers(
        &self,
        what: &str,
        wanted: impl Fn(&[ContainerStatus]) -> bool,
    ) -> Vec<ContainerStatus> {
        let ask = async || {
            let containers = Client::connect(&self.control()).await.ok()?.containers().await.ok()?;
            wanted(&containers).then_some(containers)
        };
        self.until(what, ask).await
    }

    /// Waits until a container has exactly that many rules in force.
    pub async fn rules(&self, container: &str, rules: usize) {
        self.containers(&format!("{rules} rules in {container}"), |all| {
            all.iter().any(|one| {
                one.workload.container == container && one.rules == rules && one.problem.is_empty()
            })
        })
        .await;
    }

    /// A container with the label `app=ID`.
    pub fn container(&self, id: &str) -> NewContainer<'_> {
        self.container_of(id, id)
    }

    /// A container with the label `app=APP`.
    pub fn container_of(&self, app: &str, id: &str) -> NewContainer<'_> {
        self.containerd.container(&self.image, id).namespace(&self.namespace).label("app", app)
    }

    pub fn run(&self, id: &str) -> Running {
        tokio::task::block_in_place(|| self.container(id).start()).unwrap()
    }

    pub async fn pods(&self) -> Pods {
        Pods::connect(&self.containerd).await.unwrap()
    }

    /// The first event, of those that came and those to come, that is as `wanted`.
    pub async fn event(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let mut looked_at = 0;
        let found = timeout(DEADLINE, async {
            loop {
                if let Some(event) = self.seen.get(looked_at..).unwrap_or_default().iter().find(|e| wanted(e))
                {
                    return event.clone();
                }
                looked_at = self.seen.len();
                let line = self.events.recv().await.expect("moat up closed its output");
                self.seen.push(parse(&line));
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("no event: {what}\n{}\n{:#?}", self.log(), self.seen.last()))
    }

    /// Everything that has been written by now.
    pub fn drain(&mut self) -> &[Event] {
        while let Ok(line) = self.events.try_recv() {
            self.seen.push(parse(&line));
        }
        &self.seen
    }

    /// Waits until an execution was denied in that container, by that rule.
    pub async fn denied_exec(&mut self, container: &str, rule: &str) -> Event {
        let event = self
            .event(&format!("{rule} in {container}"), |event| {
                event.event_type == EventType::ProcessExec
                    && event.container_name.as_deref() == Some(container)
                    && event.rule.as_deref() == Some(rule)
            })
            .await;
        assert!(matches!(event.action, EventAction::Blocked | EventAction::Killed), "{event:?}");
        event
    }

    /// Asks `moat up` to end, and waits for it; its last events are seen.
    pub async fn end(&mut self) {
        let pid = self.supervisor.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        kill_process(pid.expect("moat up has ended before"), Signal::TERM).unwrap();
        self.ended().await;
    }

    /// Waits for the end of `moat up`, which must be in order.
    pub async fn ended(&mut self) {
        let status = timeout(DEADLINE, self.supervisor.wait()).await.expect("moat up does not end").unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        while let Some(line) = self.events.recv().await {
            self.seen.push(parse(&line));
        }
        assert!(!self.control().exists(), "the control socket is left");
    }

    /// Events of Moat about itself that say that something went wrong.
    pub fn complaints(&mut self) -> Vec<String> {
        let system = self.drain().iter().filter(|event| event.event_type == EventType::System);
        system.map(|event| event.message.clone()).collect()
    }
}

fn moat_up(containerd: &Containerd, folder: &Path) -> Command {
    let log = File::create(folder.join("moat.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_moat"));
    command
        .args(["up", "--no-console", "--events", "-", "--runtime", "containerd", "--socket"])
        .arg(containerd.socket());
    command.args(["--oci-runtime", containerd.oci_runtime()]);
    for (flag, name) in [("--policies", "policies"), ("--state", "state"), ("--control", "control.sock")] {
        command.arg(flag).arg(folder.join(name));
    }
    command.env("MOAT_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/empty.yaml"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
    command
}

fn parse(line: &str) -> Event {
    match serde_json::from_str(line) {
        Ok(event) => event,
        Err(error) => panic!("{error} in the event line {line:?}"),
    }
}

/// A policy for the containers with the label `app=APP`.
pub fn policy(name: &str, app: &str, rules: &str) -> String {
    format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: {name} }}\nspec:\n  \
         labelSelector: {{ matchLabels: {{ app: {app} }} }}\n  mode: Enforce\n  rules:\n{rules}\n"
    )
}

/// Runs a program in the container from outside; `ctr` blocks, the test's other tasks go on.
pub fn exec(running: &Running, command: &[&str]) -> Output {
    tokio::task::block_in_place(|| running.exec(command)).unwrap()
}

/// Both outputs as one text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
