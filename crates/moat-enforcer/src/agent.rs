//! The agent's life: what is started in which order, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use moat_kernel::{Capabilities, Driver, Held, Instance, Observation, Sink};
use moat_wire::control::{ListenError, Listener};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::containers::enforcement::Enforcement;
use crate::containers::filters::Filters;
use crate::containers::{Inputs, Manager, Setting};
use crate::control::{Control, Probed};
use crate::events::output::{self, Output};
use crate::events::pipeline::{self, Pipeline};
use crate::events::{Directory, Journal};
use crate::observations::{self, Observed};
use crate::policies::{Generations, WatchError, Watcher};
use crate::response::{self, Responder};
use crate::runtime::cgroup::{CgroupError, Hierarchy};
use crate::runtime::{self, RuntimeError, Source};
use crate::state::{State, StateError};
use crate::uplink::{self, Uplink, UplinkError, writer};

/// Questions, changes and quarantines that wait for the manager.
const QUEUE: usize = 256;
/// Container starts that wait to be looked at; each is a process that is stopped meanwhile.
const HELD: usize = 4096;
/// How long to wait for the last events to be written.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Why the agent does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Policies(#[from] WatchError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Cgroups(#[from] CgroupError),
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    #[error(transparent)]
    Control(#[from] ListenError),
    #[error("what the filters of containers refuse cannot be read from the state folder: {0}")]
    Filters(io::Error),
    #[error("the rules cannot be held on this node: {0}; `moat doctor` says what is missing")]
    Driver(Box<dyn std::error::Error + Send + Sync>),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    #[error("the agent's {0} ended unexpectedly")]
    Ended(&'static str),
    #[error("a task of the agent failed: {0}")]
    Failed(#[from] JoinError),
}

/// Finds out what a driver is able to; blocks.
pub type Probe = Box<dyn Fn() -> Capabilities + Send + Sync>;

/// What holds the rules, and what it is able to.
pub struct Loaded {
    pub driver: Box<dyn Driver>,
    /// `lsm`, `guard` or `observe`.
    pub name: &'static str,
    /// Finds out what it is able to.
    pub probe: Probe,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs until `cancel`, or until a part fails. What a driver has pinned stays in force, unless `release` was cancelled
/// too. `load` loads the driver that puts its records into the sink, what it observes into the other, where there is one,
/// and announces container starts that wait.
pub async fn run(
    config: Config,
    load: impl FnOnce(
        &Hierarchy,
        Sink,
        Option<Sink<Observation>>,
        SyncSender<Held>,
    ) -> Result<Loaded, Box<dyn std::error::Error + Send + Sync>>
    + Send
    + 'static,
    cancel: CancellationToken,
    release: CancellationToken,
) -> Result<(), RunError> {
    let started = Instant::now();
    let state = State::lock(&config.state)?;
    let listener = Listener::bind(&config.control())?;
    let hierarchy = Hierarchy::detect()?;
    let sources = runtime::open(config.runtime, config.socket.as_deref())?;

    let (lines, written) = sync_channel(output::QUEUE);
    let output = Output::start(config.events.clone(), written)?;
    let uplink = Uplink::open(&config, state.folder())?;
    let (kept, to_keep) = sync_channel(writer::QUEUE);
    let journal = Arc::new(Journal::new(config.node(), lines, uplink.is_some().then_some(kept)));
    let spooling = match &uplink {
        Some(uplink) => Some(writer::start(to_keep, uplink.spool(), Arc::downgrade(&journal))?),
        None => None,
    };
    let instance = Instance::of(&config.state);
    let generations = Arc::new(Generations::after(moat_kernel::last_generation(&instance)));
    let (watcher, policies) = Watcher::open(
        &config.policies,
        state.folder(),
        Arc::clone(&journal),
        Arc::clone(&generations),
        uplink.as_ref().map(Uplink::policies),
    )?;

    let filters = Filters::load(state.folder()).map_err(RunError::Filters)?;
    let directory = Arc::new(Directory::default());
    let (responses, requests) = mpsc::channel(response::QUEUE);
    let (records, queued) = sync_channel(pipeline::QUEUE);
    let pipeline = Pipeline { directory: Arc::clone(&directory), journal: Arc::clone(&journal), responses };
    let pipeline = pipeline.start(queued)?;

    let (observing, observed) = if config.observes() {
        let (observations, queued) = sync_channel(observations::QUEUE);
        let observed = Observed::start(queued, Arc::clone(&directory), Arc::clone(&journal))?;
        (Some(Sink::new(observations)), Some(observed))
    } else {
        (None, None)
    };
    let (summing, observed) = observed.unzip();

    let (announce, announced) = sync_channel(HELD);
    let place = hierarchy.clone();
    let loaded = spawn_blocking(move || load(&place, Sink::new(records), observing, announce)).await?;
    let Loaded { driver, name, probe } = loaded.map_err(RunError::Driver)?;
    let held = forward(announced)?;
    let inherited = driver.inherited();
    let enforcement = Enforcement::start(driver, Arc::clone(&directory), generations)?;
    tracing::info!(
        driver = name,
        node = journal.node(),
        runtimes = %names(&sources),
        control = %listener.path().display(),
        "moat enforces"
    );
    let restarted_after = config.restarted_after_millis.map(Duration::from_millis);
    let (settled, is_settled) = watch::channel(0);
    let setting = Setting {
        started,
        restarted_after,
        inherited,
        driver: name,
        proc: Path::new("/proc").to_owned(),
        journal: Arc::clone(&journal),
        settled,
    };
    let (changes_to, changes) = mpsc::channel(QUEUE);
    let (quarantine, quarantines) = mpsc::channel(QUEUE);
    let (questions, queries) = mpsc::channel(QUEUE);
    let manager =
        Manager::new(setting, filters, Arc::clone(&journal), sources.clone(), hierarchy, enforcement);
    let capabilities = Arc::new(Probed::new(probe));
    let reported = uplink::Agent {
        driver: name,
        manager: questions.clone(),
        capabilities: Arc::clone(&capabilities),
        policies: policies.clone(),
        settled: is_settled,
        journal: Arc::downgrade(&journal),
        observed: observed.clone(),
    };
    let inputs = Inputs { changes, held, policies, quarantines, queries };
    let responder = Responder { directory, journal: Arc::clone(&journal), quarantine };
    let control = Control {
        manager: questions,
        journal: Arc::clone(&journal),
        sources: sources.clone(),
        shutdown: cancel.clone(),
        proc: Path::new("/proc").to_owned(),
        capabilities,
    };

    let mut tasks = JoinSet::new();
    let until = || cancel.clone();
    tasks.spawn(named("container manager", manager.run(inputs, until())));
    tasks.spawn(named("policy watcher", watcher.run(until())));
    tasks.spawn(named("responder", responder.run(requests, until())));
    if let Some(uplink) = uplink {
        tasks.spawn(named("uplink", uplink.run(reported, until())));
    }
    let serve = move |request, responder| control.clone().answer(request, responder);
    tasks.spawn(named("control socket", listener.serve(serve, until())));
    for (index, source) in sources.into_iter().enumerate() {
        tasks.spawn(named("container runtime's watch", follow(index, source, changes_to.clone(), until())));
    }
    drop(changes_to);

    let ended = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        Some(ended) = tasks.join_next() => match ended {
            // A shutdown that was asked for ends its tasks in any order.
            Ok(_) if cancel.is_cancelled() => Ok(()),
            Ok(task) => Err(RunError::Ended(task)),
            Err(error) => Err(RunError::Failed(error)),
        },
    };
    cancel.cancel();
    while tasks.join_next().await.is_some() {}

    // With the driver, its sinks are gone: the pipeline passes on what it has, and ends.
    join(pipeline).await;
    if let (Some(summing), Some(observed)) = (summing, observed) {
        join(summing).await;
        observed.end();
    }
    drop(journal);
    if let Some(spooling) = spooling {
        join(spooling).await;
    }
    if let Ok(Ok(lost @ 1..)) = timeout(LAST_EVENTS, spawn_blocking(|| output.finish())).await {
        tracing::error!(events = lost, "the last events could not be written");
    }
    if release.is_cancelled() || name != "lsm" {
        let removed = spawn_blocking(move || moat_kernel::unpin(&instance)).await?;
        match removed {
            Ok(_) => tracing::info!("moat has ended, nothing is left in the kernel"),
            Err(error) => tracing::error!(%error, "moat has ended, but what it pinned cannot be removed"),
        }
    } else {
        tracing::info!(
            "moat has ended; what it pinned stays in force until the next agent or `moat uninstall`"
        );
    }
    drop(state);
    ended
}

/// The task's name, for when it ends too soon.
async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Follows one runtime; its changes carry its index.
async fn follow(
    index: usize,
    source: Arc<dyn Source>,
    changes_to: mpsc::Sender<(usize, runtime::Change)>,
    cancel: CancellationToken,
) {
    let (to, mut changes) = mpsc::channel(1);
    let pass_on = async {
        while let Some(change) = changes.recv().await {
            if changes_to.send((index, change)).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = source.watch(to) => {}
        () = pass_on => {}
    }
}

/// Brings what drivers announce from their threads to the manager's task.
fn forward(announced: Receiver<Held>) -> io::Result<mpsc::Receiver<Held>> {
    let (to, held) = mpsc::channel(QUEUE);
    thread::Builder::new().name(String::from("moat-held")).spawn(move || {
        while let Ok(held) = announced.recv() {
            if to.blocking_send(held).is_err() {
                break;
            }
        }
    })?;
    Ok(held)
}

async fn join(thread: thread::JoinHandle<()>) {
    if !matches!(timeout(LAST_EVENTS, spawn_blocking(|| thread.join())).await, Ok(Ok(Ok(())))) {
        tracing::error!("the last events of the kernel were not passed on in time");
    }
}

fn names(sources: &[Arc<dyn Source>]) -> String {
    sources.iter().map(|source| source.kind().name()).collect::<Vec<_>>().join(",")
}
