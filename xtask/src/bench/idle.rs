//! What the agent costs while nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::report::Figure;
use super::stage::{CONTAINER, SELECTED, Stage};
use crate::demo::agent::Agent;
use crate::demo::{examples, terminal};

/// An agent with `examples/` and these containers, while nothing happens for so long.
pub async fn measure(stage: &Stage, containers: &str, time: Duration) -> Result<Vec<Figure>> {
    let agent = stage.agent(&examples()?).await?;
    agent.in_force(SELECTED, CONTAINER, &["no-shells", "immutable-image"]).await?;
    let figures = rest(&agent, containers, time).await?;
    agent.stop().await?;
    Ok(figures)
}

/// Looks at the agent before and after that time.
pub async fn rest(agent: &Agent, containers: &str, time: Duration) -> Result<Vec<Figure>> {
    let pid = agent.status().await?.pid;
    let label = format!("leaving the agent with {containers} alone for {} s", time.as_secs());
    let (before, began) = (processor_time(pid)?, Instant::now());
    terminal::progress(&label, tokio::time::sleep(time)).await;
    let spent = processor_time(pid)?.saturating_sub(before);
    let percent = 100.0 * spent.as_secs_f64() / began.elapsed().as_secs_f64();
    let resident = resident_mebibytes(pid)?;
    Ok(vec![
        Figure::new(
            format!("resident memory of the idle agent, {containers}"),
            Some(("≤ 40 MiB", 40.0)),
            resident,
            format!("{resident:.1} MiB"),
        ),
        Figure::new(
            format!("processor time of the idle agent, {containers}"),
            Some(("≤ 0.2 % of a core", 0.2)),
            percent,
            format!("{percent:.2} %"),
        ),
    ])
}

/// What all threads of a process ran, ended ones included: fields 14 and 15 of `/proc/PID/stat`, in ticks of 10 ms
/// (`proc_pid_stat(5)`).
fn processor_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is a name, in which there may be anything.
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("{path} names no program"))?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>().with_context(|| format!("{path} says {text}"))?;
    Ok(Duration::from_millis(10 * ticks))
}

pub fn resident_mebibytes(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("{path} has no VmRSS"))? / 1024.0)
}
