//! Acts, and how they are measured: by a small static program of the image, in a container, once in each state.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libbpf_rs::query::ProgInfoIter;
use moat_kernel::lsm::Lsm;
use moat_kernel::{Driver, DriverConfig, Held, Record, Sink};

use super::{Cost, Measured, State, rules};
use crate::container::Container;
use crate::node::command;

const PROGRAM: &str = "/usr/bin/speed";

/// Something that is measured.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    pub name: &'static str,
    operation: &'static str,
    batches: usize,
    /// Of the operation in a batch.
    times: usize,
    words: &'static [&'static str],
    /// The program that decides on it.
    judge: &'static str,
    /// Where rules deny it, and nowhere else can it be measured.
    denied: bool,
}

const OPEN: &str = "moat_lsm_open";
const EXEC: &str = "moat_lsm_exec";
const DEEP: &str = "/volume/2/3/4/5/6/7/8/9/10/11/plain";
const LIBRARY: &str = "/lib/x86_64-linux-gnu/libc.so.6";
/// In the folders that the rules by the thousand speak about: see [`rules`].
const AMONG_OTHERS: [&str; 3] = [
    "/volume/application-4/etc/settings.conf",
    "/volume/application-5/var/plain",
    "/volume/application-5/etc/plain",
];
/// Two hundred bytes of arguments, the program's own name among them.
const ARGUMENTS: [&str; 6] = [
    "/usr/bin/nothing",
    "--configuration=/etc/application/settings.yaml",
    "--listen=0.0.0.0:8080",
    "--log-level=information",
    "--workers=16",
    "--data-directory=/var/lib/application/data/with/a/rather/long/name/of/its/own/for-this",
];

macro_rules! act {
    ($name:literal, $operation:literal, $batches:literal * $times:literal, $words:expr, $judge:expr) => {
        Act {
            name: $name,
            operation: $operation,
            batches: $batches,
            times: $times,
            words: $words,
            judge: $judge,
            denied: false,
        }
    };
}

pub const ACTS: [Act; 18] = [
    act!("open + close, depth 2, no rule on it", "open", 15 * 100, &["/volume/plain"], OPEN),
    act!("open + close, depth 12, no rule on it", "open", 15 * 100, &[DEEP], OPEN),
    act!("open + close, depth 4, beside ruled files", "open", 15 * 100, &[AMONG_OTHERS[2]], OPEN),
    act!("open + close, depth 2, ruled", "open", 15 * 100, &["/volume/ruled"], OPEN),
    act!("open + close, depth 4, ruled", "open", 15 * 100, &[AMONG_OTHERS[0]], OPEN),
    act!("open + close, depth 4, in a ruled directory", "open", 15 * 100, &[AMONG_OTHERS[1]], OPEN),
    act!("first open + close, depth 2, no rule on it", "open-fresh", 15 * 40, &["/volume/fresh"], OPEN),
    act!(
        "first open + close, depth 4, in a ruled directory",
        "open-fresh",
        15 * 40,
        &["/volume/application-5/var/fresh"],
        OPEN
    ),
    Act {
        name: "open, depth 2, denied and told",
        operation: "open-denied",
        batches: 15,
        times: 40,
        words: &["/volume/denied"],
        judge: OPEN,
        denied: true,
    },
    act!("open + close on overlay, depth 2, no rule on it", "open", 15 * 100, &["/data/plain"], OPEN),
    act!("open + close on overlay, depth 2, ruled", "open", 15 * 100, &["/data/ruled"], OPEN),
    act!("write, 64 bytes", "write", 15 * 200, &["/volume/plain"], ""),
    act!("connect, UDP", "udp-connect", 15 * 200, &[], "moat_connect4"),
    act!("connect + accept + close, TCP", "tcp-connect", 201 * 1, &[], "moat_connect4"),
    // One a batch, so that the median is one without the clock's interrupts.
    act!("vfork + exec + wait", "exec", 201 * 1, &["/usr/bin/nothing", "word"], EXEC),
    act!("vfork + exec + wait, 200 bytes of arguments", "exec", 201 * 1, &ARGUMENTS, EXEC),
    act!("mmap + munmap of a library, executable", "mmap-exec", 51 * 10, &[LIBRARY], "moat_lsm_map"),
    act!("getuid", "getuid", 15 * 1000, &[], ""),
];

/// Where the measured program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the container.
    Container,
    /// In the container's root, but in no cgroup that the driver knows.
    Outside,
}

/// The driver that all states share, for the kernel takes minutes to check its programs where instructions are counted.
struct Node {
    driver: Lsm,
    held: Receiver<Held>,
}

static NODE: Mutex<Option<Node>> = Mutex::new(None);

fn node() -> MutexGuard<'static, Option<Node>> {
    NODE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a container's start may take to be told.
const DEADLINE: Duration = Duration::from_mins(1);

/// A container with the files that acts need.
#[derive(Debug)]
pub struct Stage {
    container: Container,
}

impl Stage {
    pub fn set(name: &str) -> Result<Stage> {
        let container = Container::start(name)?;
        if let Some(node) = node().as_mut() {
            node.held.recv_timeout(DEADLINE).context("the start is not held")?;
            node.driver.dismiss(&container.scope()?)?;
        }
        let plain = ["/volume/plain", "/volume/ruled", "/volume/denied", "/data/plain", "/data/ruled", DEEP];
        for path in plain.into_iter().chain(AMONG_OTHERS) {
            let path = container.file(path);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            fs::write(path, "content\n")?;
        }
        let stage = Stage { container };
        stage.refresh()?;
        // The first run of anything is about the kernel's caches.
        for act in ACTS.iter().filter(|act| !act.denied) {
            stage.run(act, Place::Container, 2)?;
        }
        stage.refresh()?;
        Ok(stage)
    }

    /// New files for acts that open each once.
    fn refresh(&self) -> Result<()> {
        for act in ACTS.iter().filter(|act| act.operation == "open-fresh") {
            for number in 0..act.batches * act.times {
                let path = self.container.file(&format!("{}{number}", act.words[0]));
                let _ = fs::remove_file(&path);
                fs::write(path, "content\n")?;
            }
        }
        Ok(())
    }

    /// Loads the driver, where none is yet.
    pub fn attach(&self) -> Result<()> {
        let mut node = node();
        if node.is_none() {
            let (records_in, records) = mpsc::sync_channel::<Record>(4096);
            let (held_in, held) = mpsc::sync_channel(64);
            let driver = Lsm::load(&DriverConfig::default(), Sink::new(records_in), held_in)?;
            // Ends with the driver, whose records it takes.
            std::thread::spawn(move || records.into_iter().for_each(drop));
            *node = Some(Node { driver, held });
        }
        Ok(())
    }

    /// Puts the rules of a state in force; how long that took.
    pub fn apply(&self, state: State) -> Result<Duration> {
        let rules = rules::of(state);
        let scope = self.container.scope()?;
        let mut node = node();
        let driver = &mut node.as_mut().context("no driver is loaded")?.driver;
        let began = Instant::now();
        driver.apply(&scope, &rules)?;
        Ok(began.elapsed())
    }

    /// What one act costs: instructions in each batch by the act.
    fn run(&self, act: &Act, place: Place, batches: usize) -> Result<Vec<f64>> {
        let (batches, times) = (batches.to_string(), act.times.to_string());
        let words: Vec<&str> =
            [PROGRAM, act.operation, &batches, &times].into_iter().chain(act.words.iter().copied()).collect();
        let output = match place {
            Place::Container => {
                let ended = self.container.run(&words)?;
                ensure!(ended.succeeded(), "{}: {ended:?}", act.name);
                ended.output
            }
            Place::Outside => {
                let root = self.container.file("/");
                let ended =
                    command("/bin/chroot").arg(root).args(&words).stderr(Stdio::inherit()).output()?;
                ensure!(ended.status.success(), "{}: {}", act.name, ended.status);
                String::from_utf8(ended.stdout)?
            }
        };
        let counts = output.lines().map(|line| Ok(line.trim().parse::<f64>()? / act.times as f64));
        counts.collect::<Result<_>>().with_context(|| format!("{}: it printed {output}", act.name))
    }

    /// The cost of one act.
    pub fn cost(&self, act: &Act, place: Place) -> Result<Cost> {
        let mut counts = self.run(act, place, act.batches)?;
        counts.sort_by(f64::total_cmp);
        let quantile = |part: usize| counts.get(counts.len() * part / 4).copied().unwrap_or(f64::NAN);
        Ok(Cost {
            act: act.name.into(),
            median: quantile(2),
            quartiles: [quantile(1), quantile(3)],
            decision: self.decision(act, place)?,
        })
    }

    /// What the program that decides takes, by the kernel's own count, which is not free: a run of its own.
    fn decision(&self, act: &Act, place: Place) -> Result<f64> {
        if node().is_none() || act.judge.is_empty() {
            return Ok(0.0);
        }
        if act.operation == "open-fresh" {
            self.refresh()?;
        }
        let (nanoseconds, runs) = spent(act.judge);
        fs::write(STATISTICS, "1")?;
        let ran = self.run(act, place, act.batches);
        fs::write(STATISTICS, "0")?;
        ran?;
        let (later_nanoseconds, later_runs) = spent(act.judge);
        let runs = later_runs - runs;
        Ok(if runs == 0 { 0.0 } else { (later_nanoseconds - nanoseconds) as f64 / runs as f64 })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let (Some(node), Ok(scope)) = (node().as_mut(), self.container.scope()) {
            node.driver.release(scope.cgroup);
        }
    }
}

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Nanoseconds and runs of the programs whose name this is; the kernel keeps its first 15 bytes.
fn spent(name: &str) -> (u64, u64) {
    let name = &name.as_bytes()[..name.len().min(15)];
    ProgInfoIter::default()
        .filter(|program| program.name.as_bytes() == name)
        .fold((0, 0), |(time, runs), program| (time + program.run_time_ns, runs + program.run_cnt))
}

/// Everything in one state.
pub fn measure(state: State) -> Result<Measured> {
    ensure!(state != State::Detached || node().is_none(), "a driver was loaded before");
    let stage = Stage::set(&state.name())?;
    let mut load = Duration::ZERO;
    if state != State::Detached {
        stage.attach()?;
    }
    if !matches!(state, State::Detached | State::Idle) {
        load = stage.apply(state)?;
    }
    let place = match state {
        State::Detached | State::Idle | State::OutOfScope => Place::Outside,
        _ => Place::Container,
    };
    let rules_deny = matches!(place, Place::Container) && state != State::Rules(0);
    let mut costs = Vec::new();
    for act in ACTS.iter().filter(|act| rules_deny || !act.denied) {
        costs.push(stage.cost(act, place)?);
    }
    Ok(Measured { state, costs, load: load.as_secs_f64() * 1e3 })
}
