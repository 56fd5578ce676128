//! containerd, through its own API: every namespace, Kubernetes' pods among them. Pods are stopped through the
//! Container Runtime Interface on the same socket.

mod describe;

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::{Code, Request, Streaming};

use super::cri::CriClient;
use super::feed::{Feed, Follow, keep_following};
use super::grpc::{CALL_DEADLINE, Connection, LIST_DEADLINE};
use super::hint::container_ids;
use super::proto::containers::containers_client::ContainersClient;
use super::proto::containers::{Container as Stored, GetContainerRequest, ListContainersRequest};
use super::proto::events::events_client::EventsClient;
use super::proto::events::{Envelope, PublishRequest, SubscribeRequest};
use super::proto::images::images_client::ImagesClient;
use super::proto::images::{GetImageRequest, ListImagesRequest};
use super::proto::namespaces::ListNamespacesRequest;
use super::proto::namespaces::namespaces_client::NamespacesClient;
use super::proto::task_events::{NamespaceUpdate, TaskCreate, TaskDelete, TaskExit};
use super::proto::tasks::tasks_client::TasksClient;
use super::proto::tasks::{GetRequest, KillRequest, ListTasksRequest, Process, Status};
use super::proto::version::version_client::VersionClient;
use super::{Answer, Change, Container, Hint, Kind, RESOLVE_DEADLINE, RuntimeError, RuntimeId, Source};

const KIND: Kind = Kind::Containerd;
/// How often a silent connection is tried.
const HEALTH_INTERVAL: Duration = Duration::from_secs(15);
/// Announces to ourselves that the subscription stands, see [`Containerd::subscribe`].
const SUBSCRIBED_TOPIC: &str = "/moat/subscribed";
const SUBSCRIBED_INTERVAL: Duration = Duration::from_millis(20);
const SIGKILL: u32 = 9;

/// A containerd.
#[derive(Debug)]
pub struct Containerd {
    connection: Connection,
    cri: CriClient,
    /// Namespaces that are somebody else's to report.
    except: Vec<String>,
}

impl Containerd {
    /// `except` names namespaces to leave out: `moby` where Docker is asked itself.
    pub fn new(socket: &Path, except: &[&str]) -> Self {
        let connection = Connection::new(KIND, socket);
        let cri = CriClient::new(connection.clone());
        Self { connection, cri, except: except.iter().map(ToString::to_string).collect() }
    }

    async fn namespaces(&self) -> Result<Vec<String>, RuntimeError> {
        let mut client = NamespacesClient::new(self.connection.channel());
        let answer = client.list(ListNamespacesRequest::default());
        let answer = self.connection.call("Namespaces.List", CALL_DEADLINE, answer).await?;
        let names = answer.namespaces.into_iter().map(|namespace| namespace.name);
        Ok(names.filter(|name| !self.except.contains(name)).collect())
    }

    /// The live first processes of a namespace.
    async fn tasks(&self, namespace: &str) -> Result<Vec<(String, u32)>, RuntimeError> {
        let mut client = TasksClient::new(self.connection.channel());
        let answer = client.list(within(namespace, ListTasksRequest::default())?);
        let answer = self.connection.call("Tasks.List", LIST_DEADLINE, answer).await?;
        Ok(answer.tasks.into_iter().filter(is_live).map(|task| (task.id, task.pid)).collect())
    }

    /// The pid of a container's first process, if it is alive.
    async fn task(&self, namespace: &str, id: &str) -> Result<Option<u32>, RuntimeError> {
        let mut client = TasksClient::new(self.connection.channel());
        let answer = client.get(within(namespace, GetRequest { container_id: id.to_owned() })?);
        let process = self.connection.find("Tasks.Get", answer).await?.and_then(|answer| answer.process);
        Ok(process.filter(is_live).map(|process| process.pid))
    }

    async fn stored(&self, namespace: &str, id: &str) -> Result<Option<Stored>, RuntimeError> {
        let mut client = ContainersClient::new(self.connection.channel());
        let answer = client.get(within(namespace, GetContainerRequest { id: id.to_owned() })?);
        Ok(self.connection.find("Containers.Get", answer).await?.and_then(|answer| answer.container))
    }

    async fn all_stored(&self, namespace: &str) -> Result<HashMap<String, Stored>, RuntimeError> {
        let call = "Containers.ListStream";
        let refused = |status: tonic::Status| self.connection.error(call, &status);
        let read = async {
            let mut client = ContainersClient::new(self.connection.channel());
            let request = within(namespace, ListContainersRequest::default())?;
            let mut stream = client.list_stream(request).await.map_err(refused)?.into_inner();
            let mut all = HashMap::new();
            while let Some(message) = stream.message().await.map_err(refused)? {
                if let Some(container) = message.container {
                    all.insert(container.id.clone(), container);
                }
            }
            Ok(all)
        };
        let deadline = LIST_DEADLINE;
        timeout(deadline, read).await.map_err(|_| RuntimeError::Deadline { kind: KIND, call, deadline })?
    }

    /// Digest of the image by its name in containerd's image store.
    async fn image_digest(&self, namespace: &str, name: &str) -> Result<Option<String>, RuntimeError> {
        let mut client = ImagesClient::new(self.connection.channel());
        let answer = client.get(within(namespace, GetImageRequest { name: name.to_owned() })?);
        let image = self.connection.find("Images.Get", answer).await?.and_then(|answer| answer.image);
        Ok(image.and_then(|image| image.target).map(|target| target.digest))
    }

    async fn image_digests(&self, namespace: &str) -> Result<HashMap<String, String>, RuntimeError> {
        let mut client = ImagesClient::new(self.connection.channel());
        let answer = client.list(within(namespace, ListImagesRequest::default())?);
        let answer = self.connection.call("Images.List", LIST_DEADLINE, answer).await?;
        let digests = answer.images.into_iter().filter_map(|image| Some((image.name, image.target?.digest)));
        Ok(digests.collect())
    }

    async fn list_namespace(&self, namespace: &str) -> Result<Vec<Container>, RuntimeError> {
        let tasks = self.tasks(namespace).await?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.all_stored(namespace).await?;
        let digests = self.image_digests(namespace).await?;
        let described = tasks.into_iter().filter_map(|(id, pid)| {
            let container = stored.get(&id)?;
            let annotations = describe::annotations(container);
            let sandbox = describe::sandbox_id(&annotations).and_then(|id| stored.get(id));
            let digest = digests.get(&container.image).cloned();
            Some(describe::describe(namespace, container, &annotations, sandbox, digest, pid))
        });
        Ok(described.collect())
    }

    /// One container with a known first process; `None` if it is gone.
    async fn container(
        &self,
        namespace: &str,
        id: &str,
        pid: u32,
    ) -> Result<Option<Container>, RuntimeError> {
        let Some(container) = self.stored(namespace, id).await? else { return Ok(None) };
        let annotations = describe::annotations(&container);
        let sandbox = async {
            match describe::sandbox_id(&annotations) {
                Some(sandbox) if sandbox != id => self.stored(namespace, sandbox).await,
                Some(_) => Ok(Some(container.clone())),
                None => Ok(None),
            }
        };
        let (sandbox, digest) = tokio::try_join!(sandbox, self.image_digest(namespace, &container.image))?;
        Ok(Some(describe::describe(namespace, &container, &annotations, sandbox.as_ref(), digest, pid)))
    }

    async fn resolve_hint(&self, hint: &Hint) -> Result<Option<Container>, RuntimeError> {
        let paths = hint.cgroup_paths();
        let namespaces = self.namespaces().await?;
        let candidates = paths.iter().flat_map(|path| container_ids(path));
        for id in candidates {
            for namespace in &namespaces {
                if let Some(pid) = self.task(namespace, id).await?
                    && hint.is_held_by(pid, &paths)
                    && let Some(container) = self.container(namespace, id, pid).await?
                {
                    return Ok(Some(container));
                }
            }
        }
        // The cgroup was named by somebody else (`ctr run --cgroup`): compare with every container's.
        for namespace in &namespaces {
            for (id, pid) in self.tasks(namespace).await? {
                if hint.is_held_by(pid, &paths) {
                    return self.container(namespace, &id, pid).await;
                }
            }
        }
        Ok(None)
    }

    /// Subscribes to the events of tasks. containerd answers only with the first event, and what happens before
    /// it took note of the subscription is lost; so an event of our own is published until it comes back.
    async fn subscribe(&self) -> Result<Streaming<Envelope>, RuntimeError> {
        let call = "Events.Subscribe";
        let topics = ["/tasks/create", "/tasks/exit", "/tasks/delete", SUBSCRIBED_TOPIC];
        let filters = topics.map(|topic| format!("topic==\"{topic}\"")).to_vec();
        let mut subscriber = EventsClient::new(self.connection.channel());
        let mut publisher = subscriber.clone();
        let mut subscription = pin!(subscriber.subscribe(SubscribeRequest { filters }));
        // A type that containerd's own clients can read, too: `ctr events` ends at one that it cannot.
        let event = prost_types::Any {
            type_url: "containerd.events.NamespaceUpdate".to_owned(),
            value: NamespaceUpdate { name: "moat".to_owned() }.encode_to_vec(),
        };
        let established = async {
            let mut tick = interval(SUBSCRIBED_INTERVAL);
            loop {
                tokio::select! {
                    answer = &mut subscription => {
                        return match answer {
                            Ok(stream) => Ok(stream.into_inner()),
                            Err(status) => Err(self.connection.error(call, &status)),
                        };
                    }
                    _ = tick.tick() => {
                        let topic = SUBSCRIBED_TOPIC.to_owned();
                        let announcement = within("moat", PublishRequest { topic, event: Some(event.clone()) })?;
                        let answer = publisher.publish(announcement);
                        self.connection.call("Events.Publish", CALL_DEADLINE, answer).await?;
                    }
                }
            }
        };
        let deadline = CALL_DEADLINE;
        timeout(deadline, established).await.map_err(|_| RuntimeError::Deadline {
            kind: KIND,
            call,
            deadline,
        })?
    }

    async fn change(&self, envelope: Envelope) -> Result<Option<Change>, RuntimeError> {
        let namespace = envelope.namespace;
        if self.except.contains(&namespace) {
            return Ok(None);
        }
        let payload = envelope.event.unwrap_or_default().value;
        let unreadable = |error: prost::DecodeError| RuntimeError::Malformed {
            kind: KIND,
            call: "Events.Subscribe",
            reason: error.to_string(),
        };
        let died = |container: String, process: String| {
            let first = process.is_empty() || process == container;
            first.then(|| Change::Died(RuntimeId { namespace: namespace.clone(), id: container }))
        };
        Ok(match envelope.topic.as_str() {
            "/tasks/create" => {
                let created = TaskCreate::decode(payload.as_slice()).map_err(unreadable)?;
                self.container(&namespace, &created.container_id, created.pid).await?.map(Change::Created)
            }
            "/tasks/exit" => {
                let exit = TaskExit::decode(payload.as_slice()).map_err(unreadable)?;
                died(exit.container_id, exit.id)
            }
            "/tasks/delete" => {
                let delete = TaskDelete::decode(payload.as_slice()).map_err(unreadable)?;
                died(delete.container_id, delete.id)
            }
            _ => None,
        })
    }

    async fn kill(&self, id: &RuntimeId) -> Result<(), RuntimeError> {
        let mut client = TasksClient::new(self.connection.channel());
        let request =
            KillRequest { container_id: id.id.clone(), signal: SIGKILL, all: true, ..KillRequest::default() };
        let answer = client.kill(within(&id.namespace, request)?);
        self.connection.find("Tasks.Kill", answer).await.map(drop)
    }
}

impl Follow for Containerd {
    async fn follow(&self, feed: &mut Feed) -> Result<Infallible, RuntimeError> {
        let mut events = self.subscribe().await?;
        feed.resync(self.list().await?).await;
        let mut health = interval(HEALTH_INTERVAL);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.message() => {
                    let closed = || tonic::Status::new(Code::Unavailable, "containerd closed the connection");
                    let event = event.and_then(|event| event.ok_or_else(closed));
                    let event = event.map_err(|status| self.connection.error("Events.Subscribe", &status))?;
                    if let Some(change) = self.change(event).await? {
                        feed.send(change).await;
                    }
                }
                _ = health.tick() => {
                    self.version().await?;
                }
            }
        }
    }
}

impl Source for Containerd {
    fn kind(&self) -> Kind {
        KIND
    }

    fn socket(&self) -> &Path {
        self.connection.socket()
    }

    fn version(&self) -> Answer<'_, String> {
        Box::pin(async {
            let mut client = VersionClient::new(self.connection.channel());
            let answer = self.connection.call("Version", CALL_DEADLINE, client.version(())).await?;
            Ok(format!("{KIND} {}", answer.version))
        })
    }

    fn list(&self) -> Answer<'_, Vec<Container>> {
        Box::pin(async {
            let mut containers = Vec::new();
            for namespace in self.namespaces().await? {
                containers.extend(self.list_namespace(&namespace).await?);
            }
            Ok(containers)
        })
    }

    fn resolve<'a>(&'a self, hint: &'a Hint) -> Answer<'a, Option<Container>> {
        Box::pin(async move {
            let (call, deadline) = ("resolve", RESOLVE_DEADLINE);
            let found = timeout(deadline, self.resolve_hint(hint)).await;
            found.map_err(|_| RuntimeError::Deadline { kind: KIND, call, deadline })?
        })
    }

    fn unborn<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Option<Container>> {
        Box::pin(async move {
            if self.except.contains(&id.namespace) {
                return Ok(None);
            }
            self.container(&id.namespace, &id.id, 0).await
        })
    }

    fn watch(&self, changes: mpsc::Sender<Change>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(keep_following(self, changes))
    }

    fn stop_pod<'a>(&'a self, container: &'a Container) -> Answer<'a, ()> {
        Box::pin(async move {
            match &container.sandbox_id {
                Some(sandbox) => self.cri.stop_pod_sandbox(sandbox).await,
                None => self.kill(&container.runtime_id).await,
            }
        })
    }
}

/// Addresses a request to one of containerd's namespaces.
fn within<T>(namespace: &str, message: T) -> Result<Request<T>, RuntimeError> {
    let mut request = Request::new(message);
    let value = namespace.parse().map_err(|_| RuntimeError::Malformed {
        kind: KIND,
        call: "Namespaces.List",
        reason: format!("namespace {namespace:?} is no header value"),
    })?;
    request.metadata_mut().insert("containerd-namespace", value);
    Ok(request)
}

fn is_live(process: &Process) -> bool {
    process.pid != 0
        && matches!(process.status(), Status::Created | Status::Running | Status::Paused | Status::Pausing)
}
