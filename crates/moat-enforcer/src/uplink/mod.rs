//! The way to the console: policies come down, events and statuses go up.
//!
//! ```text
//! journal ─▶ spool (disk) ─▶ session ─▶ console
//!         observations (sums) ─▶ ┘
//!            policies (disk) ◀─ session ◀─┘
//! ```
//!
//! Enforcement waits for none of it: the console's policies are files that the watcher reads as it reads the
//! node's own, with the console there or not, and events wait in the spool. [`Uplink::run`] keeps a session up,
//! enrols the node when it has no certificate, and renews the one it has.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use moat_wire::gateway::machine;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::containers::Query;
use crate::control::Probed;
use crate::observations::Observed;
use crate::policies::{FromConsole, Policies};

mod acknowledge;
mod activities;
mod changes;
mod checksum;
mod enrolment;
mod events;
mod files;
mod kept;
mod own_policies;
mod report;
mod session;
mod shared;
mod spool;
pub mod writer;

use enrolment::{EnrolError, Enrolled, Enrolment, Node, not_counting};
use kept::Kept;
use session::{Ended, SessionError};
use shared::Shared;
use spool::Spool;

/// How long the console has to answer a request.
const ANSWER: Duration = Duration::from_secs(30);
/// Between tries to reach the console; the second is also how long a node that was turned away waits.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A session that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
#[error("what is kept for the console in {} cannot be used: {source}", folder.display())]
pub struct UplinkError {
    folder: std::path::PathBuf,
    source: io::Error,
}

/// What a session reports about: the rest of the agent.
#[derive(Debug, Clone)]
pub struct Agent {
    pub driver: &'static str,
    pub manager: mpsc::Sender<Query>,
    pub capabilities: Arc<Probed>,
    pub policies: watch::Receiver<Arc<Policies>>,
    /// The generation that is in force for every container.
    pub settled: watch::Receiver<u64>,
    pub journal: std::sync::Weak<crate::events::Journal>,
    /// What containers did, where it is observed.
    pub observed: Option<Arc<Observed>>,
}

impl Agent {
    /// Asks the container manager.
    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, SessionError> {
        let (to, answer) = oneshot::channel();
        self.manager.send(query(to)).await.map_err(|_| SessionError::Ending)?;
        answer.await.map_err(|_| SessionError::Ending)
    }
}

#[derive(Debug)]
pub struct Uplink {
    url: String,
    node: Node,
    enrolment: Enrolment,
    kept: Arc<Mutex<Kept>>,
    spool: Shared,
}

impl Uplink {
    /// Opens what is kept for the console in the state folder; `None` where the agent has no console.
    pub fn open(config: &Config, state: &Path) -> Result<Option<Uplink>, UplinkError> {
        let Some(url) = config.console.clone() else { return Ok(None) };
        let folder = state.join(moat_wire::state::CONSOLE);
        let unusable = |source| UplinkError { folder: folder.clone(), source };
        let kept = Kept::open(&folder).map_err(unusable)?;
        let spool =
            Spool::open(&folder.join("spool"), config.spool.saturating_mul(1 << 20)).map_err(unusable)?;
        if rustix::fs::statfs(&folder).is_ok_and(|file_system| file_system.f_type == libc::TMPFS_MAGIC) {
            tracing::warn!(
                folder = %folder.display(),
                "what is kept for the console does not outlive a reboot here: name a folder on a disk with --state"
            );
        }
        let node = Node { name: config.node(), machine: machine(&machine_identity()) };
        let enrolment = Enrolment::new(folder.clone(), config.enrolment_token_file.clone());
        let kept = Arc::new(Mutex::new(kept));
        Ok(Some(Uplink { url, node, enrolment, kept, spool: Shared::new(spool) }))
    }

    /// The console's policies, for the watcher.
    pub fn policies(&self) -> FromConsole {
        kept::lock(&self.kept).source()
    }

    /// For the writer.
    pub fn spool(&self) -> Shared {
        self.spool.clone()
    }

    /// Runs until `cancel`. The console may come and go.
    pub async fn run(self, agent: Agent, cancel: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let mut turned_away = None;
        let mut last_error = String::new();
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = self.once(&agent, &mut turned_away) => ended,
            };
            if began.elapsed() >= LASTED {
                pause = FIRST_PAUSE;
            }
            match ended {
                // A new certificate is used at once.
                Ok(Ended::Renewed) => continue,
                Ok(Ended::Goodbye(why)) => tracing::info!(why, "the console ended the session"),
                Err(error) => {
                    let error = error.to_string();
                    if error != last_error {
                        tracing::warn!(error, "no session with the console; enforcement goes on without it");
                        last_error = error;
                    }
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(jittered(pause)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn once(&self, agent: &Agent, turned_away: &mut Option<String>) -> Result<Ended, UplinkFault> {
        let mut enrolled = self.enrolment.load()?;
        if let Some(Enrolled { identity, .. }) = &enrolled
            && turned_away.is_none()
        {
            *turned_away = not_counting(identity, Timestamp::now());
        }
        if enrolled.is_none() || turned_away.is_some() {
            match self.enrolment.enrol(&self.url, &self.node, turned_away.clone()).await {
                Ok(new) => {
                    enrolled = Some(new);
                    *turned_away = None;
                }
                // It may be let in again, or its clock be right again.
                Err(error @ EnrolError::TurnedAway(_)) => {
                    *turned_away = None;
                    if enrolled
                        .as_ref()
                        .is_none_or(|enrolled| not_counting(&enrolled.identity, Timestamp::now()).is_some())
                    {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, "trying the certificate that there is");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(enrolled) = enrolled else { return Err(EnrolError::NoToken.into()) };
        let ended = session::run(&self.url, &enrolled, &self.enrolment, &self.kept, &self.spool, agent).await;
        if let Err(SessionError::TurnedAway(why)) = &ended {
            *turned_away = Some(why.clone());
        }
        Ok(ended?)
    }
}

#[derive(Debug, thiserror::Error)]
enum UplinkFault {
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Between half of it and all of it, so that nodes do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let [.., a, b] = uuid::Uuid::now_v7().into_bytes();
    pause.mul_f64(0.5 + f64::from(u16::from_le_bytes([a, b])) / f64::from(u16::MAX) / 2.0)
}

/// What tells this machine from another of the same name: that of the host, where the agent is in a container.
fn machine_identity() -> Vec<u8> {
    ["/proc/1/root/etc/machine-id", "/etc/machine-id", "/sys/class/dmi/id/product_uuid"]
        .iter()
        .find_map(|path| std::fs::read(path).ok().filter(|identity| !identity.is_empty()))
        .unwrap_or_default()
}
