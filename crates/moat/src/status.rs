//! `moat status`.

use moat_event::LossStage;
use moat_wire::control::{Client, Status};

use crate::Outcome;
use crate::config::Config;
use crate::output::table::{Cell, Table};
use crate::output::{self, age, bytes, style};

pub async fn run(config: &Config, json: bool) -> anyhow::Result<Outcome> {
    let status = Client::connect(&config.control).await?.status().await?;
    if json {
        output::json(&status)?;
    } else {
        output::text(&render(&status))?;
    }
    Ok(if status.problems.is_empty() { Outcome::Ok } else { Outcome::Finding })
}

fn render(status: &Status) -> String {
    let losses: Vec<_> = status.losses.iter().filter(|loss| loss.events > 0).collect();
    let mut table = Table::plain();
    let mut row = |name: &str, value: Cell| table.row([Cell::styled(name, style::QUIET), value]);
    row(
        "state",
        if status.problems.is_empty() {
            Cell::styled("running", style::GOOD)
        } else {
            Cell::styled("running, with problems", style::BAD)
        },
    );
    row(
        "agent",
        Cell::new(format!(
            "{}, process {}, up {}, {}",
            status.version,
            status.pid,
            age(status.uptime_seconds),
            bytes(status.resident_bytes)
        )),
    );
    row("driver", Cell::new(&status.driver));
    row("policies", Cell::new(format!("{}, generation {}", status.policies, status.generation)));
    row(
        "containers",
        Cell::new(format!("{}, {} under policies", status.containers, status.enforced_containers)),
    );
    row("events", Cell::new(status.events.to_string()));
    match losses.as_slice() {
        [] => row("lost", Cell::new("none")),
        losses => {
            let words: Vec<_> =
                losses.iter().map(|loss| format!("{} {}", loss.events, stage(loss.stage))).collect();
            row("lost", Cell::styled(words.join(", "), style::WARNING));
        }
    }
    let mut text = table.render(0);
    if !status.problems.is_empty() {
        text.push('\n');
        let mut problems = Table::plain();
        for problem in &status.problems {
            problems.row([Cell::styled("!", style::BAD), Cell::new(problem)]);
        }
        text += &problems.render(0);
    }
    text
}

fn stage(stage: LossStage) -> &'static str {
    match stage {
        LossStage::RingBuffer => "in the kernel's ring buffer",
        LossStage::NotificationQueue => "in the kernel's notification queue",
        LossStage::Pipeline => "before enrichment",
        LossStage::Subscriber => "by slow readers",
        LossStage::Output => "by the event output",
        LossStage::Spool => "on the way to the console",
        LossStage::Observation => "of what containers did, which the console's inventory is without",
    }
}
