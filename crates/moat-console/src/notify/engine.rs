//! Keeps a task for each enabled notifier, so that a slow one delays no other. Called once by the console.

use std::collections::HashMap;
use std::time::Duration;

use moat_store::{Change, Notifier, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::config::{Config, ConfigError};
use super::deliver::Pace;
use super::egress::Egress;
use super::filter::Filter;
use super::lease::{Lease, LeaseError};
use super::sink::{InvalidDestination, Sink};
use super::status::{Condition, Shared};
use super::worker::Worker;
use crate::key::ConsoleKey;

/// How long giving a lease back may take.
const RELEASE_DEADLINE: Duration = Duration::from_secs(5);

/// Sends events to the receivers of all notifiers.
#[derive(Debug, Clone)]
pub struct Engine {
    pub store: Store,
    pub key: ConsoleKey,
    pub egress: Egress,
    pub pace: Pace,
}

/// Why a notifier cannot be worked for.
#[derive(Debug, thiserror::Error)]
pub enum Misconfigured {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Destination(#[from] InvalidDestination),
    #[error("filter: {0}")]
    Glob(#[from] moat_policy::select::InvalidGlob),
    #[error("the notifier's filter in the store is not one: {0}")]
    Filter(#[from] serde_json::Error),
}

struct Running {
    revision: i64,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Engine {
    /// Works until cancelled, whatever happens to the store meanwhile.
    pub async fn run(self, cancel: CancellationToken) {
        let mut running = HashMap::new();
        cancel.run_until_cancelled(self.follow(&mut running, &cancel)).await;
        cancel.cancel();
        for (_, task) in running {
            // A panic of one is no reason to leave the others behind.
            let _ = task.task.await;
        }
    }

    /// Starts and ends tasks as notifiers come, change and go.
    async fn follow(&self, running: &mut HashMap<String, Running>, cancel: &CancellationToken) {
        let mut back_off = self.pace.back_off();
        let mut changes = self.store.watch();
        loop {
            match self.store.notifiers().await {
                Ok(notifiers) => self.reconcile(running, notifiers, cancel),
                Err(error) => {
                    tracing::warn!(%error, "cannot read the notifiers");
                    tokio::time::sleep(back_off.failed(None)).await;
                    continue;
                }
            }
            back_off.reset();
            loop {
                match changes.changed().await {
                    Some(changed) if changed.contains(&Change::Notifiers) => break,
                    Some(_) => {}
                    None => return,
                }
            }
        }
    }

    fn reconcile(
        &self,
        running: &mut HashMap<String, Running>,
        notifiers: Vec<Notifier>,
        cancel: &CancellationToken,
    ) {
        let mut ended: HashMap<String, JoinHandle<()>> = HashMap::new();
        for (id, task) in std::mem::take(running) {
            let same = |notifier: &Notifier| {
                notifier.id == id && notifier.enabled && notifier.revision == task.revision
            };
            if notifiers.iter().any(same) && !task.task.is_finished() {
                running.insert(id, task);
            } else {
                task.cancel.cancel();
                ended.insert(id, task.task);
            }
        }
        for notifier in notifiers.into_iter().filter(|notifier| notifier.enabled) {
            if running.contains_key(&notifier.id) {
                continue;
            }
            let (id, revision, cancel) = (notifier.id.clone(), notifier.revision, cancel.child_token());
            let before = ended.remove(&id);
            let (engine, token) = (self.clone(), cancel.clone());
            let task = tokio::spawn(async move {
                if let Some(before) = before {
                    let _ = before.await;
                }
                Box::pin(engine.keep_working(notifier, token)).await;
            });
            running.insert(id, Running { revision, cancel, task });
        }
    }

    async fn keep_working(&self, notifier: Notifier, cancel: CancellationToken) {
        let owner = Uuid::now_v7().to_string();
        let mut back_off = self.pace.back_off();
        let working = async {
            loop {
                let error = self.work(&notifier, &owner).await;
                tracing::warn!(notifier = notifier.id, %error, "stopped working for a notifier for a while");
                tokio::time::sleep(back_off.failed(None)).await;
            }
        };
        let _: Option<std::convert::Infallible> = cancel.run_until_cancelled(Box::pin(working)).await;
        let release = self.store.release_notifier(&notifier.id, &owner);
        if !matches!(tokio::time::timeout(RELEASE_DEADLINE, release).await, Ok(Ok(()))) {
            tracing::warn!(
                notifier = notifier.id,
                "cannot give a notifier back: the next to work for it has to wait"
            );
        }
    }

    /// Takes the lease and works as long as it lasts.
    async fn work(&self, notifier: &Notifier, owner: &str) -> LeaseError {
        let mut lease = match Lease::take(&self.store, &notifier.id, owner, self.pace.term).await {
            Ok(lease) => lease,
            Err(error) => return error,
        };
        let status = lease.status().clone();
        let worked = match self.worker(notifier, &status) {
            Ok(worker) => worker.work(&mut lease).await,
            Err(error) => {
                status.failed(Condition::Misconfigured, &error.to_string());
                idle(&mut lease).await
            }
        };
        let Err(error) = worked;
        if matches!(error, LeaseError::Store(_)) {
            status.failed(Condition::Failing, &error.to_string());
            // If the store does not even take this, the log has it.
            let _ = lease.tell().await;
        }
        error
    }

    fn worker(&self, notifier: &Notifier, status: &Shared) -> Result<Worker, Misconfigured> {
        let config = Config::read(&notifier.config)?;
        let secrets = config.open(&self.key)?;
        let filter: Filter = serde::Deserialize::deserialize(&notifier.filter)?;
        Ok(Worker {
            store: self.store.clone(),
            notifier: notifier.id.clone(),
            sink: Sink::new(&config.destination, &secrets, &self.egress, self.pace.deadline)?,
            filter: filter.compile()?,
            pace: self.pace.clone(),
            status: status.clone(),
        })
    }
}

/// Holds the lease and says why nothing is done, until somebody changes the notifier.
async fn idle(lease: &mut Lease) -> Result<std::convert::Infallible, LeaseError> {
    lease.tell().await?;
    lease.hold(std::future::pending()).await
}

#[cfg(test)]
mod tests;
