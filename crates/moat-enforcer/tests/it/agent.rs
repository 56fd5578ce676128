//! The whole agent with real containers, policies and kernel.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use moat_enforcer::runtime::Kind;
use moat_enforcer::{Choice, Config, RunError, Target, load_driver, run};
use moat_event::{Event, EventAction, EventType};
use moat_kernel::Instance;
use moat_testkit::{Containerd, Image, Running, skip};
use moat_wire::control::{Client, ContainerStatus, EventQuery};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct Node {
    pub containerd: Containerd,
    pub image: Image,
    pub folder: tempfile::TempDir,
    console: Option<String>,
    _cancel: CancelOnDrop,
    agent: JoinHandle<Result<(), RunError>>,
}

impl Node {
    /// An agent with this policy, or `None` where this machine can run none.
    pub async fn start(policy: &str) -> Option<Node> {
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
        // RUST_LOG=debug shows what the agent does; it may be set up by another test already.
        let _ = log.with_test_writer().try_init();
        let containerd = match Containerd::start() {
            Ok(containerd) => containerd,
            Err(why) => {
                skip("guard", format!("{why:#}"));
                return None;
            }
        };
        let image = Image::busybox("docker.io/moat-test/busybox:1").unwrap();
        containerd.import(&image).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        fs::write(folder.path().join("policies/policy.yaml"), policy).unwrap();
        Node::launch(containerd, image, folder, None).await
    }

    /// An agent of that console, or `None` where this machine can run none. Its token is in the file `token` of the
    /// folder.
    pub async fn start_with_console(url: &str, token: &str) -> Option<Node> {
        let mut node = Node::start(&policy(NO_PASSWD)).await?;
        fs::remove_file(node.folder.path().join("policies/policy.yaml")).unwrap();
        fs::write(node.folder.path().join("token"), token).unwrap();
        node.console = Some(url.to_owned());
        node.restart().await
    }

    /// Ends the agent and starts another one in its place.
    pub async fn restart(mut self) -> Option<Node> {
        self.client().await.shutdown().await.unwrap();
        timeout(DEADLINE, &mut self.agent).await.expect("the agent did not end").unwrap().unwrap();
        Node::launch(self.containerd, self.image, self.folder, self.console).await
    }

    async fn launch(
        containerd: Containerd,
        image: Image,
        folder: tempfile::TempDir,
        console: Option<String>,
    ) -> Option<Node> {
        let config = Config {
            policies: folder.path().join("policies"),
            enrolment_token_file: console.is_some().then(|| folder.path().join("token")),
            console: console.clone(),
            spool: 16,
            no_observe: false,
            state: folder.path().join("state"),
            runtime: Some(Kind::Containerd),
            socket: Some(containerd.socket()),
            events: Target::File(folder.path().join("events.jsonl")),
            oci_runtime: vec![containerd.oci_runtime().to_owned()],
            control: None,
            node: Some(String::from("node-1")),
            driver: Choice::Auto,
            supervised: false,
            restarted_after_millis: None,
        };
        let cancel = CancellationToken::new();
        let (runtimes, instance) = (config.oci_runtime.clone(), Instance::of(&config.state));
        let load = move |hierarchy: &_, sink, observations, held| {
            load_driver(Choice::Auto, hierarchy, &runtimes, instance, sink, observations, held)
        };
        let agent = tokio::spawn(run(config, load, cancel.clone(), cancel.clone()));
        let mut node = Node { containerd, image, folder, console, _cancel: CancelOnDrop(cancel), agent };
        let up = node.until(|node| node.control().exists() || node.agent.is_finished());
        timeout(DEADLINE, up).await.expect("the agent did not start");
        // It answers as soon as the driver is loaded, which takes longer than one question may on a busy machine.
        let answered = async {
            while !node.agent.is_finished() {
                if let Ok(mut client) = Client::connect(&node.control()).await
                    && client.status().await.is_ok()
                {
                    return true;
                }
                sleep(Duration::from_millis(10)).await;
            }
            false
        };
        if !timeout(DEADLINE, answered).await.expect("no answer and no end") {
            match (&mut node.agent).await.unwrap() {
                Err(RunError::Driver(why)) => skip("guard", why),
                ended => panic!("the agent ended: {ended:?}"),
            }
            return None;
        }
        Some(node)
    }

    async fn until(&self, mut reached: impl FnMut(&Node) -> bool) {
        while !reached(self) {
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn control(&self) -> PathBuf {
        self.folder.path().join("state/control.sock")
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.control()).await.unwrap()
    }

    /// The first event that `wanted` takes, kept or still to come.
    pub async fn event(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let query = EventQuery { follow: true, ..EventQuery::default() };
        let mut events = self.client().await.events(query).await.unwrap();
        let wanted = async {
            loop {
                let event = events.next().await.unwrap().expect("the agent ended");
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(DEADLINE, wanted).await.expect("the event did not come")
    }

    /// Asks until the containers are as `wanted`.
    pub async fn containers(&self, wanted: impl Fn(&[ContainerStatus]) -> bool) -> Vec<ContainerStatus> {
        let mut client = self.client().await;
        let wanted = async {
            loop {
                let containers = client.containers().await.unwrap();
                if wanted(&containers) {
                    return containers;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, wanted).await.expect("the containers did not become so")
    }

    pub async fn end(mut self) {
        self.client().await.shutdown().await.unwrap();
        timeout(DEADLINE, &mut self.agent).await.expect("the agent did not end").unwrap().unwrap();
        assert!(!self.control().exists(), "the control socket is left");
    }
}

/// Ends the agent with its node, however the test ends.
struct CancelOnDrop(CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

pub fn policy(rules: &str) -> String {
    format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: DisallowEtcAccessForNginx }}\nspec:\n  \
         labelSelector: {{ matchLabels: {{ app: nginx }} }}\n  mode: Enforce\n  rules:\n  {rules}\n"
    )
}

pub const NO_PASSWD: &str = "- { name: no-passwd, severity: High, action: Block, file: { paths: [/etc/passwd], operations: [Read] } }";

/// Runs a program in the container from outside, on a thread, for it blocks.
pub async fn exec(running: &Running, command: &'static [&'static str]) -> String {
    let running = running.clone();
    let output = tokio::task::spawn_blocking(move || running.exec(command)).await.unwrap().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

pub fn start(node: &Node, id: &str) -> Running {
    tokio::task::block_in_place(|| {
        node.containerd.container(&node.image, id).label("app", "nginx").start().unwrap()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_read_is_an_event_and_a_changed_policy_is_in_force_within_a_second() {
    let Some(node) = Node::start(&policy(NO_PASSWD)).await else { return };
    let nginx = start(&node, "nginx");
    let output = exec(&nginx, &["/bin/cat", "/etc/passwd"]).await;
    assert!(output.contains("Operation not permitted"), "{output}");
    let event = node.event(|event| event.event_type == EventType::FileAccess).await;
    assert_eq!(event.action, EventAction::Blocked);
    assert_eq!(event.policy_name.as_deref(), Some("DisallowEtcAccessForNginx"));
    assert_eq!(event.pod_name.as_deref(), Some("nginx"));
    assert_eq!(event.file_path.as_deref(), Some("/etc/passwd"));
    assert_eq!(event.message, "File access to /etc/passwd by nginx container is prohibited by policy.");
    assert_eq!(event.labels.get("app").map(String::as_str), Some("nginx"));
    let file = fs::read_to_string(node.folder.path().join("events.jsonl")).unwrap();
    assert!(
        file.lines().any(|line| serde_json::from_str::<Event>(line).is_ok_and(|kept| kept == event)),
        "{file}"
    );

    // Another rule is added; it holds within a second.
    let more = format!(
        "{NO_PASSWD}\n  - {{ name: no-group, action: Block, file: {{ paths: [/etc/group], operations: [Read] }} }}"
    );
    let saved = Instant::now();
    fs::write(node.folder.path().join("policies/policy.yaml"), policy(&more)).unwrap();
    node.containers(|all| all.iter().any(|one| one.rules == 2)).await;
    let took = saved.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    let output = exec(&nginx, &["/bin/cat", "/etc/group"]).await;
    assert!(output.contains("Operation not permitted"), "{output}");

    // Without the policy nothing is denied any more.
    fs::remove_file(node.folder.path().join("policies/policy.yaml")).unwrap();
    node.containers(|all| all.iter().any(|one| one.rules == 0 && one.problem.is_empty())).await;
    let output = exec(&nginx, &["/bin/cat", "/etc/passwd"]).await;
    assert!(output.contains("root:x:0"), "{output}");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_stopped_where_a_rule_demands_it_and_its_end_is_seen() {
    let rules = "- { name: no-wget, severity: Critical, action: KillPod, process: { paths: [/bin/busybox], argsRegex: \"wget\" } }";
    let Some(node) = Node::start(&policy(rules)).await else { return };
    let nginx = start(&node, "nginx");
    node.containers(|all| all.iter().any(|one| one.rules == 1)).await;
    exec(&nginx, &["/bin/wget", "http://127.0.0.1/"]).await;
    let event = node.event(|event| event.action == EventAction::PodKilled).await;
    assert_eq!(event.rule.as_deref(), Some("no-wget"));
    assert_eq!(event.container_name.as_deref(), Some("nginx"));
    node.containers(<[_]>::is_empty).await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_cut_off_from_the_network_where_a_rule_demands_it() {
    let rules =
        "- { name: no-wget, action: Quarantine, process: { paths: [/bin/busybox], argsRegex: \"wget\" } }";
    let Some(node) = Node::start(&policy(rules)).await else { return };
    let nginx = start(&node, "nginx");
    let connect: &[&str] = &["/bin/nc", "-w", "1", "127.0.0.1", "9"];
    assert!(exec(&nginx, connect).await.contains("Connection refused"));
    exec(&nginx, &["/bin/wget", "http://127.0.0.1/"]).await;
    let event = node.event(|event| event.action == EventAction::Quarantined).await;
    assert_eq!(event.rule.as_deref(), Some("no-wget"));
    let output = exec(&nginx, connect).await;
    assert!(output.contains("Operation not permitted"), "{output}");
    node.end().await;
}
