//! Watches the folder and publishes what it means.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use jiff::Timestamp;
use moat_event::Severity;
use moat_policy::RuntimePolicy;
use moat_policy::enforce_after::EnforceAfter;
use moat_policy::model::Mode;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::first_seen::FirstSeen;
use super::folder::{Contents, Folder};
use super::{ConsoleSet, FromConsole, Generations, Loaded, Policies};
use crate::events::Journal;

/// How long to wait after the first sign of a change, for files are rarely written in one step.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the folder is read although nothing was heard of it.
const RESCAN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("the policy folder {} cannot be used: {source}; create it, or name another one with --policies", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("when the policies were first seen cannot be read: {0}")]
    FirstSeen(io::Error),
}

/// Owns the folder's state. Create it with [`Watcher::open`], then keep [`Watcher::run`] running.
#[derive(Debug)]
pub struct Watcher {
    scanner: Scanner,
    journal: Arc<Journal>,
    generations: Arc<Generations>,
    publish: watch::Sender<Arc<Policies>>,
}

/// What reads files, on a thread where that may take its time.
#[derive(Debug)]
struct Scanner {
    folder: Folder,
    first_seen: FirstSeen,
    console: Option<(Folder, FromConsole)>,
}

impl Watcher {
    /// Reads the folder once; the receiver holds what it means, and later what it comes to mean.
    pub fn open(
        folder: &Path,
        state: &Path,
        journal: Arc<Journal>,
        generations: Arc<Generations>,
        console: Option<FromConsole>,
    ) -> Result<(Watcher, watch::Receiver<Arc<Policies>>), WatchError> {
        let of_folder = |source| WatchError::Folder { folder: folder.to_owned(), source };
        let folder = fs::canonicalize(folder).map_err(of_folder)?;
        fs::read_dir(&folder).map_err(of_folder)?;
        let first_seen = FirstSeen::load(state).map_err(WatchError::FirstSeen)?;
        let console = console.map(|console| (Folder::new(console.folder.clone()), console));
        let mut scanner = Scanner { folder: Folder::new(folder), first_seen, console };
        let policies = scanner.scan();
        let (publish, mut receiver) = watch::channel(Arc::default());
        let watcher = Watcher { scanner, journal, generations, publish };
        watcher.take(policies);
        receiver.mark_unchanged();
        Ok((watcher, receiver))
    }

    /// Runs until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let changed = Arc::new(Notify::new());
        let mut notices = Notices::default();
        loop {
            notices.keep(self.scanner.folder.path(), &changed);
            let due = self.next_enforcement().map_or(RESCAN, |due| due.min(RESCAN));
            tokio::select! {
                () = cancel.cancelled() => return,
                () = changed.notified() => sleep(SETTLE).await,
                () = self.scanner.console_changed() => {}
                () = sleep(due) => {}
            }
            let mut scanner = self.scanner;
            let scanned = spawn_blocking(move || {
                let policies = scanner.scan();
                (scanner, policies)
            });
            let Ok((scanner, policies)) = scanned.await else { return };
            self.scanner = scanner;
            self.take(policies);
        }
    }

    /// How long until a policy goes from audited to enforced.
    fn next_enforcement(&self) -> Option<Duration> {
        let now = Timestamp::now();
        let next = enforcement_times(&self.publish.borrow()).filter(|time| *time > now).min()?;
        Duration::try_from(now.duration_until(next)).ok()
    }

    /// Publishes the policies if they, or what is enforced of them, differ from the last ones.
    fn take(&self, mut policies: Policies) {
        let last = Arc::clone(&self.publish.borrow());
        for refused in &policies.refused {
            if !last.refused.contains(refused) {
                let kept = "what it said before stays in force";
                tracing::warn!(file = %refused.file.display(), diagnostic = refused.diagnostic, "a policy file is refused, {kept}");
                let message = format!("A policy file is refused, {kept}. {}", refused.diagnostic);
                self.journal.system(Severity::High, message);
            }
        }
        policies.generation = last.generation;
        policies.enforced = enforcement_times(&policies).filter(|time| *time <= Timestamp::now()).count();
        if policies == *last && last.generation > 0 {
            return;
        }
        policies.generation = self.generations.next();
        tracing::info!(
            generation = policies.generation,
            policies = policies.runtime.len(),
            refused = policies.refused.len(),
            "policies loaded"
        );
        self.publish.send_replace(Arc::new(policies));
    }
}

/// When the policies that wait, or waited, for their enforcement began or begin to be enforced.
fn enforcement_times(policies: &Policies) -> impl Iterator<Item = Timestamp> {
    policies.runtime.iter().filter_map(|Loaded { policy, first_seen, .. }| {
        let RuntimePolicy { spec, .. } = &**policy;
        let after: EnforceAfter = spec.enforce_after.as_ref()?.parse().ok()?;
        (spec.mode == Mode::Enforce).then(|| after.instant(*first_seen))
    })
}

impl Scanner {
    /// Waits for the console's next change; for ever where there is no console, or it has nothing more to say.
    async fn console_changed(&mut self) {
        if let Some((_, console)) = &mut self.console
            && console.set.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    fn scan(&mut self) -> Policies {
        let now = Timestamp::now();
        let mut contents = Contents::default();
        self.folder.scan();
        self.folder.add_to(&mut contents);
        let mut set: Arc<ConsoleSet> = Arc::default();
        if let Some((folder, console)) = &mut self.console {
            set = Arc::clone(&console.set.borrow());
            folder.scan();
            folder.add_to(&mut contents);
        }
        let Contents { runtime, compliance, refused } = contents;
        let ours = self.folder.path();
        let runtime_files = runtime.iter().map(|(name, (_, file))| (name, file));
        let compliance_files = compliance.iter().map(|(name, (_, file))| (name, file));
        let names = runtime_files
            .chain(compliance_files)
            .filter_map(|(name, file)| file.starts_with(ours).then_some(name.as_str()));
        // A refused file may hold policies whose names are not known now.
        if let Err(error) = self.first_seen.note(names, now, refused.is_empty()) {
            tracing::error!(%error, "when policies were first seen cannot be saved, a restart will count anew");
        }
        let first_seen = |name: &str, file: &Path| {
            let seen = if file.starts_with(ours) {
                self.first_seen.time(name)
            } else {
                set.since.get(name).copied()
            };
            seen.unwrap_or(now)
        };
        Policies {
            generation: 0,
            console_set: set.set,
            enforced: 0,
            runtime: runtime
                .into_iter()
                .map(|(name, (policy, file))| Loaded { first_seen: first_seen(&name, &file), policy, file })
                .collect(),
            compliance: compliance
                .into_iter()
                .map(|(name, (policy, file))| Loaded { first_seen: first_seen(&name, &file), policy, file })
                .collect(),
            refused,
        }
    }
}

/// The kernel's notices about the folder. A folder that was replaced is watched anew.
#[derive(Debug, Default)]
struct Notices {
    watched: Option<(RecommendedWatcher, (u64, u64))>,
}

impl Notices {
    /// Makes sure that changes of the folder wake `changed`; where that is impossible, rescans have to do.
    fn keep(&mut self, folder: &Path, changed: &Arc<Notify>) {
        let identity = fs::metadata(folder).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        if self.watched.as_ref().map(|(_, watched)| *watched) == identity {
            return;
        }
        self.watched = None;
        let Some(identity) = identity else { return };
        let wake = Arc::clone(changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                wake.notify_one();
            }
        })
        .and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher));
        match watcher {
            Ok(watcher) => {
                self.watched = Some((watcher, identity));
                // What changed before the watch was there.
                changed.notify_one();
            }
            Err(error) => {
                tracing::warn!(%error, folder = %folder.display(), "the policy folder cannot be watched, it is read every {} s", RESCAN.as_secs());
            }
        }
    }
}

/// Whether files may differ afterwards; reading them, as this module does, is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
