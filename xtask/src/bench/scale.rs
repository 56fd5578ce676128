//! 10,000 rules over many containers.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use moat_testkit::{Containerd, Image};
use tokio::time::{interval, timeout};

use super::idle::{resident_mebibytes, rest};
use super::report::Figure;
use super::stage::{CONTAINER, IMAGE, SELECTED, Stage};
use super::statistics::Sorted;
use crate::demo::{examples, terminal};

const RULES: usize = 10_000;
/// How many containers are started at a time.
const STARTERS: usize = 4;
/// How long the rules may take before something is wrong.
const DEADLINE: Duration = Duration::from_mins(1);
/// How often the agent is asked whether they are in force.
const ASK: Duration = Duration::from_millis(10);
const SAVES: usize = 5;

pub async fn measure(stage: &Stage, containers: usize, time: Duration) -> Result<Vec<Figure>> {
    let containerd = Arc::clone(&stage.containerd);
    let starting = tokio::task::spawn_blocking(move || start(&containerd, containers));
    terminal::progress(&format!("starting {containers} more containers"), starting).await??;
    let agent = stage.agent(&examples()?).await?;
    agent.in_force(SELECTED, CONTAINER, &["no-shells", "immutable-image"]).await?;
    let mut figures = rest(&agent, &format!("{} containers", containers + 2), time).await?;

    let each = RULES / containers;
    let mut times = Vec::new();
    let work = async {
        for save in 0..SAVES {
            let began = Instant::now();
            for container in 0..containers {
                let path = agent.policies.join(format!("many-{container}.yaml"));
                fs::write(path, policy(container, each, save))?;
            }
            // A set is new when its generation is: the number of rules alone would not tell the second set from the first.
            let wanted = format!("many-{save}-");
            let mut beat = interval(ASK);
            let in_force = timeout(DEADLINE, async {
                loop {
                    beat.tick().await;
                    let held = agent.containers().await?.into_iter().filter(|container| {
                        container.problem.is_empty()
                            && container.rules == each
                            && container.policies.iter().any(|name| name.starts_with(&wanted))
                    });
                    if held.count() == containers {
                        return anyhow::Ok(());
                    }
                }
            });
            in_force.await.context("the rules are not in force in time")??;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(())
    };
    terminal::progress(&format!("saving {RULES} rules for {containers} containers, {SAVES} times"), work)
        .await?;
    figures.push(Figure::time(
        format!("{RULES} rules over {containers} containers, saved to in force"),
        Some(("≤ 2 s", 2000.0)),
        &Sorted::new(times),
    ));
    let resident = resident_mebibytes(agent.status().await?.pid)?;
    figures.push(Figure::new(
        "resident memory with those rules in force",
        None,
        resident,
        format!("{resident:.1} MiB"),
    ));
    agent.stop().await?;
    Ok(figures)
}

/// Starts containers with the label `bench=NUMBER`.
fn start(containerd: &Containerd, containers: usize) -> Result<()> {
    let image = Image::new(IMAGE);
    let next = AtomicUsize::new(0);
    let starter = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= containers {
                return Ok(());
            }
            let container = containerd.container(&image, &format!("bench-{number}"));
            container.label("bench", &number.to_string()).command(["/bin/sleep", "86400"]).start()?;
        }
    };
    thread::scope(|scope| {
        let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(starter)).collect();
        for starter in starters {
            let started: Result<()> =
                starter.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a starter panicked")));
            started?;
        }
        anyhow::Ok(())
    })
}

/// The policy of one container: the mix of rules that a large folder has, different in each container.
fn policy(container: usize, rules: usize, save: usize) -> String {
    let mut text = format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: many-{save}-{container} }}\n\
         spec:\n  labelSelector: {{ matchLabels: {{ bench: \"{container}\" }} }}\n  mode: Enforce\n  rules:\n"
    );
    for rule in 0..rules {
        let id = format!("{save}x{container}x{rule}");
        let matcher = match rule % 10 {
            0..=2 => format!("process: {{ names: [tool{id}] }}"),
            3 | 4 => format!("process: {{ paths: [/usr/bin/tool{id}] }}"),
            5 if rule % 20 == 5 => {
                format!("process: {{ names: [tool{id}], argsRegex: \"(^| )-c{id}( |$)\" }}")
            }
            5 => format!("process: {{ nameRegex: \"^tool{id}(-[0-9]+)?$\" }}"),
            6 => format!("file: {{ paths: [/srv/data/{id}], operations: [Read, Write] }}"),
            7 => format!("file: {{ paths: [/srv/tree/{id}/**], operations: [Write] }}"),
            8 => format!("process: {{ pathGlobs: [\"/opt/app{id}/**\"] }}"),
            _ => format!(
                "network: {{ direction: Egress, cidrs: [10.{}.{}.0/24], ports: [\"{}\"] }}",
                container % 256,
                rule % 256,
                1 + rule
            ),
        };
        let _ = writeln!(text, "  - {{ name: rule-{rule}, action: Block, {matcher} }}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn the_policies_are_valid() {
        moat_policy::parse("many.yaml", policy(7, 100, 3).as_bytes()).unwrap();
    }
}
