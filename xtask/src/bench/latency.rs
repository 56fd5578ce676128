//! From a denial to its event's line, and from a policy's file to its effect.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use moat_event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::setpriority_process;
use tokio::time::{Duration, interval, timeout};

use super::own_policy;
use super::report::Figure;
use super::stage::{CONTAINER, DENIED, Place, SELECTED, Stage};
use super::statistics::Sorted;
use crate::demo::agent::Agent;
use crate::demo::{examples, terminal};

/// How often a policy's file is saved.
const SAVES: usize = 20;
const LATE: &str = "\
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: late }
spec:
  labelSelector: { matchLabels: { app: nginx } }
  mode: Enforce
  rules:
  - { name: late, action: Block, process: { paths: [/bench/late] } }
";
/// What `probe until-denied` makes when it begins.
const SIGN: &str = "/tmp/probing";
const DEADLINE: Duration = Duration::from_secs(10);
const ASK: Duration = Duration::from_millis(5);

pub async fn measure(stage: &Stage) -> Result<Vec<Figure>> {
    let mut policies = examples()?;
    policies.push(own_policy("denials")?);
    let agent = stage.agent(&policies).await?;
    agent.in_force(SELECTED, CONTAINER, &["no-shells", "denials"]).await?;
    let mut figures = Vec::new();
    for kind in &KINDS {
        let label = format!("{DENIED} times: {}", kind.title);
        figures.push(terminal::progress(&label, denials(stage, &agent, kind)).await?);
    }
    agent.stop().await?;
    // Without the rule on all arguments, because of which the kernel programs would have to kill what the agent could refuse.
    let agent = stage.agent(&examples()?).await?;
    agent.in_force(SELECTED, CONTAINER, &["no-shells"]).await?;
    let saves = terminal::progress(&format!("saving a policy {SAVES} times"), saves(stage, &agent)).await?;
    figures.push(saves);
    agent.stop().await?;
    Ok(figures)
}

/// One way to be refused.
struct Kind {
    title: &'static str,
    /// For the probe.
    name: &'static str,
    /// Which of the probe's tries an event is about.
    number: fn(&Event) -> Option<usize>,
}

const KINDS: [Kind; 3] = [
    Kind {
        title: "`execve` refused (`EPERM`)",
        name: "exec",
        number: |event| event.file_path.as_deref()?.strip_prefix("/bench/denied/")?.parse().ok(),
    },
    Kind {
        title: "`execve` killed by its arguments",
        name: "kill",
        number: |event| event.process.as_ref()?.arguments.get(1)?.strip_prefix("denied-")?.parse().ok(),
    },
    Kind {
        title: "`connect` refused (`EPERM`)",
        name: "connect",
        number: |event| usize::from(event.peer.as_ref()?.port).checked_sub(10_000),
    },
];

async fn denials(stage: &Stage, agent: &Agent, kind: &Kind) -> Result<Figure> {
    let arrivals = Arrivals::listen(&agent.events_file)?;
    let began = stage.probe(Place::Selected, &["denied", kind.name, &DENIED.to_string()]).await?;
    // The last line may still be on its way: it is waited for as long as a line may take at all.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut millis = Vec::new();
    for (arrived, line) in arrivals.stop()? {
        let event: Event = serde_json::from_slice(&line).context("an event is not understood")?;
        let of_policy = event.policy_name.as_deref() == Some("denials");
        let Some(number) = of_policy.then(|| (kind.number)(&event)).flatten() else { continue };
        let began = began.get(number).with_context(|| format!("an event tells of try {number}"))?;
        millis.push(millis_between(*began, arrived));
    }
    ensure!(
        millis.len() == began.len(),
        "{} denials were told by {} events; see {}",
        began.len(),
        millis.len(),
        agent.events_file.display()
    );
    let millis = Sorted::new(millis);
    let [median, high, most] = [50, 99, 100].map(|percent| millis.percentile(percent));
    Ok(Figure::new(
        format!("{} to its line in the event file, 99th percentile", kind.title),
        Some(("≤ 20 ms", 20.0)),
        high,
        format!("{high:.2} ms (median {median:.2} ms, most {most:.2} ms of {})", millis.len()),
    ))
}

async fn saves(stage: &Stage, agent: &Agent) -> Result<Figure> {
    let pid = agent.container(SELECTED, CONTAINER).await?.pid;
    let sign = format!("/proc/{pid}/root{SIGN}");
    let (hidden, file) = (agent.policies.join(".late.yaml"), agent.policies.join("late.yaml"));
    let mut millis = Vec::new();
    for _ in 0..SAVES {
        let probing = stage.probe(Place::Selected, &["until-denied", "/bench/late", SIGN]);
        let saving = async {
            until(|| async { Ok(Path::new(&sign).exists()) }).await?;
            fs::write(&hidden, LATE)?;
            let saved = now()?;
            fs::rename(&hidden, &file)?;
            anyhow::Ok(saved)
        };
        let (refused, saved) = tokio::try_join!(probing, saving)?;
        let refused = refused.first().context("the probe printed nothing")?;
        millis.push(millis_between(saved, *refused));
        fs::remove_file(&file)?;
        fs::remove_file(&sign)?;
        let is_gone = || async {
            let policies = agent.container(SELECTED, CONTAINER).await?.policies;
            Ok(!policies.iter().any(|name| name == "late"))
        };
        until(is_gone).await?;
    }
    let millis = Sorted::new(millis);
    Ok(Figure::time("policy file saved until an exec is refused by it", Some(("≤ 1 s", 1000.0)), &millis))
}

/// Asks until it is so.
async fn until<F: Future<Output = Result<bool>>>(condition: impl Fn() -> F) -> Result<()> {
    let mut beat = interval(ASK);
    let waited = timeout(DEADLINE, async {
        while !condition().await? {
            beat.tick().await;
        }
        anyhow::Ok(())
    });
    waited.await.context("it does not come to pass")?
}

fn millis_between(began: u64, ended: u64) -> f64 {
    Duration::from_nanos(ended.saturating_sub(began)).as_secs_f64() * 1e3
}

/// Nanoseconds since 1970.
fn now() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

/// The lines of a file and when each was there for a reader who waits for it.
struct Arrivals {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Line>>>,
}

/// Nanoseconds since 1970, and the line.
type Line = (u64, Vec<u8>);

impl Arrivals {
    /// From the file's present end on.
    fn listen(path: &Path) -> Result<Arrivals> {
        let notices = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&notices, path, inotify::WatchFlags::MODIFY)?;
        let mut file = File::open(path)?;
        std::io::copy(&mut file, &mut std::io::sink())?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // That this reader waits for a processor is no delay of Moat's.
            setpriority_process(None, -20)?;
            let mut lines = Vec::new();
            let mut rest = Vec::new();
            let mut notice = [0; 4096];
            // A wait of its own for the flag, which comes without a notice.
            let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            loop {
                let ends = flag.load(Ordering::Acquire);
                file.read_to_end(&mut rest)?;
                let arrived = now()?;
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    lines.push((arrived, line));
                }
                if ends {
                    return Ok(lines);
                }
                poll(&mut [PollFd::new(&notices, PollFlags::IN)], Some(&patience))?;
                // What it says is known: the file has changed.
                while rustix::io::read(&notices, &mut notice).is_ok() {}
            }
        });
        Ok(Arrivals { stop, thread })
    }

    /// The lines so far.
    fn stop(self) -> Result<Vec<Line>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the reader of the events panicked"))?
    }
}
