//! An agent as a process of its own, so that it can be killed: it holds the LSM driver and does as it is told.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::{Direction, FileOperation, Severity};
use moat_kernel::lsm::Lsm;
use moat_kernel::{ContainerScope, Driver, DriverConfig, Instance, Sink};
use moat_policy::model::{FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};
use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::node::{INIT, command};

/// An emulated processor checks programs for half a minute, and on a busy machine for minutes.
const DEADLINE: Duration = Duration::from_mins(10);

/// Where an agent lives that runs in a pod.
const CGROUP: &str = "MOAT_AGENT_CGROUP";

/// Whose pins these agents leave to each other.
pub fn instance() -> Instance {
    Instance::of(Path::new("/run/moat"))
}

/// What an agent is told, a line each.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Refuse the execution of these programs, reading `/etc/secret`, and connections to port 9.
    Apply {
        scope: Scope,
        generation: u64,
        programs: Vec<String>,
    },
    ForgetOthers {
        running: HashSet<u64>,
    },
    End,
}

#[derive(Debug, Serialize, Deserialize)]
struct Scope {
    cgroup: u64,
    cgroup_directory: PathBuf,
    init_pid: u32,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Loaded { inherited: Option<(usize, u64)> },
    Done,
    Held,
    Failed(String),
}

/// The agent's life, in its own process.
pub fn run() -> Result<()> {
    let (records, _received) = mpsc::sync_channel(4096);
    let (held_in, held) = mpsc::sync_channel(64);
    let cgroup = std::env::var_os(CGROUP);
    if let Some(cgroup) = &cgroup {
        std::fs::write(Path::new(cgroup).join("cgroup.procs"), "0")?;
    }
    let config =
        DriverConfig { in_pod: cgroup.is_some(), instance: Some(instance()), ..DriverConfig::default() };
    let mut driver = match Lsm::load(&config, Sink::new(records), held_in) {
        Ok(driver) => driver,
        Err(error) => return answer(&Answer::Failed(error.to_string())),
    };
    std::thread::spawn(move || held.iter().try_for_each(|_| answer(&Answer::Held)));
    let inherited = driver.inherited().map(|inherited| (inherited.containers, inherited.unheld));
    answer(&Answer::Loaded { inherited })?;
    for line in std::io::stdin().lines() {
        match serde_json::from_str(&line?)? {
            Order::Apply { scope, generation, programs } => {
                let scope = ContainerScope {
                    cgroup: scope.cgroup,
                    cgroup_directory: Some(scope.cgroup_directory),
                    init_pid: scope.init_pid,
                };
                let applied = driver.apply(&scope, &rules(generation, &programs));
                answer(&applied.map_or_else(|error| Answer::Failed(error.to_string()), |()| Answer::Done))?;
            }
            Order::ForgetOthers { running } => {
                driver.forget_others(&running);
                answer(&Answer::Done)?;
            }
            Order::End => break,
        }
    }
    drop(driver);
    answer(&Answer::Done)
}

fn answer(answer: &Answer) -> Result<()> {
    let line = serde_json::to_string(answer)? + "\n";
    std::io::stdout().lock().write_all(line.as_bytes()).context("nobody hears the agent")
}

fn rules(generation: u64, programs: &[String]) -> Arc<RuleSet> {
    let execution = ProcessMatcher { paths: programs.to_vec(), ..ProcessMatcher::default() };
    let opening = FileMatcher {
        paths: vec!["/etc/secret".into()],
        operations: vec![FileOperation::Read],
        processes: Vec::new(),
        users: Vec::new(),
        except: None,
    };
    let connecting = NetworkMatcher {
        direction: Direction::Egress,
        cidrs: Vec::new(),
        ports: vec!["9".into()],
        protocols: Vec::new(),
        except: None,
    };
    let rule = |name: &str, matcher| EffectiveRule {
        policy: "life".into(),
        rule: name.into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher,
    };
    let rules = vec![
        rule("a-program", Matcher::Process(Arc::new(execution))),
        rule("b-file", Matcher::File(Arc::new(opening))),
        rule("c-port", Matcher::Network(Arc::new(connecting))),
    ];
    Arc::new(RuleSet { generation, hash: format!("{programs:?}"), rules })
}

/// An agent, seen from the case that started it. Dropping it kills it.
#[derive(Debug)]
pub struct Agent {
    process: Child,
    orders: ChildStdin,
    answers: Receiver<Answer>,
    starts: Receiver<()>,
    /// Containers whose rules were in force when it came, and starts that had not waited.
    pub inherited: Option<(usize, u64)>,
}

impl Agent {
    pub fn start() -> Result<Agent> {
        Agent::spawn(&mut command(INIT))
    }

    /// An agent in a container of its own, as if its cgroup's parent were that of its pod.
    pub fn start_in_pod(cgroup: &Path) -> Result<Agent> {
        Agent::spawn(command(INIT).env(CGROUP, cgroup))
    }

    fn spawn(command: &mut Command) -> Result<Agent> {
        let mut process = command.arg("agent").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take().context("no standard input")?;
        let output = BufReader::new(process.stdout.take().context("no standard output")?);
        let (answered, answers) = mpsc::sync_channel(16);
        let (started, starts) = mpsc::sync_channel(16);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let sent = match serde_json::from_str(&line) {
                    Ok(Answer::Held) => started.send(()).is_ok(),
                    Ok(answer) => answered.send(answer).is_ok(),
                    Err(_) => answered.send(Answer::Failed(line)).is_ok(),
                };
                if !sent {
                    break;
                }
            }
        });
        let mut agent = Agent { process, orders, answers, starts, inherited: None };
        match agent.answers.recv_timeout(DEADLINE).context("the agent does not load")? {
            Answer::Loaded { inherited } => agent.inherited = inherited,
            other => anyhow::bail!("the agent does not load: {other:?}"),
        }
        Ok(agent)
    }

    pub fn apply(&mut self, container: &Container, generation: u64, programs: &[&str]) -> Result<()> {
        let scope = container.scope()?;
        let scope = Scope {
            cgroup: scope.cgroup,
            cgroup_directory: scope.cgroup_directory.context("no cgroup")?,
            init_pid: scope.init_pid,
        };
        let programs = programs.iter().map(ToString::to_string).collect();
        self.order(&Order::Apply { scope, generation, programs })
    }

    /// These are all containers that run.
    pub fn forget_others(&mut self, running: &[&Container]) -> Result<()> {
        let running = running.iter().map(|container| Ok(container.scope()?.cgroup));
        self.order(&Order::ForgetOthers { running: running.collect::<Result<_>>()? })
    }

    /// Waits until it says that a start is held.
    pub fn await_held(&self) -> Result<()> {
        self.starts.recv_timeout(DEADLINE).context("no start is held")
    }

    /// As on SIGTERM.
    pub fn end(mut self) -> Result<()> {
        self.order(&Order::End)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// As by the kernel when memory is short.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Result<()> {
        self.orders.write_all((serde_json::to_string(order)? + "\n").as_bytes())?;
        match self.answers.recv_timeout(DEADLINE).context("the agent does not answer")? {
            Answer::Done => Ok(()),
            other => anyhow::bail!("{order:?}: {other:?}"),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
