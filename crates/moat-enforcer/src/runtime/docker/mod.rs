//! Docker, through its Engine API.

mod client;

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
use super::hint::container_ids;
use super::{Answer, Change, Container, Hint, Kind, RESOLVE_DEADLINE, RuntimeError, RuntimeId, Source};
use client::Client;

/// Where Docker's containers are in the containerd that it uses.
pub const CONTAINERD_NAMESPACE: &str = "moby";
/// Docker has no namespaces; its containers are in this one for policies.
const NAMESPACE: &str = "default";
/// Starts and ends of containers: the filter `{"type":["container"],"event":["start","die"]}`.
const EVENTS: &str =
    "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%5D%7D";
/// How often a silent connection is tried.
const HEALTH_INTERVAL: Duration = Duration::from_secs(15);

/// A Docker daemon.
#[derive(Debug)]
pub struct Docker {
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

/// One of `GET /containers/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    id: String,
}

/// `GET /containers/ID/json`, as far as it is needed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    id: String,
    /// Begins with a slash.
    name: String,
    state: State,
    /// Id of the image.
    image: String,
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    /// 0 unless it runs.
    pid: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    /// The reference that the container was started from.
    image: String,
    labels: Option<Labels>,
}

/// `GET /images/ID/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    /// `NAME@sha256:…`; none of an image that no registry has seen.
    repo_digests: Option<Vec<String>>,
}

/// One line of `GET /events`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
}

impl Docker {
    pub fn new(socket: &Path) -> Self {
        Self { client: Client::new(socket) }
    }

    async fn inspect(&self, id: &str) -> Result<Option<Inspection>, RuntimeError> {
        let found: Option<Inspection> =
            self.client.get("container inspection", &format!("/containers/{id}/json")).await?;
        Ok(found.filter(|found| found.state.running && found.state.pid != 0))
    }

    async fn image_digest(&self, id: &str) -> Result<String, RuntimeError> {
        let image: Option<Image> = self.client.get("image inspection", &format!("/images/{id}/json")).await?;
        let digests = image.and_then(|image| image.repo_digests).unwrap_or_default();
        let digest = digests.first().and_then(|reference| reference.split_once('@'));
        Ok(digest.map(|(_, digest)| digest.to_owned()).unwrap_or_default())
    }

    async fn container(&self, id: &str) -> Result<Option<Container>, RuntimeError> {
        let Some(inspection) = self.inspect(id).await? else { return Ok(None) };
        let digest = self.image_digest(&inspection.image).await?;
        Ok(Some(describe(inspection, digest)))
    }

    async fn list_all(&self) -> Result<Vec<Container>, RuntimeError> {
        let summaries: Vec<Summary> =
            self.client.get("container list", "/containers/json").await?.unwrap_or_default();
        let mut digests = HashMap::new();
        let mut containers = Vec::new();
        for summary in summaries {
            let Some(inspection) = self.inspect(&summary.id).await? else { continue };
            let digest = if let Some(digest) = digests.get(&inspection.image) {
                String::clone(digest)
            } else {
                let digest = self.image_digest(&inspection.image).await?;
                digests.insert(inspection.image.clone(), digest.clone());
                digest
            };
            containers.push(describe(inspection, digest));
        }
        Ok(containers)
    }

    async fn resolve_hint(&self, hint: &Hint) -> Result<Option<Container>, RuntimeError> {
        let paths = hint.cgroup_paths();
        // Docker would take a name, too, and a path within its API.
        let ids = paths.iter().flat_map(|path| container_ids(path)).filter(|id| is_id(id));
        for id in ids {
            if let Some(container) = self.container(id).await?
                && hint.is_held_by(container.init_pid, &paths)
            {
                return Ok(Some(container));
            }
        }
        Ok(None)
    }
}

impl Follow for Docker {
    async fn follow(&self, feed: &mut Feed) -> Result<Infallible, RuntimeError> {
        // Docker answers before it has taken note of the listener, but repeats what happened since a time.
        let since = jiff::Timestamp::now().as_second();
        let mut events = self.client.lines("events", &format!("{EVENTS}&since={since}")).await?;
        feed.resync(self.list_all().await?).await;
        let mut health = interval(HEALTH_INTERVAL);
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next::<Event>() => {
                    let Event { action, actor: Actor { id } } = event?;
                    match action.as_str() {
                        "start" => {
                            if let Some(container) = self.container(&id).await? {
                                feed.send(Change::Created(container)).await;
                            }
                        }
                        "die" => feed.send(Change::Died(runtime_id(id))).await,
                        _ => {}
                    }
                }
                _ = health.tick() => {
                    self.version().await?;
                }
            }
        }
    }
}

impl Source for Docker {
    fn kind(&self) -> Kind {
        Kind::Docker
    }

    fn socket(&self) -> &Path {
        self.client.socket()
    }

    fn version(&self) -> Answer<'_, String> {
        Box::pin(async {
            let version: Option<Version> = self.client.get("version", "/version").await?;
            Ok(format!("{} {}", Kind::Docker, version.map(|answer| answer.version).unwrap_or_default()))
        })
    }

    fn list(&self) -> Answer<'_, Vec<Container>> {
        Box::pin(self.list_all())
    }

    fn resolve<'a>(&'a self, hint: &'a Hint) -> Answer<'a, Option<Container>> {
        Box::pin(async move {
            let (kind, call, deadline) = (Kind::Docker, "resolve", RESOLVE_DEADLINE);
            let found = timeout(deadline, self.resolve_hint(hint)).await;
            found.map_err(|_| RuntimeError::Deadline { kind, call, deadline })?
        })
    }

    fn unborn<'a>(&'a self, _id: &'a RuntimeId) -> Answer<'a, Option<Container>> {
        // dockerd answers nothing about a container while it starts it.
        Box::pin(async { Ok(None) })
    }

    fn watch(&self, changes: mpsc::Sender<Change>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(keep_following(self, changes))
    }

    /// Kills, because even `stop?t=0` sends a SIGTERM first, which the workload could use. Docker does not start
    /// a container again that was killed this way, whatever its restart policy.
    fn stop_pod<'a>(&'a self, container: &'a Container) -> Answer<'a, ()> {
        let path = format!("/containers/{}/kill?signal=KILL", container.runtime_id.id);
        Box::pin(async move { self.client.post("container kill", &path).await })
    }
}

fn describe(inspection: Inspection, image_digest: String) -> Container {
    let name = inspection.name.trim_start_matches('/').to_owned();
    Container {
        workload: Workload {
            namespace: NAMESPACE.to_owned(),
            pod: name.clone(),
            labels: inspection.config.labels.unwrap_or_default(),
            container: name.clone(),
            container_id: inspection.id.clone(),
            image: inspection.config.image,
            image_digest,
            kind: "Container".to_owned(),
            name,
            ..Workload::default()
        },
        runtime_id: runtime_id(inspection.id),
        init_pid: inspection.state.pid,
        sandbox: false,
        sandbox_id: None,
    }
}

fn runtime_id(id: String) -> RuntimeId {
    RuntimeId { namespace: String::new(), id }
}

/// Docker's ids are 32 random bytes in hexadecimal.
fn is_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
