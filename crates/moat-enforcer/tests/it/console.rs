//! The whole agent with a whole console: policies come down, events go up, whatever goes away in between.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_console::{Config, Started, Tls, console_actor};
use moat_event::EventType;
use moat_store::{ContainerFilter, NewEnrolmentToken, NewPolicy, PolicyState, Protection, Store};
use moat_wire::token::{EnrolmentToken, Secret};
use serde_json::{Value, json};
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
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            gateway,
            tls: Tls::Off,
            ..Config::new(state.to_owned())
        };
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

/// The API of a console as a browser uses it.
struct Api {
    client: reqwest::Client,
    url: String,
    cookie: String,
    csrf: String,
}

impl Api {
    /// Signs in as the first administrator.
    async fn sign_in(console: &mut Console) -> Api {
        let link = console.started.setup_link.take().expect("nobody can sign in yet");
        let url = format!("{}/api/v1", console.started.url);
        let client = reqwest::Client::new();
        let setup = json!({ "token": link.split_once('#').unwrap().1, "name": "admin", "password": "correct horse battery" });
        let response = client.post(format!("{url}/session/setup")).json(&setup).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split_once(';').unwrap().0.to_owned();
        let session: Value = response.json().await.unwrap();
        Api { client, url, cookie, csrf: session["csrf"].as_str().unwrap().to_owned() }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let request = request.header("cookie", &self.cookie).header("x-moat-csrf", &self.csrf);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.answer(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.answer(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_containers_do_is_in_the_inventory_and_a_policy_is_tried_on_it() {
    // reqwest asks for a provider even where nothing is encrypted; a second test finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let state = tempfile::tempdir().unwrap();
    let mut console = Console::start(state.path(), ([127, 0, 0, 1], 0).into()).await;
    let url = format!("https://{}", console.started.gateway);
    let Some(node) = Node::start_with_console(&url, &console.token().await).await else { return };
    let nginx = start(&node, "nginx");
    node.containers(|all| all.iter().any(|one| one.problem.is_empty())).await;
    exec(&nginx, &["/bin/cat", "/etc/hostname"]).await;
    exec(&nginx, &["/bin/nc", "-w", "1", "127.0.0.1", "9"]).await;

    let workload = console
        .until("what the container did", async |store| {
            let all = store.activities(None, Timestamp::UNIX_EPOCH, 100).await.unwrap();
            let ran = all.iter().find(|one| one.detail["exec"]["arguments"][0] == "/bin/cat")?;
            let connected = all.iter().any(|one| one.subject == "127.0.0.1:9/tcp");
            connected.then(|| format!("{}/{}/{}", ran.namespace, ran.workload_kind, ran.workload_name))
        })
        .await;
    let api = Api::sign_in(&mut console).await;
    let shown = api.get(&format!("/workloads/{workload}")).await;
    let activity = shown["activity"].as_array().unwrap();
    let ran = activity
        .iter()
        .find(|one| one["detail"]["exec"]["arguments"] == json!(["/bin/cat", "/etc/hostname"]))
        .unwrap_or_else(|| panic!("{activity:?}"));
    assert_eq!((&ran["kind"], &ran["subject"]), (&json!("Executed"), &json!("/bin/busybox")));
    assert_eq!(ran["detail"]["exec"]["origin"], "ExecSession");

    let rules = "- { name: no-cat, action: Block, process: { argsRegex: hostname } }\n  - { name: no-nine, action: Block, network: { direction: Egress, ports: [\"9\"] } }";
    let asked = json!({ "document": policy(rules), "hours": 1 });
    let answer = api.post("/policies/simulate", &asked).await;
    let denied: Vec<_> = answer["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|workload| workload["newlyDenied"].as_array().unwrap())
        .collect();
    let rules: std::collections::BTreeSet<_> =
        denied.iter().map(|change| change["after"]["rule"].as_str().unwrap()).collect();
    assert_eq!(rules.into_iter().collect::<Vec<_>>(), ["no-cat", "no-nine"], "{answer:#}");
    node.end().await;
    console.end().await;
}
