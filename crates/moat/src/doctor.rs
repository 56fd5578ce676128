//! `moat doctor`: what the agent's probing found, and what else the node needs.

mod node;

use std::time::Duration;

use moat_wire::doctor::Capabilities;
use serde::Serialize;

use crate::Outcome;
use crate::config::Config;
use crate::enforcer;
use crate::output::table::{Cell, Table};
use crate::output::{self, style};

/// Probing loads and attaches small programs one by one.
const PROBE: Duration = Duration::from_mins(1);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether policies can be enforced here.
    enforceable: bool,
    node: Vec<node::Check>,
    capabilities: Capabilities,
}

pub async fn run(config: &Config, json: bool) -> anyhow::Result<Outcome> {
    let capabilities: Capabilities = enforcer::ask(&["probe".as_ref(), "--json".as_ref()], PROBE).await?;
    let enforceable = capabilities.entries.iter().any(|entry| entry.available && entry.driver != "observe");
    let report =
        Report { enforceable, node: node::checks(config, &capabilities.kernel_release), capabilities };
    if json {
        output::json(&report)?;
    } else {
        output::text(&render(&report))?;
    }
    Ok(if enforceable { Outcome::Ok } else { Outcome::Finding })
}

fn render(report: &Report) -> String {
    let mut node = Table::new(["", "NODE", ""]);
    for check in &report.node {
        node.row([mark(check.good), Cell::new(check.name), Cell::new(&check.detail)]);
    }
    let mut capabilities = Table::new(["", "CAPABILITY", "HELD BY", "HOW, OR WHAT IS MISSING"]);
    for entry in &report.capabilities.entries {
        let by = if entry.available { Cell::new(&entry.driver) } else { Cell::styled("-", style::QUIET) };
        capabilities.row([mark(entry.available), Cell::new(&entry.summary), by, Cell::new(&entry.detail)]);
    }
    let conclusion = if report.enforceable {
        style::paint(style::GOOD, "Policies can be enforced on this node.")
    } else if rustix::process::geteuid().is_root() {
        style::paint(
            style::BAD,
            "Policies cannot be enforced on this node: the lines above say what is missing.",
        )
    } else {
        style::paint(style::BAD, "Nothing could be tried without root: run `sudo moat doctor`.")
    };
    format!("{}\n{}\n{conclusion}\n", node.render(0), capabilities.render(0))
}

fn mark(good: bool) -> Cell {
    if good { Cell::styled("✓", style::GOOD) } else { Cell::styled("✗", style::WARNING) }
}
