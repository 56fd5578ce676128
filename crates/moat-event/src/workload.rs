use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels by key, in key order.
pub type Labels = BTreeMap<String, String>;

/// The container that something happened in, as policies select it and events name it.
///
/// A container that Kubernetes did not start has its own name as `pod` and `container`, and the
/// runtime's namespace (`default` in containerd) as `namespace`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    pub namespace: String,
    pub namespace_labels: Labels,
    pub pod: String,
    /// The pod's labels; of a container without a pod its own.
    pub labels: Labels,
    pub container: String,
    pub container_id: String,
    /// The reference the container was started from, e.g. `docker.io/library/nginx:1.27`.
    pub image: String,
    /// `sha256:…`, empty where the runtime does not know it.
    pub image_digest: String,
    pub service_account: String,
    pub node: String,
    /// Kind of the controlling object (`Deployment`, `DaemonSet`, `Job`, `Pod` …), or `Container`.
    pub kind: String,
    /// Name of the controlling object, or the container's name.
    pub name: String,
}
