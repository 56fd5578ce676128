//! Container discovery against real runtimes.

mod containerd;
mod cri;
mod docker;

use std::sync::Arc;
use std::time::Duration;

use moat_enforcer::runtime::{Change, Container, Kind, Source, open};
use moat_testkit::{Containerd, Image, skip};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A private containerd with an image in it, or `None` where this machine can run none.
fn containerd() -> Option<(Containerd, Image)> {
    let containerd = match Containerd::start() {
        Ok(containerd) => containerd,
        Err(why) => {
            skip("guard", format!("{why:#}"));
            return None;
        }
    };
    let image = Image::busybox("docker.io/moat-test/busybox:1").unwrap();
    containerd.import(&image).unwrap();
    Some((containerd, image))
}

fn source(kind: Kind, socket: &std::path::Path) -> Arc<dyn Source> {
    open(Some(kind), Some(socket)).unwrap().remove(0)
}

/// The changes that a source tells, as a test reads them.
struct Watch {
    changes: mpsc::Receiver<Change>,
    task: JoinHandle<()>,
}

impl Watch {
    fn of(source: &Arc<dyn Source>) -> Self {
        let (sender, changes) = mpsc::channel(8);
        let source = source.clone();
        Self { changes, task: tokio::spawn(async move { source.watch(sender).await }) }
    }

    /// The next change that `wanted` takes; others are passed over.
    async fn next<T>(&mut self, wanted: impl Fn(Change) -> Option<T>) -> T {
        let next = async {
            loop {
                let change = self.changes.recv().await.expect("the watch ended");
                if let Some(found) = wanted(change) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(20), next).await.expect("the change did not come")
    }

    async fn resync(&mut self) -> Vec<Container> {
        self.next(|change| if let Change::Resync(all) = change { Some(all) } else { None }).await
    }

    async fn created(&mut self, id: &str) -> Container {
        self.next(|change| match change {
            Change::Created(container) if container.runtime_id.id == id => Some(container),
            _ => None,
        })
        .await
    }

    async fn died(&mut self, id: &str) {
        self.next(|change| matches!(change, Change::Died(dead) if dead.id == id).then_some(())).await;
    }

    /// Ends the watch by dropping the receiver, as the agent does.
    async fn end(self) {
        drop(self.changes);
        timeout(Duration::from_secs(5), self.task).await.expect("the watch did not end").unwrap();
    }
}
