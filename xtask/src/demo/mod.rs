//! `make demo`: a real nginx container, attacked twice, where no policy selects it and where `examples/` do.
//!
//! Everything is the real thing: containerd and runc, the agent as a user starts it, its events as a user reads them.
//! What an attack did is looked up in the container, not believed from an error.

pub mod agent;
mod attacks;
mod attempt;
mod dashboard;
mod residue;
mod stage;
pub mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use moat_event::{Event, EventAction, EventType};
use tokio::signal::unix::{SignalKind, signal};

use self::agent::{Agent, Events};
use self::attacks::{ATTACKS, Attack, BENIGN, End, PAGE};
use self::attempt::attempt;
use self::dashboard::Dashboard;
use self::residue::Marks;
use self::stage::{Stage, Target};
use crate::workspace;

/// Pods by what selects them.
const PROTECTED: &str = "vulnerable-nginx-pod";
const UNPROTECTED: &str = "unprotected-nginx-pod";
const LOCKED: &str = "locked-nginx-pod";
const DENIED: &str = "denied-entrypoint-pod";

/// Runs the demo, with `exit` to its end, else until Ctrl-C. What went otherwise than expected, one line each.
pub fn run(exit: bool) -> Result<Vec<String>> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the demo runs containers and loads kernel programs: run it as root, with Cargo in the path:\n  \
         sudo env \"PATH=$PATH\" \"HOME=$HOME\" make demo"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let interrupted = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::pin!(interrupted);
        let folder = workspace::root()?.join(".demo");
        fs::create_dir_all(&folder)?;

        terminal::heading("Setting the stage");
        let (mut problems, marks) = tokio::select! {
            () = &mut interrupted => return Ok(vec![String::from("demo: interrupted")]),
            stage = Stage::set(&folder) => {
                let stage = stage?;
                let programs = workspace::programs()?;
                let start = Agent::start(&folder, stage.containerd(), &programs, &[]);
                let agent = terminal::progress("starting moat up", start).await?;
                let events = agent.listen().await?;
                let mut demo = Demo { stage, agent, events, told: Vec::new(), link: None, problems: Vec::new() };
                tokio::select! {
                    () = &mut interrupted => demo.problems.push(String::from("demo: interrupted")),
                    played = demo.play() => {
                        if let Err(error) = played {
                            demo.problems.push(format!("demo: {error:#}"));
                        }
                        if !exit {
                            demo.invite();
                            interrupted.await;
                        }
                    }
                }
                terminal::heading("Cleaning up");
                demo.end().await
            }
        };
        problems.extend(marks.find()?.into_iter().map(|left| format!("demo: left behind: {left}")));
        let met = problems.is_empty();
        terminal::outcome(
            met,
            if met { "everything as expected, and nothing left behind" } else { "not as expected" },
        );
        Ok(problems)
    })
}

/// The demo while it runs.
#[derive(Debug)]
struct Demo {
    stage: Stage,
    agent: Agent,
    events: Events,
    /// The events of the attacks.
    told: Vec<Event>,
    /// By which the user comes into the dashboard.
    link: Option<String>,
    /// What went otherwise than expected.
    problems: Vec<String>,
}

impl Demo {
    async fn play(&mut self) -> Result<()> {
        let pods = async {
            let unprotected = self.stage.pod(UNPROTECTED, "other", "nginx", &[]).await?;
            let protected = self.stage.pod(PROTECTED, "nginx", "nginx", &[]).await?;
            anyhow::Ok((unprotected, protected))
        };
        let (unprotected, protected) = terminal::progress("starting two pods of nginx", pods).await?;
        for target in [&unprotected, &protected] {
            self.stage.equip(target).await?;
        }
        self.stage.served(&unprotected, &protected).await?;
        let policies = examples()?;
        let selecting: Vec<&str> = ATTACKS.iter().map(|attack| attack.policy).collect();
        terminal::progress(
            &format!("saving the {} policies of examples/ until they are in force", policies.len()),
            self.agent.apply(&policies, PROTECTED, "nginx", &selecting),
        )
        .await?;

        terminal::heading(&format!("What must go on working in {PROTECTED}"));
        let page = self.stage.page(&unprotected, &protected).await;
        self.report(
            page.output.contains(PAGE),
            "nginx serves its page to another pod",
            &[("result", page.gist())],
        );
        for benign in BENIGN {
            let seen = self.stage.exec(&protected, benign.command).await;
            self.report(
                seen.exit == Some(0) && (seen.output.contains(benign.prints)),
                benign.title,
                &[("command", benign.command.join(" ")), ("result", seen.gist())],
            );
        }

        terminal::heading(&format!("Attacks: in {UNPROTECTED}, and in {PROTECTED}"));
        for attack in ATTACKS {
            self.attack(attack, &unprotected, &protected).await?;
        }

        terminal::heading("Containers that start under a policy: only nginx may run");
        self.locked(&unprotected).await?;
        self.denied().await?;

        terminal::heading(&format!("And after all that, in {PROTECTED}"));
        let page = self.stage.page(&unprotected, &protected).await;
        self.report(page.output.contains(PAGE), "nginx still serves its page", &[("result", page.gist())]);

        terminal::heading("On the dashboard");
        self.shown(policies.len()).await
    }

    /// Whether the console has it all, and how the user comes in.
    async fn shown(&mut self, policies: usize) -> Result<()> {
        let link = self.agent.console_link().context("the console has printed no link to come in by")?;
        let dashboard = Dashboard::enter(&link).await.context("cannot sign in to the console")?;
        // That link is used up.
        self.link = Some(self.agent.new_console_link().await?);
        let asking = async { (dashboard.missing(&self.told).await, dashboard.has_policies(policies).await) };
        let (missing, listed) = terminal::progress("asking the console for each of them", asking).await;
        let aspects: Vec<_> = missing
            .iter()
            .map(|(event, why)| ("missing", format!("{why}: {}", terminal::event_line(event))))
            .collect();
        let (all, shown) = (self.told.len(), self.told.len() - missing.len());
        let title = format!("{shown} of the {all} events of the attacks are there, each with its workload");
        self.report(shown == all && all > 0, &title, &aspects);
        let why = listed.as_ref().err().map(|error| ("missing", format!("{error:#}")));
        let title =
            format!("the {policies} policies, which are files on the node, are listed there and in force");
        self.report(listed.is_ok(), &title, why.as_slice());
        Ok(())
    }

    /// Tries an attack where nothing stops it, then where Moat does, and compares with what is expected.
    async fn attack(&mut self, attack: &Attack, unprotected: &Target, protected: &Target) -> Result<()> {
        let (without, worked) = attempt(&self.stage, unprotected, attack).await?;
        let (with, succeeded) = attempt(&self.stage, protected, attack).await?;
        let event = self
            .events
            .first(|event| event.pod_name.as_deref() == Some(PROTECTED) && attack.is_told_by(event))
            .await?;

        self.told.extend(event.clone());

        let ended = match attack.end {
            End::Refused => !succeeded && with.exit != Some(0) && with.exit != Some(137),
            End::Killed => !succeeded && with.exit == Some(137),
            End::Reported => true,
        };
        let without = match without.gist() {
            _ if !worked => String::from("failed for another reason; the demo proves nothing"),
            gist if gist.is_empty() => String::from("done"),
            gist => gist,
        };
        let with = match with.gist() {
            gist if gist.is_empty() => String::from("done"),
            gist => gist,
        };
        let mut aspects = vec![
            ("command", attack.command.join(" ")),
            ("without Moat", without),
            ("with Moat", with),
            ("event", told(event.as_ref())),
        ];
        if attack.end == End::Reported {
            let rule = event.as_ref().and_then(|event| event.rule.clone()).unwrap_or_default();
            let holding = self.agent.holding(attack.policy, &rule).await?;
            let told = holding.as_ref().is_some_and(|holding| holding.state == "Degraded");
            aspects.push((
                "rule",
                holding.map_or_else(String::new, |holding| format!("{}: {}", holding.state, holding.reason)),
            ));
            self.report(worked && ended && told && event.is_some(), attack.title, &aspects);
            return Ok(());
        }
        self.report(worked && ended && event.is_some(), attack.title, &aspects);
        Ok(())
    }

    /// A pod that an allow-list selects from its start: nginx runs, and nothing else.
    async fn locked(&mut self, client: &Target) -> Result<()> {
        let locked = self.stage.pod(LOCKED, "nginx-locked", "nginx", &[]).await?;
        let served = self.stage.served(client, &locked).await;
        self.report(served.is_ok(), "nginx starts and serves", &[]);
        let seen = self.stage.exec(&locked, &["ls", "/"]).await;
        let event = self
            .events
            .first(|event| {
                event.pod_name.as_deref() == Some(LOCKED)
                    && event.policy_name.as_deref() == Some("nginx-allow-list")
                    && event.action == EventAction::Blocked
            })
            .await?;
        self.told.extend(event.clone());
        self.report(
            !seen.output.contains("etc") && seen.exit != Some(0) && event.is_some(),
            "list a folder",
            &[("command", String::from("ls /")), ("with Moat", seen.gist()), ("event", told(event.as_ref()))],
        );
        Ok(())
    }

    /// A pod whose own first program is denied: not one instruction of it runs.
    async fn denied(&mut self) -> Result<()> {
        const CONTAINER: &str = "denied-entrypoint";
        let started = self.stage.pod(DENIED, "nginx-locked", CONTAINER, &["id"]).await;
        let event = self
            .events
            .first(|event| {
                event.pod_name.as_deref() == Some(DENIED)
                    && event.event_type == EventType::ProcessExec
                    && matches!(event.action, EventAction::Blocked | EventAction::Killed)
            })
            .await?;
        self.told.extend(event.clone());
        let printed = self.stage.log(CONTAINER).unwrap_or_default();
        let seen = match &started {
            Ok(_) => String::from("killed before its first instruction, printed nothing"),
            Err(error) => terminal::gist(&format!("{error:#}")),
        };
        self.report(
            event.is_some() && !printed.contains("uid="),
            "start a container whose own entrypoint is denied",
            &[("command", String::from("id")), ("with Moat", seen), ("event", told(event.as_ref()))],
        );
        Ok(())
    }

    fn report(&mut self, met: bool, title: &str, aspects: &[(&str, String)]) {
        terminal::outcome(met, title);
        for (name, text) in aspects {
            terminal::aspect(name, text);
        }
        if !met {
            self.problems.push(format!("demo: not as expected: {title}"));
        }
    }

    /// Says what one can do while the demo stays up.
    fn invite(&self) {
        let show = |path: &Path| path.display().to_string();
        let socket = self.stage.containerd().socket();
        terminal::heading("Moat stays up until Ctrl-C. Meanwhile:");
        if let Some(link) = self.link.clone().or_else(|| self.agent.console_link()) {
            terminal::aspect(
                "dashboard",
                &format!("{link} (its certificate is its own, which a browser asks about)"),
            );
        }
        for (name, text) in [
            ("policies", format!("change the files in {}", show(&self.agent.policies))),
            ("events", format!("tail -f {}", show(&self.agent.events_file))),
            (
                "moat",
                format!("{} --control {} policy list", show(&self.agent.program), show(&self.agent.control)),
            ),
            ("containers", format!("ctr --address {} --namespace k8s.io tasks list", show(&socket))),
        ] {
            terminal::aspect(name, &text);
        }
    }

    /// Ends the agent, then the containers. What went wrong so far and on the way, and by what to look for what
    /// may be left.
    async fn end(self) -> (Vec<String>, Marks) {
        let Demo { stage, agent, events, mut problems, .. } = self;
        drop(events);
        let mut marks = agent.marks().await.unwrap_or_else(|error| {
            problems.push(format!("demo: cannot tell what may be left behind: {error:#}"));
            Marks::default()
        });
        marks.names.push(stage.containerd().path().display().to_string());
        if let Err(error) = terminal::progress("ending moat", agent.stop()).await {
            problems.push(format!("demo: {error:#}"));
        }
        let ended = tokio::task::spawn_blocking(move || drop(stage));
        if let Err(error) = terminal::progress("ending the containers and containerd", ended).await {
            problems.push(format!("demo: {error}"));
        }
        (problems, marks)
    }
}

/// The event as the user's file has it.
fn told(event: Option<&Event>) -> String {
    event.map_or_else(|| String::from("none came"), terminal::event_line)
}

/// The example policies.
pub fn examples() -> Result<Vec<PathBuf>> {
    let folder = workspace::root()?.join("examples");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).context("cannot read examples/")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
