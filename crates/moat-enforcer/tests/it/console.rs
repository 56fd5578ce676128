//! The whole agent with a whole console: policies come down, events go up, whatever goes away in between.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_console::{Config, Started, console_actor};
use moat_event::EventType;
use moat_store::{ContainerFilter, NewEnrolmentToken, NewPolicy, PolicyState, Protection, Store};
use moat_wire::token::{EnrolmentToken, Secret};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::{NO_PASSWD, Node, exec, policy, start};

const DEADLINE: Duration = Duration::from_mins(1);

struct Console {
    started: Started,
    cancel: CancellationToken,
}

impl Console {
    async fn start(state: &Path, gateway: SocketAddr) -> Console {
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), gateway, ..Config::new(state.to_owned()) };
        let cancel = CancellationToken::new();
        Console { started: moat_console::start(config, cancel.clone()).await.unwrap(), cancel }
    }

    fn store(&self) -> &Store {
        self.started.console.store()
    }

    async fn token(&self) -> String {
        let secret = Secret::generate().unwrap();
        let new = NewEnrolmentToken {
            label: String::from("test"),
            secret_hash: secret.hash(),
            uses: 1,
            expires_at: Timestamp::now() + SignedDuration::from_hours(1),
        };
        let mut transaction = self.store().begin(&console_actor()).await.unwrap();
        let kept = transaction.create_enrolment_token(new).await.unwrap();
        transaction.commit().await.unwrap();
        let authority = self.started.console.authority().fingerprint();
        EnrolmentToken { id: kept.id.parse().unwrap(), secret, authority }.reveal()
    }

    async fn put(&self, document: String) {
        let new = NewPolicy {
            name: String::from("DisallowEtcAccessForNginx"),
            kind: String::from("RuntimePolicy"),
            document,
            mode: String::from("Enforce"),
            rules: 1,
        };
        let mut transaction = self.store().begin(&console_actor()).await.unwrap();
        transaction.create_policy(new, "").await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Waits until what the store holds is as wanted.
    async fn until<T>(&self, what: &str, wanted: impl AsyncFn(&Store) -> Option<T>) -> T {
        let waiting = async {
            let mut watch = self.store().watch();
            loop {
                if let Some(found) = wanted(self.store()).await {
                    return found;
                }
                watch.changed().await;
            }
        };
        timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
    }

    async fn end(self) {
        self.cancel.cancel();
        self.started.wait().await;
    }
}

/// Denied reads that the console knows of.
async fn denials(store: &Store) -> u64 {
    let events = store.events_after(0, 10_000).await.unwrap();
    events
        .iter()
        .filter(|stored| stored.event.event_type == EventType::FileAccess)
        .map(|stored| stored.event.count)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_console_is_enforced_with_it_and_without_it_and_nothing_is_lost() {
    let state = tempfile::tempdir().unwrap();
    let console = Console::start(state.path(), ([127, 0, 0, 1], 0).into()).await;
    let gateway = console.started.gateway;
    let url = format!("https://{gateway}");
    let Some(node) = Node::start_with_console(&url, &console.token().await).await else { return };
    let nginx = start(&node, "nginx");
    console.put(policy(NO_PASSWD)).await;
    let read: &[&str] = &["/bin/cat", "/etc/passwd"];

    // Down: the policy is in force, and the console knows it.
    let status = console
        .until("the policy in force", async |store| {
            let statuses = store.policy_statuses(None, None).await.unwrap();
            let held = |state| matches!(state, PolicyState::Enforced | PolicyState::Degraded);
            statuses.into_iter().find(|status| held(status.state) && status.containers == 1)
        })
        .await;
    assert_eq!(status.revision, 1);
    let output = exec(&nginx, read).await;
    assert!(output.contains("Operation not permitted"), "{output}");

    // Up: the event and the container.
    console.until("the denied read", async |store| (denials(store).await == 1).then_some(())).await;
    let container = console
        .until("the container", async |store| {
            let containers = store.containers(&ContainerFilter::default()).await.unwrap();
            containers.into_iter().find(|container| container.protection == Protection::Protected)
        })
        .await;
    assert_eq!(container.policies, ["DisallowEtcAccessForNginx"]);
    // Whatever came first, the event knows its workload.
    let events = console.store().events_after(0, 10_000).await.unwrap();
    let denied = events.iter().find(|stored| stored.event.event_type == EventType::FileAccess).unwrap();
    let workload = &container.workload;
    let name = format!("{}/{}/{}", workload.namespace, workload.kind, workload.name);
    assert_eq!(denied.workload.as_deref(), Some(name.as_str()));

    // Without the console, and over a restart without it.
    console.end().await;
    let output = exec(&nginx, read).await;
    assert!(output.contains("Operation not permitted"), "{output}");
    let node = node.restart().await.unwrap();
    node.containers(|all| all.iter().any(|one| one.rules == 1 && one.problem.is_empty())).await;
    let output = exec(&nginx, read).await;
    assert!(output.contains("Operation not permitted"), "{output}");

    // It comes back: what happened meanwhile is there, once.
    let console = Console::start(state.path(), gateway).await;
    console.until("what happened meanwhile", async |store| (denials(store).await >= 3).then_some(())).await;
    assert_eq!(denials(console.store()).await, 3);

    // A policy of the node's own folder comes before the console's of the same name, and the console is told.
    let own = NO_PASSWD.replace("/etc/passwd", "/etc/group");
    std::fs::write(node.folder.path().join("policies/own.yaml"), policy(&own)).unwrap();
    let refused = console
        .until("the refusal", async |store| {
            let statuses = store.policy_statuses(None, None).await.unwrap();
            statuses.into_iter().find(|status| status.state == PolicyState::Refused)
        })
        .await;
    assert!(refused.reasons.iter().any(|reason| reason.contains("own.yaml")), "{refused:?}");
    let output = exec(&nginx, read).await;
    assert!(output.contains("root:x:0"), "{output}");
    let told = console
        .until("the node's own policy", async |store| {
            let policies = store.node_policies_of(&refused.enforcer_id).await.unwrap();
            policies.into_iter().find(|policy| policy.containers == 1)
        })
        .await;
    assert!(told.file.ends_with("policies/own.yaml") && told.document.contains("/etc/group"), "{told:?}");
    assert!(matches!(told.state, PolicyState::Enforced | PolicyState::Degraded), "{told:?}");
    // Once the file is gone, so is the policy.
    std::fs::remove_file(node.folder.path().join("policies/own.yaml")).unwrap();
    console
        .until("that it is gone", async |store| {
            store.node_policies_of(&refused.enforcer_id).await.unwrap().is_empty().then_some(())
        })
        .await;
    node.end().await;
    console.end().await;
}
