//! `moat policy explain`: which rule decides, asked of the agent, or of policy files.

use std::net::Ipv4Addr;

use anyhow::{Context, bail};
use moat_event::{Direction, FileOperation, FileSource, Protocol};
use moat_policy::Attempt;
use moat_wire::control::{Client, DecidingRule, Explain, Explanation};

use super::list::holding;
use super::offline;
use crate::Outcome;
use crate::arguments::Question;
use crate::config::Config;
use crate::containers::place;
use crate::output::table::{Cell, Table};
use crate::output::{self, style};

pub async fn run(config: &Config, question: Question, json: bool) -> anyhow::Result<Outcome> {
    let activity = activity(&question)?;
    let asked = describe(&activity);
    let explanation = if question.policies.is_empty() {
        let explain = Explain { pod: question.pod, container: question.container, activity };
        Client::connect(&config.control).await?.explain(explain).await?
    } else {
        offline::explain(&question, &activity)?
    };
    if json {
        output::json(&explanation)?;
    } else {
        output::text(&render(&asked, &explanation))?;
    }
    Ok(if is_refused(&explanation) { Outcome::Finding } else { Outcome::Ok })
}

/// What the flags ask about.
fn activity(question: &Question) -> anyhow::Result<Attempt> {
    if let Some(command) = &question.exec {
        let arguments = shlex::split(command)
            .with_context(|| format!("--exec {command:?} has a quotation that does not end: close it"))?;
        let path =
            arguments.first().context("--exec is empty: give a program, e.g. --exec \"/bin/sh -c id\"")?;
        if !path.starts_with('/') {
            bail!(
                "--exec begins with `{}`: give the program's absolute path in the container",
                moat_event::printable(path)
            );
        }
        return Ok(Attempt::Exec {
            path: path.clone(),
            user: question.user,
            parents: question.parent.clone(),
            origin: question.origin.into(),
            arguments: Some(arguments),
            source: FileSource::Image,
        });
    }
    let file = |path: &String, operation| {
        if !path.starts_with('/') {
            bail!(
                "`{}` is not absolute: give the file's absolute path in the container",
                moat_event::printable(path)
            );
        }
        let executable = question.by.clone().unwrap_or_default();
        Ok(Attempt::File { path: path.clone(), operation, executable, user: question.user })
    };
    if let Some(path) = &question.read {
        return file(path, FileOperation::Read);
    }
    if let Some(path) = &question.write {
        return file(path, FileOperation::Write);
    }
    if let (Some(path), Some(operation)) = (&question.file, question.operation) {
        return file(path, operation);
    }
    for (endpoint, direction) in [
        (question.connect, Direction::Egress),
        (question.accept, Direction::Ingress),
        (question.listen, Direction::Listen),
    ] {
        if let Some(endpoint) = endpoint {
            return Ok(Attempt::Connect {
                direction,
                protocol: endpoint.protocol,
                address: endpoint.address.ip(),
                port: endpoint.address.port(),
            });
        }
    }
    if question.raw_socket {
        return Ok(Attempt::Connect {
            direction: Direction::Egress,
            protocol: Protocol::Raw,
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
        });
    }
    match (&question.syscall, &question.capability) {
        (Some(name), _) => Ok(Attempt::Syscall { name: name.clone() }),
        (None, Some(name)) => Ok(Attempt::Capability { name: name.clone() }),
        (None, None) => bail!("say what is attempted, e.g. --exec, --read or --connect"),
    }
}

/// The act in words, unescaped.
fn describe(activity: &Attempt) -> String {
    match activity {
        Attempt::Exec { arguments, path, .. } => {
            let arguments = arguments.as_deref().unwrap_or(std::slice::from_ref(path));
            format!(
                "exec {}",
                shlex::try_join(arguments.iter().map(String::as_str)).unwrap_or_else(|_| arguments.join(" "))
            )
        }
        Attempt::File { path, operation, executable, .. } => {
            let by = if executable.is_empty() { String::new() } else { format!(" by {executable}") };
            format!("{} {path}{by}", operation.name().to_lowercase())
        }
        Attempt::Connect { protocol: Protocol::Raw, .. } => "open a raw socket".to_owned(),
        Attempt::Connect { direction, protocol, address, port } => {
            let protocol = format!("{protocol:?}").to_lowercase();
            let verb = match direction {
                Direction::Egress => "connect to",
                Direction::Ingress => "accept from",
                Direction::Listen => "listen on",
            };
            format!("{verb} {protocol}://{}", std::net::SocketAddr::new(*address, *port))
        }
        Attempt::Syscall { name } => format!("system call {name}"),
        Attempt::Capability { name } => format!("use capability {name}"),
    }
}

/// Whether the enforced rule does more than report.
fn is_refused(explanation: &Explanation) -> bool {
    explanation.enforced.as_ref().is_some_and(|rule| rule.action != "Alert")
}

fn render(asked: &str, explanation: &Explanation) -> String {
    let mut table = Table::plain();
    let mut row = |name: &str, value: Cell| table.row([Cell::styled(name, style::QUIET), value]);
    row("asked", Cell::new(asked));
    let place = place(&explanation.workload);
    row("workload", Cell::new(if place.is_empty() { "any" } else { &place }));
    let refused = is_refused(explanation);
    row("verdict", Cell::styled(&explanation.verdict, if refused { style::BAD } else { style::GOOD }));
    match &explanation.enforced {
        Some(rule) => deciding(&mut row, "rule", rule),
        None => row("rule", Cell::new("none that is enforced matches")),
    }
    if let Some(rule) = &explanation.audited {
        deciding(&mut row, "audited", rule);
    }
    let selected =
        if explanation.selected.is_empty() { String::from("none") } else { explanation.selected.join(", ") };
    row("policies", Cell::new(selected));
    for (index, policy) in explanation.not_selected.iter().enumerate() {
        let name = if index == 0 { "others" } else { "" };
        row(name, Cell::styled(format!("{}: {}", policy.policy, policy.why), style::QUIET));
    }
    table.render(0)
}

fn deciding(row: &mut impl FnMut(&str, Cell), name: &str, rule: &DecidingRule) {
    row(name, Cell::styled(format!("{}/{}", rule.policy, rule.rule), style::NAME));
    row("", Cell::new(format!("{}, severity {}", rule.action, rule.severity)));
    if !rule.reason.is_empty() {
        row("", Cell::new(&rule.reason));
    }
    if !rule.holding.state.is_empty() {
        row("", holding(&rule.holding));
        if !rule.holding.reason.is_empty() {
            row("", Cell::new(&rule.holding.reason));
        }
    }
}
