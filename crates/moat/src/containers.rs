//! `moat containers`.

use moat_event::Workload;
use moat_wire::control::{Client, ContainerStatus};

use crate::Outcome;
use crate::config::Config;
use crate::output::table::{Cell, Table};
use crate::output::{self, style};

/// Characters of a container's id that are shown, as the runtimes' own tools do.
const SHORT_ID: usize = 12;

pub async fn run(config: &Config, json: bool) -> anyhow::Result<Outcome> {
    let containers = Client::connect(&config.control).await?.containers().await?;
    if json {
        output::json(&containers)?;
    } else if containers.is_empty() {
        output::text("No containers run on this node.\n")?;
    } else {
        output::text(&render(containers))?;
    }
    Ok(Outcome::Ok)
}

fn render(mut containers: Vec<ContainerStatus>) -> String {
    containers.sort_by_key(|container| place(&container.workload));
    let mut table = Table::new(["WORKLOAD", "ID", "IMAGE", "STATE", "RULES", "POLICIES"]);
    for container in &containers {
        let state = match (container.problem.is_empty(), container.policies.is_empty()) {
            (false, _) => Cell::styled("not in force", style::BAD),
            (true, true) => Cell::styled("no policy", style::QUIET),
            (true, false) => Cell::styled("in force", style::GOOD),
        };
        let id: String = container.workload.container_id.chars().take(SHORT_ID).collect();
        table.row([
            Cell::new(place(&container.workload)),
            Cell::styled(id, style::QUIET),
            Cell::new(&container.workload.image),
            state,
            Cell::new(container.rules.to_string()),
            Cell::new(container.policies.join(", ")),
        ]);
    }
    let mut text = table.render(0);
    let mut problems = Table::plain();
    for container in containers.iter().filter(|container| !container.problem.is_empty()) {
        problems.row([
            Cell::styled("!", style::BAD),
            Cell::new(place(&container.workload)),
            Cell::new(&container.problem),
        ]);
    }
    let problems = problems.render(0);
    if !problems.is_empty() {
        text.push('\n');
        text += &problems;
    }
    text
}

/// `namespace/pod/container`; one name where pod and container share it.
pub fn place(workload: &Workload) -> String {
    let mut names = vec![workload.namespace.as_str(), &workload.pod, &workload.container];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names.join("/")
}
