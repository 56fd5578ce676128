//! Pods, started through the Container Runtime Interface as kubelet does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::containerd::PAUSE_IMAGE;
use crate::{Containerd, Image};

#[allow(clippy::all, clippy::pedantic, reason = "generated code")]
mod proto {
    tonic::include_proto!("runtime.v1");
}
use proto::image_service_client::ImageServiceClient;
use proto::runtime_service_client::RuntimeServiceClient;

const DEADLINE: Duration = Duration::from_mins(1);
/// The plugin tells nobody when it has learnt of an image, so it is asked this often.
const IMAGE_INTERVAL: Duration = Duration::from_millis(10);

/// Runs pods in a [`Containerd`].
#[derive(Debug, Clone)]
pub struct Pods {
    client: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    logs: PathBuf,
}

/// A pod's sandbox.
#[derive(Debug, Clone)]
pub struct Pod {
    pub sandbox_id: String,
    /// On the private bridge, reachable from other pods.
    pub address: IpAddr,
    config: proto::PodSandboxConfig,
}

/// A container in a pod.
#[derive(Debug, Clone)]
pub struct PodContainer {
    pub id: String,
}

/// What a program run in a container printed, and its exit status.
#[derive(Debug, Clone)]
pub struct ExecOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}

impl Pods {
    /// Connects, and makes the image of the sandboxes.
    pub async fn connect(containerd: &Containerd) -> anyhow::Result<Self> {
        let pause = Image::busybox(PAUSE_IMAGE)?;
        containerd.import_into("k8s.io", &pause)?;
        containerd.uses_cgroup("k8s.io");
        let socket = containerd.socket();
        // The address is not used; a request over a Unix socket still has to name one.
        let channel = Endpoint::from_static("http://localhost")
            .timeout(DEADLINE)
            .connect_with_connector(tower::service_fn(move |_| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            }))
            .await?;
        Ok(Self {
            client: RuntimeServiceClient::new(channel.clone()),
            images: ImageServiceClient::new(channel),
            logs: containerd.path().join("logs"),
        })
    }

    /// Waits until pods can use an imported image: containerd's CRI plugin learns of it some time after.
    async fn await_image(&self, name: &str) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let image = Some(proto::ImageSpec { image: name.to_owned() });
                let answer = self.images.clone().image_status(proto::ImageStatusRequest { image }).await?;
                if answer.into_inner().image.is_some() {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(IMAGE_INTERVAL).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.with_context(|| format!("image {name} is not imported"))?
    }

    /// Starts a pod without containers, on the network of the private bridge.
    pub async fn pod(&self, namespace: &str, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<Pod> {
        self.await_image(PAUSE_IMAGE).await?;
        let config = proto::PodSandboxConfig {
            metadata: Some(proto::PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("{namespace}-{name}-uid"),
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            hostname: name.to_owned(),
            log_directory: self.logs.display().to_string(),
            labels: owned(labels),
            ..Default::default()
        };
        let request = proto::RunPodSandboxRequest { config: Some(config.clone()) };
        let mut client = self.client.clone();
        let sandbox_id = client.run_pod_sandbox(request).await?.into_inner().pod_sandbox_id;
        let request = proto::PodSandboxStatusRequest { pod_sandbox_id: sandbox_id.clone() };
        let status = client.pod_sandbox_status(request).await?.into_inner().status;
        let network = status.and_then(|status| status.network).context("the pod has no network")?;
        let address = network.ip.parse().with_context(|| format!("address of pod {name}"))?;
        Ok(Pod { sandbox_id, address, config })
    }

    /// Starts a container in a pod; `command` empty means the image's entrypoint.
    pub async fn container(
        &self,
        pod: &Pod,
        name: &str,
        image: &Image,
        command: &[&str],
    ) -> anyhow::Result<PodContainer> {
        self.await_image(image.name()).await?;
        let request = proto::CreateContainerRequest {
            pod_sandbox_id: pod.sandbox_id.clone(),
            config: Some(proto::ContainerConfig {
                metadata: Some(proto::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
                image: Some(proto::ImageSpec { image: image.name().to_owned() }),
                command: command.iter().map(ToString::to_string).collect(),
                // kubelet puts its own labels, not the pod's, on a container.
                labels: owned(&[("io.kubernetes.container.name", name)]),
                log_path: format!("{name}.log"),
                ..Default::default()
            }),
            sandbox_config: Some(pod.config.clone()),
        };
        let mut client = self.client.clone();
        let id = client.create_container(request).await?.into_inner().container_id;
        client.start_container(proto::ContainerId { container_id: id.clone() }).await?;
        Ok(PodContainer { id })
    }

    /// Runs a program in a container from outside and waits for its end.
    pub async fn exec(&self, container: &PodContainer, command: &[&str]) -> anyhow::Result<ExecOutput> {
        let request = proto::ExecSyncRequest {
            container_id: container.id.clone(),
            cmd: command.iter().map(ToString::to_string).collect(),
            timeout: i64::try_from(DEADLINE.as_secs())?,
        };
        let answer = self.client.clone().exec_sync(request).await.context("exec failed")?.into_inner();
        Ok(ExecOutput { stdout: answer.stdout, stderr: answer.stderr, exit_code: answer.exit_code })
    }

    /// Stops and removes a pod with all its containers.
    pub async fn remove(&self, pod: &Pod) -> anyhow::Result<()> {
        let id = proto::PodSandboxId { pod_sandbox_id: pod.sandbox_id.clone() };
        let mut client = self.client.clone();
        client.stop_pod_sandbox(id.clone()).await?;
        client.remove_pod_sandbox(id).await?;
        Ok(())
    }
}

fn owned(labels: &[(&str, &str)]) -> HashMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
