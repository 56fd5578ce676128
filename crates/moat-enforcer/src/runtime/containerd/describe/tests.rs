use std::collections::HashMap;

use serde_json::json;

use super::*;

fn stored(id: &str, labels: &[(&str, &str)], annotations: &serde_json::Value) -> Stored {
    let spec = json!({ "ociVersion": "1.0.2", "annotations": annotations }).to_string();
    Stored {
        id: id.to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        image: "docker.io/library/nginx@sha256:feed".to_owned(),
        spec: Some(prost_types::Any {
            type_url: "types.containerd.io/…/Spec".to_owned(),
            value: spec.into(),
        }),
        extensions: HashMap::new(),
    }
}

fn of_pod() -> Stored {
    stored(
        "c1",
        &[("io.cri-containerd.kind", "container"), ("io.kubernetes.container.name", "web")],
        &json!({
            CONTAINER_TYPE: "container",
            SANDBOX_ID: "s1",
            SANDBOX_NAME: "web-0",
            SANDBOX_NAMESPACE: "shop",
            CONTAINER_NAME: "web",
            IMAGE_NAME: "nginx:1.27",
        }),
    )
}

fn described(container: &Stored, sandbox: Option<&Stored>, digest: Option<&str>) -> Container {
    describe("k8s.io", container, &annotations(container), sandbox, digest.map(str::to_owned), 42)
}

#[test]
fn a_pod_is_known_without_the_sandbox_s_extension() {
    let sandbox = stored(
        "s1",
        &[("app", "web"), ("io.cri-containerd.kind", "sandbox")],
        &json!({ CONTAINER_TYPE: "sandbox", SANDBOX_ID: "s1" }),
    );
    let container = described(&of_pod(), Some(&sandbox), Some("sha256:beef"));
    let workload = &container.workload;
    assert_eq!((workload.namespace.as_str(), workload.pod.as_str()), ("shop", "web-0"));
    assert_eq!(workload.labels, Labels::from([("app".to_owned(), "web".to_owned())]));
    assert_eq!((workload.image.as_str(), workload.image_digest.as_str()), ("nginx:1.27", "sha256:beef"));
    assert!(!container.sandbox);
    assert!(described(&sandbox, Some(&sandbox), None).sandbox);
}

#[test]
fn a_sandbox_that_is_gone_costs_the_labels_alone() {
    let container = described(&of_pod(), None, None);
    assert_eq!(container.workload.pod, "web-0");
    assert!(container.workload.labels.is_empty());
    // The image is no longer in the store either: its reference still tells the digest.
    assert_eq!(container.workload.image_digest, "sha256:feed");
    assert_eq!(container.sandbox_id.as_deref(), Some("s1"));
}

#[test]
fn what_cannot_be_read_is_a_plain_container() {
    let mut broken = of_pod();
    broken.spec = Some(prost_types::Any { type_url: String::new(), value: b"{\"annotations\":7".to_vec() });
    let container = described(&broken, None, None);
    assert_eq!(container.workload.kind, "Container");
    assert_eq!(
        (container.workload.namespace.as_str(), container.workload.container.as_str()),
        ("k8s.io", "c1")
    );
    broken.spec = None;
    assert_eq!(described(&broken, None, None), container);

    let mut odd = of_pod();
    odd.extensions = HashMap::from([(SANDBOX_EXTENSION.to_owned(), prost_types::Any::default())]);
    assert_eq!(described(&of_pod(), Some(&odd), None).workload.pod, "web-0");
}
