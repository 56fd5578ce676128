//! `moat policy list`.

use std::fmt::Write;

use moat_wire::control::{Client, PolicyStatus, RuleHolding};

use crate::Outcome;
use crate::config::Config;
use crate::output::table::{Cell, Table};
use crate::output::{self, style};

pub async fn run(config: &Config, json: bool) -> anyhow::Result<Outcome> {
    let policies = Client::connect(&config.control).await?.policies().await?;
    if json {
        output::json(&policies)?;
    } else if policies.is_empty() {
        output::text(
            "No policies are in force. Put some into the agent's policy folder; `moat policy validate` checks them.\n",
        )?;
    } else {
        output::text(&render(policies))?;
    }
    Ok(Outcome::Ok)
}

fn render(mut policies: Vec<PolicyStatus>) -> String {
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    let mut table = Table::new(["POLICY", "RULE", "MODE", "ACTION", "SEVERITY", "HELD", "CONTAINERS"]);
    let mut notes = Table::plain();
    for policy in &policies {
        let containers = policy.containers.to_string();
        let mut first = Some(Cell::styled(&policy.name, style::NAME));
        for rule in &policy.rules {
            let last = first.is_some();
            table.row([
                first.take().unwrap_or_else(|| Cell::new("")),
                Cell::new(&rule.name),
                Cell::new(&policy.mode),
                Cell::new(&rule.action),
                Cell::styled(rule.severity.name(), style::severity(rule.severity)),
                holding(&rule.holding),
                Cell::new(if last { &containers } else { "" }),
            ]);
            if !rule.holding.reason.is_empty() && rule.holding.state != "Held" {
                notes.row([
                    Cell::styled("!", style::WARNING),
                    Cell::new(format!("{}/{}", policy.name, rule.name)),
                    Cell::new(&rule.holding.reason),
                ]);
            }
        }
        if policy.rules.is_empty() {
            let nothing = || Cell::new("");
            table.row([
                Cell::styled(&policy.name, style::NAME),
                Cell::styled(format!("({})", policy.kind), style::QUIET),
                Cell::new(&policy.mode),
                nothing(),
                nothing(),
                nothing(),
                Cell::new(&containers),
            ]);
        }
    }
    let mut text = table.render(0);
    let notes = notes.render(0);
    if !notes.is_empty() {
        text.push('\n');
        text += &notes;
    }
    for policy in &policies {
        if let Some(refused) = &policy.refused {
            let _ = write!(
                text,
                "\n{} {} was refused, its last good content stays in force:\n",
                style::paint(style::BAD, "!"),
                moat_event::printable(&policy.file)
            );
            for line in refused.lines() {
                let _ = writeln!(text, "  {}", moat_event::printable(line));
            }
        }
    }
    text
}

/// How a rule is held, coloured.
pub fn holding(holding: &RuleHolding) -> Cell {
    let style = match holding.state.as_str() {
        "Held" => style::GOOD,
        "Degraded" => style::WARNING,
        _ => style::BAD,
    };
    let state = match holding.state.as_str() {
        "Held" => "held",
        "Degraded" => "degraded",
        "NotHeld" => "not held",
        other => other,
    };
    match holding.driver.as_str() {
        "" => Cell::styled(state, style),
        driver => Cell::styled(format!("{state} ({driver})"), style),
    }
}
