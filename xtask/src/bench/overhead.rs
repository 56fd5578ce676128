//! What system calls cost with Moat and without, in turn, and how long the agent takes to start.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::own_policy;
use super::report::Figure;
use super::stage::{CONTAINER, FILES, Place, SELECTED, Stage};
use super::statistics::Sorted;
use crate::demo::{examples, terminal};

/// Examples that watch system calls of the whole node while a container needs them.
const WATCHING: [&str; 2] = ["no-dangerous-syscalls.yaml", "read-only-etc.yaml"];

/// What the agent does while the probe measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It does not run.
    Off,
    /// One rule that lists names.
    Names,
    /// `examples/` without rules on system calls or changes of files, and a rule on a file that depends on who opens it.
    Quiet,
    /// All of `examples/` and that rule: system calls are watched.
    Watching,
}

const STATES: [State; 4] = [State::Off, State::Names, State::Quiet, State::Watching];

impl State {
    fn policies(self) -> Result<Vec<PathBuf>> {
        let mut policies = match self {
            State::Off => return Ok(Vec::new()),
            State::Names => return Ok(vec![own_policy("names")?]),
            State::Quiet => examples()?
                .into_iter()
                .filter(|path| !WATCHING.iter().any(|name| path.ends_with(name)))
                .collect(),
            State::Watching => examples()?,
        };
        policies.push(own_policy("ruled-file")?);
        Ok(policies)
    }

    /// Names of the policies that select the container.
    fn selecting(self) -> &'static [&'static str] {
        const ALL: [&str; 7] = [
            "no-dangerous-syscalls",
            "read-only-etc",
            "ruled-file",
            "no-shells",
            "DisallowEtcAccessForNginx",
            "no-egress",
            "immutable-image",
        ];
        match self {
            State::Off => &[],
            State::Names => &["names"],
            State::Quiet => ALL.split_at(2).1,
            State::Watching => ALL.split_at(0).1,
        }
    }

    fn title(self) -> &'static str {
        match self {
            State::Off => "without Moat",
            State::Names => "one rule of names",
            State::Quiet => "no rule on system calls or changes of files",
            State::Watching => "all of `examples/`",
        }
    }
}

/// Nanoseconds for each operation.
#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    host_exec: f64,
    host_open: f64,
    answer: f64,
    neighbour_exec: f64,
    neighbour_open: f64,
    exec: f64,
    open: f64,
    ruled: f64,
    first: f64,
}

/// All states once.
type Cycle = [Costs; STATES.len()];

pub async fn measure(stage: &Stage, cycles: usize) -> Result<Vec<Figure>> {
    let mut starts = Vec::new();
    let mut done: Vec<Cycle> = Vec::new();
    let label = format!("{cycles} times without Moat and with three sets of policies");
    let work = async {
        // Once more than asked, for the first fills the caches of the file system.
        for cycle in 0..=cycles {
            let mut costs = Cycle::default();
            for step in 0..STATES.len() {
                // Each state comes as often first as last.
                let index = (cycle + step) % STATES.len();
                let (state, place) = (STATES[index], &mut costs[index]);
                *place = measure_state(stage, state, &mut starts).await?;
            }
            if cycle > 0 {
                done.push(costs);
            }
        }
        anyhow::Ok(())
    };
    terminal::progress(&label, work).await?;
    Ok(figures(&done, starts))
}

async fn measure_state(stage: &Stage, state: State, starts: &mut Vec<f64>) -> Result<Costs> {
    if state == State::Off {
        return costs(stage).await;
    }
    let began = Instant::now();
    let agent = stage.agent(&state.policies()?).await?;
    starts.push(began.elapsed().as_secs_f64() * 1e3);
    agent.in_force(SELECTED, CONTAINER, state.selecting()).await?;
    let costs = costs(stage).await?;
    agent.stop().await?;
    Ok(costs)
}

async fn costs(stage: &Stage) -> Result<Costs> {
    let exec = format!("exec:{}:200", stage.on_host("/bench/true"));
    let open = format!("open:{}:500", stage.on_host("/bench/plain"));
    let host = stage.probe(Place::Host, &["measure", &exec, &open, "answer:process:2000"]).await?;
    let inside = ["measure", "exec:/bench/true:200", "open:/bench/plain:500"];
    let neighbour = stage.probe(Place::Neighbour, &inside).await?;
    let first = format!("first:/bench/files:{FILES}");
    let selected = inside.iter().copied().chain(["each:/bench/ruled:1000", &first]).collect::<Vec<_>>();
    let selected = stage.probe(Place::Selected, &selected).await?;
    let number = |nanos: &u64| Duration::from_nanos(*nanos).as_secs_f64() * 1e9;
    match (&host[..], &neighbour[..], &selected[..]) {
        ([host_exec, host_open, answer], [neighbour_exec, neighbour_open], [exec, open, ruled, first]) => {
            Ok(Costs {
                host_exec: number(host_exec),
                host_open: number(host_open),
                answer: number(answer),
                neighbour_exec: number(neighbour_exec),
                neighbour_open: number(neighbour_open),
                exec: number(exec),
                open: number(open),
                ruled: number(ruled),
                first: number(first),
            })
        }
        _ => bail!("the probe printed more or less than it was asked for"),
    }
}

fn figures(cycles: &[Cycle], starts: Vec<f64>) -> Vec<Figure> {
    let spread = |state: State, compare: &dyn Fn(&Costs, &Costs) -> f64| {
        let index = STATES.iter().position(|other| *other == state).unwrap_or_default();
        Sorted::new(cycles.iter().map(|costs| compare(&costs[0], &costs[index])).collect())
    };
    let ratio = |what: &str, state: State, goal, cost: fn(&Costs) -> f64| {
        let ratios = spread(state, &|off, on| cost(on) / cost(off));
        let base = spread(State::Off, &|off, _| cost(off) / 1e3).median();
        Figure::ratio(format!("{what}; {}", state.title()), goal, &ratios, base)
    };
    let added = |what: &str, state: State, goal, cost: fn(&Costs) -> f64| {
        let micros = spread(state, &|off, on| (cost(on) - cost(off)) / 1e3);
        let base = spread(State::Off, &|off, _| cost(off) / 1e3).median();
        Figure::added(format!("{what}; {}", state.title()), goal, &micros, base)
    };
    let mut figures = Vec::new();
    for state in [State::Quiet, State::Watching] {
        let outside = Some(("≤ 1.03 ×", 1.03));
        figures.push(ratio("`execve` on the host", state, outside, |costs| costs.host_exec));
        figures.push(ratio("`open` on the host", state, outside, |costs| costs.host_open));
        figures.push(ratio("`execve` in a container that no policy selects", state, outside, |costs| {
            costs.neighbour_exec
        }));
        figures.push(ratio("`open` in a container that no policy selects", state, outside, |costs| {
            costs.neighbour_open
        }));
    }
    for state in [State::Names, State::Quiet, State::Watching] {
        figures.push(ratio(
            "`execve` of an allowed program in scope",
            state,
            Some(("≤ 1.10 ×", 1.10)),
            |costs| costs.exec,
        ));
        figures.push(ratio(
            "`open` in scope of a file that no rule concerns, again",
            state,
            Some(("≤ 1.05 ×", 1.05)),
            |costs| costs.open,
        ));
        figures.push(added(
            "the same for the first time, each of 5,000 files",
            state,
            Some(("≤ 30 µs added", 30.0)),
            |costs| costs.first,
        ));
    }
    for state in [State::Quiet, State::Watching] {
        figures.push(added(
            "`open` in scope of a file that a rule concerns",
            state,
            Some(("≤ 30 µs added", 30.0)),
            |costs| costs.ruled,
        ));
    }
    let answers = spread(State::Off, &|off, _| off.answer / 1e3);
    figures.push(Figure::new(
        "for comparison, without Moat: a byte to another process, and one back, through pipes",
        None,
        answers.median(),
        format!("{:.1} µs ({:.1}–{:.1})", answers.median(), answers.percentile(25), answers.percentile(75)),
    ));
    figures.push(Figure::time(
        "from `moat up` to the first answer that it enforces",
        None,
        &Sorted::new(starts),
    ));
    figures
}
