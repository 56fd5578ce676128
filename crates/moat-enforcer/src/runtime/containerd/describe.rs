//! What containerd stores of a container, read as a workload. Pure.
//!
//! containerd's CRI plugin writes whose a container is into the annotations of its OCI specification and into an
//! extension. Both are there before the container's first process is, which the plugin's own interface cannot
//! say of a sandbox; so they are used, and not that.

use std::collections::BTreeMap;

use moat_event::{Labels, Workload};
use serde::Deserialize;

use crate::runtime::proto::containers::Container as Stored;
use crate::runtime::{Container, RuntimeId};

type Annotations = BTreeMap<String, String>;

// Written by containerd, pkg/cri/annotations (internal/cri/annotations from 2.0 on).
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";
const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";
const SANDBOX_NAME: &str = "io.kubernetes.cri.sandbox-name";
const SANDBOX_NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";
const CONTAINER_NAME: &str = "io.kubernetes.cri.container-name";
const IMAGE_NAME: &str = "io.kubernetes.cri.image-name";
const SANDBOX_EXTENSION: &str = "io.cri-containerd.sandbox.metadata";
/// Labels of the CRI plugin itself among those of a sandbox.
const PLUGIN_LABELS: &str = "io.cri-containerd.";
/// The name that nerdctl shows.
const NERDCTL_NAME: &str = "nerdctl/name";

/// What is read of the OCI specification (runtime-spec v1.0, config.md).
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: Annotations,
}

/// What is read of the sandbox's extension, which the plugin versions as `v1`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SandboxExtension {
    metadata: SandboxMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SandboxMetadata {
    config: SandboxConfig,
}

#[derive(Deserialize)]
struct SandboxConfig {
    metadata: PodMetadata,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize)]
struct PodMetadata {
    name: String,
    namespace: String,
}

/// The annotations of a container's specification; none if it cannot be read.
pub fn annotations(container: &Stored) -> Annotations {
    let spec = container.spec.as_ref().map(|spec| serde_json::from_slice::<Spec>(&spec.value));
    match spec {
        Some(Ok(spec)) => spec.annotations,
        Some(Err(error)) => {
            tracing::warn!(id = ?container.id, %error, "container without a readable OCI specification");
            Annotations::new()
        }
        None => Annotations::new(),
    }
}

/// Id of the pod's sandbox, of a container that is in a pod; a sandbox is in its own.
pub fn sandbox_id(annotations: &Annotations) -> Option<&str> {
    annotations.get(CONTAINER_TYPE)?;
    annotations.get(SANDBOX_ID).map(String::as_str)
}

/// Puts together what is known. `sandbox` is what is stored of the pod's sandbox, if there is a pod.
pub fn describe(
    namespace: &str,
    container: &Stored,
    annotations: &Annotations,
    sandbox: Option<&Stored>,
    image_digest: Option<String>,
    init_pid: u32,
) -> Container {
    let sandbox_id = sandbox_id(annotations).map(str::to_owned);
    let text = |key: &str| annotations.get(key).cloned();
    let image = text(IMAGE_NAME).unwrap_or_else(|| container.image.clone());
    let image_digest = image_digest
        .or_else(|| container.image.split_once('@').map(|(_, digest)| digest.to_owned()))
        .unwrap_or_default();
    let known = Workload { container_id: container.id.clone(), image, image_digest, ..Workload::default() };
    let workload = if sandbox_id.is_some() {
        let (pod_namespace, pod, labels) = pod(annotations, sandbox);
        Workload {
            namespace: pod_namespace,
            name: pod.clone(),
            pod,
            labels,
            container: text(CONTAINER_NAME)
                .or_else(|| container.labels.get("io.kubernetes.container.name").cloned())
                .unwrap_or_default(),
            kind: "Pod".to_owned(),
            ..known
        }
    } else {
        let name = container.labels.get(NERDCTL_NAME).unwrap_or(&container.id);
        Workload {
            namespace: namespace.to_owned(),
            pod: name.clone(),
            container: name.clone(),
            name: name.clone(),
            labels: container.labels.clone().into_iter().collect(),
            kind: "Container".to_owned(),
            ..known
        }
    };
    Container {
        workload,
        runtime_id: RuntimeId { namespace: namespace.to_owned(), id: container.id.clone() },
        init_pid,
        sandbox: annotations.get(CONTAINER_TYPE).is_some_and(|kind| kind == "sandbox"),
        sandbox_id,
    }
}

/// Namespace, name and labels of a pod: from the sandbox's extension, which is complete, or else from its
/// annotations and from the labels that the plugin copies.
fn pod(annotations: &Annotations, sandbox: Option<&Stored>) -> (String, String, Labels) {
    let extension = sandbox.and_then(|sandbox| sandbox.extensions.get(SANDBOX_EXTENSION));
    match extension.map(|extension| serde_json::from_slice::<SandboxExtension>(&extension.value)) {
        Some(Ok(SandboxExtension { metadata: SandboxMetadata { config } })) => {
            return (config.metadata.namespace, config.metadata.name, config.labels);
        }
        Some(Err(error)) => tracing::debug!(%error, "sandbox with an unknown form of extension"),
        None => {}
    }
    let labels = sandbox.map(|sandbox| sandbox.labels.clone()).unwrap_or_default();
    let text = |annotation: &str, label: &str| {
        annotations.get(annotation).or_else(|| labels.get(label)).cloned().unwrap_or_default()
    };
    let namespace = text(SANDBOX_NAMESPACE, "io.kubernetes.pod.namespace");
    let name = text(SANDBOX_NAME, "io.kubernetes.pod.name");
    (namespace, name, labels.into_iter().filter(|(key, _)| !key.starts_with(PLUGIN_LABELS)).collect())
}

#[cfg(test)]
mod tests;
