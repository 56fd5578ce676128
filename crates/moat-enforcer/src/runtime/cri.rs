//! The Kubernetes Container Runtime Interface: all that CRI-O speaks, and how containerd is told to stop a pod.
//!
//! It has no events that every version sends, so that [`Crio`] asks once a second what runs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use moat_event::{Labels, Workload};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::feed::{Feed, Follow, keep_following};
use super::grpc::{CALL_DEADLINE, Connection, LIST_DEADLINE};
use super::hint::container_ids;
use super::proto::cri::runtime_service_client::RuntimeServiceClient;
use super::proto::cri::{
    ContainerState, ContainerStatus, ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest,
    PodSandboxMetadata, PodSandboxState, PodSandboxStatusRequest, StopPodSandboxRequest, VersionRequest,
};
use super::{Answer, Change, Container, Hint, Kind, RESOLVE_DEADLINE, RuntimeError, RuntimeId, Source};

/// How often [`Crio`] asks what runs.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Speaks the interface over a connection.
#[derive(Debug, Clone)]
pub struct CriClient {
    connection: Connection,
}

/// What containerd and CRI-O put into the `info` of a verbose answer, both under these names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    #[serde(default)]
    pid: u32,
    #[serde(default, rename = "sandboxID")]
    sandbox_id: String,
}

impl CriClient {
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    fn client(&self) -> RuntimeServiceClient<tonic::transport::Channel> {
        RuntimeServiceClient::new(self.connection.channel())
    }

    /// Stops the containers of a pod without grace, and its network. No error if it is gone.
    pub async fn stop_pod_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let mut client = self.client();
        let answer = client.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.to_owned() });
        // Longer than a look-up: the runtime waits until the processes have ended.
        let stopped = timeout(LIST_DEADLINE, answer).await;
        let (call, deadline) = ("StopPodSandbox", LIST_DEADLINE);
        match stopped {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == tonic::Code::NotFound => Ok(()),
            Ok(Err(status)) => Err(self.connection.error(call, &status)),
            Err(_) => Err(RuntimeError::Deadline { kind: self.connection.kind, call, deadline }),
        }
    }

    fn info(&self, call: &'static str, info: &HashMap<String, String>) -> Result<Info, RuntimeError> {
        let text = info.get("info").map_or("{}", String::as_str);
        serde_json::from_str(text).map_err(|error| RuntimeError::Malformed {
            kind: self.connection.kind,
            call,
            reason: error.to_string(),
        })
    }
}

/// CRI-O, or any other runtime that speaks the interface alone.
#[derive(Debug)]
pub struct Crio {
    cri: CriClient,
}

/// The pods by the id of their sandbox.
type Pods = HashMap<String, (PodSandboxMetadata, Labels)>;

impl Crio {
    pub fn new(socket: &Path) -> Self {
        Self { cri: CriClient::new(Connection::new(Kind::Crio, socket)) }
    }

    async fn pods(&self) -> Result<Pods, RuntimeError> {
        let mut client = self.cri.client();
        let answer = client.list_pod_sandbox(ListPodSandboxRequest {});
        let answer = self.cri.connection.call("ListPodSandbox", LIST_DEADLINE, answer).await?;
        let ready = answer.items.into_iter().filter(|pod| pod.state() == PodSandboxState::SandboxReady);
        Ok(ready
            .map(|pod| (pod.id, (pod.metadata.unwrap_or_default(), pod.labels.into_iter().collect())))
            .collect())
    }

    /// Ids of the containers that may have processes.
    async fn container_ids(&self) -> Result<Vec<String>, RuntimeError> {
        let mut client = self.cri.client();
        let answer = client.list_containers(ListContainersRequest {});
        let answer = self.cri.connection.call("ListContainers", LIST_DEADLINE, answer).await?;
        let live = answer.containers.into_iter().filter(|container| is_live(container.state()));
        Ok(live.map(|container| container.id).collect())
    }

    /// One container of a pod; `None` if it is gone or has no process yet.
    async fn container(&self, id: &str, pods: &Pods) -> Result<Option<Container>, RuntimeError> {
        let mut client = self.cri.client();
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
        let answer = self.cri.connection.find("ContainerStatus", client.container_status(request)).await?;
        let Some((status, info)) = answer.and_then(|answer| Some((answer.status?, answer.info))) else {
            return Ok(None);
        };
        let info = self.cri.info("ContainerStatus", &info)?;
        Ok((is_live(status.state()) && info.pid != 0).then(|| describe(status, &info, pods)))
    }

    /// A pod's sandbox; `None` if it is gone, or has no process at all, which CRI-O can do.
    async fn sandbox(&self, id: &str, pods: &Pods) -> Result<Option<Container>, RuntimeError> {
        let mut client = self.cri.client();
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let answer = self.cri.connection.find("PodSandboxStatus", client.pod_sandbox_status(request)).await?;
        let Some((status, info)) = answer.and_then(|answer| Some((answer.status?, answer.info))) else {
            return Ok(None);
        };
        let info = self.cri.info("PodSandboxStatus", &info)?;
        if status.state() != PodSandboxState::SandboxReady || info.pid == 0 {
            return Ok(None);
        }
        Ok(Some(Container { sandbox: true, ..in_pod(id.to_owned(), String::new(), info.pid, id, pods) }))
    }

    /// The containers and sandboxes that are not among `known`.
    async fn others(
        &self,
        known: &HashMap<String, Container>,
    ) -> Result<(Vec<String>, Vec<Container>), RuntimeError> {
        let pods = self.pods().await?;
        let ids = self.container_ids().await?;
        let mut found = Vec::new();
        for id in pods.keys().filter(|id| !known.contains_key(*id)) {
            found.extend(self.sandbox(id, &pods).await?);
        }
        for id in ids.iter().filter(|id| !known.contains_key(*id)) {
            found.extend(self.container(id, &pods).await?);
        }
        Ok((pods.into_keys().chain(ids).collect(), found))
    }

    async fn resolve_hint(&self, hint: &Hint) -> Result<Option<Container>, RuntimeError> {
        let paths = hint.cgroup_paths();
        let pods = self.pods().await?;
        for id in paths.iter().flat_map(|path| container_ids(path)) {
            let found = match self.container(id, &pods).await? {
                Some(container) => Some(container),
                None if pods.contains_key(id) => self.sandbox(id, &pods).await?,
                None => None,
            };
            if let Some(container) = found.filter(|found| hint.is_held_by(found.init_pid, &paths)) {
                return Ok(Some(container));
            }
        }
        Ok(None)
    }
}

impl Follow for Crio {
    async fn follow(&self, feed: &mut Feed) -> Result<Infallible, RuntimeError> {
        let (_, all) = self.others(&HashMap::new()).await?;
        let mut known: HashMap<_, _> =
            all.iter().map(|one| (one.runtime_id.id.clone(), one.clone())).collect();
        feed.resync(all).await;
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            poll.tick().await;
            let (live, created) = self.others(&known).await?;
            let live: std::collections::HashSet<_> = live.into_iter().collect();
            let died: Vec<_> = known.keys().filter(|id| !live.contains(*id)).cloned().collect();
            for id in died {
                if let Some(container) = known.remove(&id) {
                    feed.send(Change::Died(container.runtime_id)).await;
                }
            }
            for container in created {
                known.insert(container.runtime_id.id.clone(), container.clone());
                feed.send(Change::Created(container)).await;
            }
        }
    }
}

impl Source for Crio {
    fn kind(&self) -> Kind {
        Kind::Crio
    }

    fn socket(&self) -> &Path {
        self.cri.connection.socket()
    }

    fn version(&self) -> Answer<'_, String> {
        Box::pin(async {
            let mut client = self.cri.client();
            let answer = client.version(VersionRequest::default());
            let answer = self.cri.connection.call("Version", CALL_DEADLINE, answer).await?;
            Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
        })
    }

    fn list(&self) -> Answer<'_, Vec<Container>> {
        Box::pin(async { Ok(self.others(&HashMap::new()).await?.1) })
    }

    fn resolve<'a>(&'a self, hint: &'a Hint) -> Answer<'a, Option<Container>> {
        Box::pin(async move {
            let (call, deadline) = ("resolve", RESOLVE_DEADLINE);
            let found = timeout(deadline, self.resolve_hint(hint)).await;
            found.map_err(|_| RuntimeError::Deadline { kind: Kind::Crio, call, deadline })?
        })
    }

    fn unborn<'a>(&'a self, _id: &'a RuntimeId) -> Answer<'a, Option<Container>> {
        // a container is known once it is made.
        Box::pin(async { Ok(None) })
    }

    fn watch(&self, changes: mpsc::Sender<Change>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(keep_following(self, changes))
    }

    fn stop_pod<'a>(&'a self, container: &'a Container) -> Answer<'a, ()> {
        // The interface knows no container outside a pod.
        Box::pin(async move {
            match &container.sandbox_id {
                Some(sandbox) => self.cri.stop_pod_sandbox(sandbox).await,
                None => Ok(()),
            }
        })
    }
}

fn is_live(state: ContainerState) -> bool {
    matches!(state, ContainerState::ContainerCreated | ContainerState::ContainerRunning)
}

fn describe(status: ContainerStatus, info: &Info, pods: &Pods) -> Container {
    let name = status.metadata.map(|metadata| metadata.name).unwrap_or_default();
    let image = status.image.unwrap_or_default();
    let mut container = in_pod(status.id, name, info.pid, &info.sandbox_id, pods);
    container.workload.image =
        if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image };
    // `NAME@sha256:…`, or `sha256:…` of the image's configuration, which is no digest of the image.
    container.workload.image_digest =
        status.image_ref.split_once('@').map(|(_, digest)| digest.to_owned()).unwrap_or_default();
    container
}

fn in_pod(id: String, name: String, init_pid: u32, sandbox: &str, pods: &Pods) -> Container {
    let (pod, labels) = pods.get(sandbox).cloned().unwrap_or_default();
    Container {
        workload: Workload {
            namespace: pod.namespace,
            name: pod.name.clone(),
            pod: pod.name,
            labels,
            container: name,
            container_id: id.clone(),
            kind: "Pod".to_owned(),
            ..Workload::default()
        },
        runtime_id: RuntimeId { namespace: String::new(), id },
        init_pid,
        sandbox: false,
        sandbox_id: Some(sandbox.to_owned()),
    }
}
