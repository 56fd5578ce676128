//! `moat up` as a child of the demo or of the benchmark, asked and listened to over its control socket.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use moat_event::Event;
use moat_testkit::Containerd;
use moat_wire::control::{Client, ContainerStatus, EventQuery, EventStream, RuleHolding, Status};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use super::residue::Marks;

/// How long the agent may take for whatever is waited for.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long an event may take to be told, a busy machine included.
const EVENT_DEADLINE: Duration = Duration::from_secs(5);

/// How often the agent is asked while something is waited for that no event tells.
const ASK: Duration = Duration::from_millis(20);

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    pub program: PathBuf,
    pub control: PathBuf,
    state: PathBuf,
    pub policies: PathBuf,
    pub events_file: PathBuf,
}

/// The live events of an agent.
#[derive(Debug)]
pub struct Events(EventStream);

impl Agent {
    /// Starts the `moat up` of the folder `programs` for the containers of this containerd, with everything under
    /// `folder` and these policies. Returns when it enforces.
    pub async fn start(
        folder: &Path,
        containerd: &Containerd,
        programs: &Path,
        policies: &[PathBuf],
    ) -> Result<Agent> {
        let at = |name: &str| folder.join(name);
        for stale in ["policies", "state"] {
            if at(stale).exists() {
                fs::remove_dir_all(at(stale)).with_context(|| format!("cannot empty {stale}"))?;
            }
            fs::create_dir_all(at(stale))?;
        }
        copy(policies, &at("policies"))?;
        let (control, events_file) = (at("control.sock"), at("events.jsonl"));
        // A file of an earlier run would be written on.
        File::create(&events_file)?;
        // The console prints into it how to become its administrator.
        let log =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(at("moat.log"))?;
        let program = built(programs, "moat")?;
        let mut child = Command::new(&program)
            .args(["up", "--runtime", "containerd", "--socket"])
            .arg(containerd.socket())
            .args(["--oci-runtime", containerd.oci_runtime()])
            .arg("--policies")
            .arg(at("policies"))
            .arg("--state")
            .arg(at("state"))
            .arg("--events")
            .arg(&events_file)
            .arg("--control")
            .arg(&control)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Of its own, so that Ctrl-C in a terminal leaves it to the demo to end it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start moat")?;
        let mut beat = interval(ASK);
        let serving = timeout(DEADLINE, async {
            loop {
                beat.tick().await;
                if let Some(status) = child.try_wait()? {
                    bail!("moat up ended with {status}:\n{}", fs::read_to_string(at("moat.log"))?);
                }
                // The first answer comes when the rules can be held.
                if let Ok(mut client) = Client::connect(&control).await
                    && client.status().await.is_ok()
                {
                    return Ok(());
                }
            }
        });
        serving.await.with_context(|| format!("moat up does not serve {}", control.display()))??;
        Ok(Agent {
            child,
            program,
            control,
            state: at("state"),
            log: at("moat.log"),
            policies: at("policies"),
            events_file,
        })
    }

    /// The link by which the console's first administrator comes in; `None` where there is no console.
    pub fn console_link(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        log.split_whitespace().find(|word| word.contains("/setup#")).map(str::to_owned)
    }

    /// A new link, for one that was used.
    pub async fn new_console_link(&self) -> Result<String> {
        let made = Command::new(&self.program)
            .args(["console", "user", "link", "--state"])
            .arg(self.state.join("console-server"))
            .stdin(Stdio::null())
            .output();
        let made = timeout(DEADLINE, made).await.context("`moat console user link` does not end")??;
        ensure!(
            made.status.success(),
            "`moat console user link` ended with {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// What happens from now on.
    pub async fn listen(&self) -> Result<Events> {
        let query = EventQuery { follow: true, ..EventQuery::default() };
        Ok(Events(Client::connect(&self.control).await?.events(query).await?))
    }

    /// Copies policies into the watched folder and waits until they are in force in the container.
    pub async fn apply(
        &self,
        files: &[PathBuf],
        pod: &str,
        container: &str,
        expected: &[&str],
    ) -> Result<()> {
        copy(files, &self.policies)?;
        self.in_force(pod, container, expected).await
    }

    /// Waits until these policies are in force in the container.
    pub async fn in_force(&self, pod: &str, container: &str, expected: &[&str]) -> Result<()> {
        let mut beat = interval(ASK);
        let enforced = timeout(DEADLINE, async {
            loop {
                beat.tick().await;
                let status = self.container(pod, container).await?;
                let named = |policy: &&str| status.policies.iter().any(|name| name == policy);
                if expected.iter().all(named) && status.rules > 0 && status.problem.is_empty() {
                    return anyhow::Ok(());
                }
            }
        });
        enforced.await.with_context(|| {
            format!(
                "the policies are not in force after {} s; see {}",
                DEADLINE.as_secs(),
                self.log.display()
            )
        })?
    }

    /// What the agent knows of a container, once it knows it.
    pub async fn container(&self, pod: &str, name: &str) -> Result<ContainerStatus> {
        let mut beat = interval(ASK);
        let found = timeout(DEADLINE, async {
            loop {
                beat.tick().await;
                let containers = self.containers().await?;
                let wanted = |status: &ContainerStatus| {
                    status.workload.pod == pod && status.workload.container == name
                };
                if let Some(status) = containers.into_iter().find(wanted) {
                    return anyhow::Ok(status);
                }
            }
        });
        found.await.with_context(|| format!("the agent does not find container {name} of pod {pod}"))?
    }

    /// How a rule is held on this node.
    pub async fn holding(&self, policy: &str, rule: &str) -> Result<Option<RuleHolding>> {
        let policies = Client::connect(&self.control).await?.policies().await?;
        let rules =
            policies.into_iter().filter(|status| status.name == policy).flat_map(|status| status.rules);
        Ok(rules.filter(|status| status.name == rule).map(|status| status.holding).next())
    }

    /// What it says of itself.
    pub async fn status(&self) -> Result<Status> {
        Ok(Client::connect(&self.control).await?.status().await?)
    }

    /// All containers that it knows.
    pub async fn containers(&self) -> Result<Vec<ContainerStatus>> {
        Ok(Client::connect(&self.control).await?.containers().await?)
    }

    /// By what its containers and programs are known.
    pub async fn marks(&self) -> Result<Marks> {
        let mut marks = Marks::default();
        let containers = self.containers().await?;
        marks.names = containers.into_iter().map(|status| status.workload.container_id).collect();
        marks.add_programs_of(self.status().await?.pid)?;
        Ok(marks)
    }

    /// Asks the agent to end, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).context("cannot end moat")?;
        }
        let status = timeout(DEADLINE, self.child.wait()).await.context("moat up does not end")??;
        ensure!(status.success(), "moat up ended with {status}; see {}", self.log.display());
        Ok(())
    }
}

impl Events {
    /// The next event that `wanted` accepts; `None` if none comes in time.
    pub async fn first(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<Option<Event>> {
        let found = timeout(EVENT_DEADLINE, async {
            loop {
                let event = self.0.next().await?.context("the agent closed the stream of events")?;
                if wanted(&event) {
                    return anyhow::Ok(event);
                }
            }
        });
        found.await.ok().transpose()
    }
}

fn copy(policies: &[PathBuf], folder: &Path) -> Result<()> {
    for file in policies {
        let name = file.file_name().context("a policy without a name")?;
        fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

/// A program of this workspace, which Cargo has built into that folder.
fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    ensure!(path.exists(), "{} is not built; run: cargo build --workspace", path.display());
    Ok(path)
}
