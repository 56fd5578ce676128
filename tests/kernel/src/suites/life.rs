//! Enforcement outlives the agent, and passes from one agent to the next without a gap.

pub mod agent;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::agent::{Agent, instance};
use super::{Case, cases};
use crate::container::{CGROUPS, Container, Ended};

pub fn cases() -> Vec<Case> {
    let cases = cases!("life":
        a_killed_agent_leaves_its_rules_in_force,
        the_next_agent_takes_over_without_a_gap,
        another_layout_is_replaced_without_a_gap,
        what_ended_meanwhile_is_forgotten,
        a_start_held_by_a_killed_agent_is_released_by_the_next,
        no_start_waits_for_an_agent_that_has_ended,
        a_killed_agent_does_not_hold_its_own_restart,
        a_new_start_is_judged_once_an_agent_is_back,
    );
    // Each agent's programs are checked by the kernel anew.
    cases.into_iter().map(|case| case.within(Duration::from_mins(30)).slow()).collect()
}

const MARK: &str = "/usr/bin/mark";
const DYNAMIC: &str = "/usr/bin/marked-dynamic";
const PINS: &str = "/sys/fs/bpf/moat";

/// Removes whatever a case has pinned, also where it fails.
struct Clean;

impl Drop for Clean {
    fn drop(&mut self) {
        if let Err(error) = moat_kernel::unpin(&instance()) {
            eprintln!("cannot unpin: {error}");
        }
    }
}

fn held_container(agent: &mut Agent, name: &str, generation: u64, programs: &[&str]) -> Result<Container> {
    let container = Container::start(name)?;
    agent.await_held()?;
    agent.apply(&container, generation, programs)?;
    Ok(container)
}

fn refused(ended: &Ended) -> Result<()> {
    ensure!(ended.was_refused(), "not refused: {ended:?}");
    Ok(())
}

fn reads_secret(container: &Container) -> Result<bool> {
    Ok(container.run(&["/bin/cat", "/etc/secret"])?.succeeded())
}

fn a_killed_agent_leaves_its_rules_in_force() -> Result<()> {
    let _clean = Clean;
    let mut agent = Agent::start()?;
    ensure!(agent.inherited.is_none(), "{:?}", agent.inherited);
    let container = held_container(&mut agent, "survivor", 1, &[MARK])?;
    refused(&container.run(&[MARK])?)?;
    let connect = ["/bin/nc", "-w", "1", "127.0.0.1", "9"];
    let before = container.run(&connect)?;
    ensure!(before.output.contains("not permitted"), "{before:?}");
    agent.kill()?;

    refused(&container.run(&[MARK])?)?;
    ensure!(!reads_secret(&container)?, "the file can be read");
    let connected = container.run(&connect)?;
    ensure!(connected.output.contains("not permitted"), "{connected:?}");
    ensure!(container.run(&[DYNAMIC, "/proof/fine"])?.succeeded(), "what no rule forbids is refused");

    let removed = moat_kernel::unpin(&instance())?;
    ensure!(!removed.is_empty(), "nothing was removed");
    ensure!(!Path::new(PINS).exists(), "pins are left");
    let left = moat_kernel::leftovers();
    ensure!(left.is_empty(), "{left:?}");
    ensure!(container.run(&[MARK])?.succeeded() && reads_secret(&container)?, "rules are left");
    Ok(())
}

/// Runs the program in the container again and again, and counts.
struct Attempts {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    thread: JoinHandle<Result<()>>,
}

impl Attempts {
    fn start(container: &Container) -> Attempts {
        let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let begun = Arc::new(Barrier::new(2));
        let thread = std::thread::spawn({
            let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused));
            let (execution, reading) =
                (container.session(&[MARK, "/proof/gap"]), container.session(&["/bin/cat", "/etc/secret"]));
            let begun = Arc::clone(&begun);
            move || {
                begun.wait();
                while !stop.load(Ordering::Relaxed) {
                    let ended = execution.clone().run()?;
                    let read = reading.clone().run()?.succeeded();
                    ensure!(ended.was_refused() && !read, "not refused after {refused:?}: {ended:?}, {read}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        });
        begun.wait();
        Attempts { stop, refused, thread }
    }

    /// How often it was refused; an error where it once was not.
    fn finish(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the attempts panicked"))??;
        Ok(self.refused.load(Ordering::Relaxed))
    }
}

/// The folders of layouts, and of one layout's agents.
fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| of.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn instance_folder() -> Result<PathBuf> {
    folders(Path::new(PINS))?.pop().context("nothing is pinned")
}

fn take_over(prepare: impl FnOnce() -> Result<()>) -> Result<()> {
    let _clean = Clean;
    let mut first = Agent::start()?;
    let container = held_container(&mut first, "taken-over", 1, &[MARK])?;
    let attempts = Attempts::start(&container);
    first.kill()?;
    prepare()?;
    let mut second = Agent::start()?;
    second.apply(&container, 2, &[MARK, DYNAMIC])?;
    second.forget_others(&[&container])?;
    refused(&container.run(&[DYNAMIC])?)?;
    let refusals = attempts.finish()?;
    ensure!(refusals > 3, "{refusals} attempts are not enough");
    eprintln!("{refusals} attempts were refused during the takeover");

    second.apply(&container, 3, &[DYNAMIC])?;
    refused(&container.run(&[DYNAMIC])?)?;
    ensure!(container.run(&[MARK])?.succeeded(), "a rule of the agent before is left");
    let layouts = folders(&instance_folder()?)?;
    ensure!(layouts.len() == 1, "{layouts:?}");
    for layout in layouts {
        let mut inside = folders(&layout)?;
        inside.retain(|path| !path.ends_with("maps"));
        ensure!(inside.len() == 1, "pins of more than one agent: {inside:?}");
    }
    second.kill()?;
    ensure!(
        moat_kernel::pinned_profiles(&instance()).len() == 1,
        "profiles are left: {:?}",
        moat_kernel::pinned_profiles(&instance())
    );
    Ok(())
}

fn the_next_agent_takes_over_without_a_gap() -> Result<()> {
    take_over(|| Ok(()))
}

/// The pins of an agent whose maps meant something else.
fn another_layout_is_replaced_without_a_gap() -> Result<()> {
    take_over(|| {
        let instance = instance_folder()?;
        let layout = folders(&instance)?.pop().context("no layout")?;
        Ok(fs::rename(layout, instance.join("0000000000000000"))?)
    })
}

fn what_ended_meanwhile_is_forgotten() -> Result<()> {
    let _clean = Clean;
    let mut first = Agent::start()?;
    let gone = held_container(&mut first, "gone", 1, &[MARK])?;
    let stays = held_container(&mut first, "stays", 1, &[DYNAMIC])?;
    first.kill()?;
    drop(gone);
    let mut second = Agent::start()?;
    ensure!(second.inherited == Some((2, 0)), "{:?}", second.inherited);
    second.apply(&stays, 2, &[DYNAMIC])?;
    second.forget_others(&[&stays])?;
    refused(&stays.run(&[DYNAMIC])?)?;
    second.end()?;
    ensure!(moat_kernel::pinned_profiles(&instance()).len() == 1, "profiles are left");
    let third = Agent::start()?;
    ensure!(third.inherited == Some((1, 0)), "{:?}", third.inherited);
    refused(&stays.run(&[DYNAMIC])?)
}

fn a_start_held_by_a_killed_agent_is_released_by_the_next() -> Result<()> {
    let _clean = Clean;
    let first = Agent::start()?;
    let mut container = Container::start_with("waiting", &[MARK, "/proof/started"])?;
    first.await_held()?;
    first.kill()?;
    ensure!(!container.mark("started").exists(), "it did not wait");
    let mut second = Agent::start()?;
    second.await_held()?;
    second.apply(&container, 1, &[DYNAMIC])?;
    let ended = container.wait()?;
    ensure!(ended.succeeded() && container.mark("started").exists(), "{ended:?}");
    Ok(())
}

fn no_start_waits_for_an_agent_that_has_ended() -> Result<()> {
    let _clean = Clean;
    Agent::start()?.end()?;
    let mut container = Container::start_with("unheld", &[MARK, "/proof/started"])?;
    let ended = container.wait()?;
    ensure!(ended.succeeded() && container.mark("started").exists(), "{ended:?}");
    let second = Agent::start()?;
    ensure!(second.inherited == Some((0, 1)), "{:?}", second.inherited);
    second.end()?;
    // It was told once.
    let third = Agent::start()?;
    ensure!(third.inherited == Some((0, 0)), "{:?}", third.inherited);
    Ok(())
}

/// In a pod the next agent is a container's start like any other, and only the last one could let it go.
fn a_killed_agent_does_not_hold_its_own_restart() -> Result<()> {
    let _clean = Clean;
    let cgroup = CgroupDirectory::new("agent")?;
    Agent::start_in_pod(&cgroup.0)?.kill()?;
    // Its neighbour, as the next container of that pod is.
    let mut restarted = Container::start_with("restarted", &[MARK, "/proof/started"])?;
    let ended = restarted.wait()?;
    ensure!(ended.succeeded() && restarted.mark("started").exists(), "{ended:?}");
    Ok(())
}

/// A cgroup beside the containers'.
struct CgroupDirectory(PathBuf);

impl CgroupDirectory {
    fn new(name: &str) -> Result<CgroupDirectory> {
        let directory = Path::new(CGROUPS).join(name);
        fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        Ok(CgroupDirectory(directory))
    }
}

impl Drop for CgroupDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// A container that began without an agent is the container's own to the next one.
fn a_new_start_is_judged_once_an_agent_is_back() -> Result<()> {
    let _clean = Clean;
    Agent::start()?.end()?;
    let container = Container::start("unheld")?;
    ensure!(container.run(&[MARK, "/proof/before"])?.succeeded(), "refused without rules");
    let mut agent = Agent::start()?;
    agent.apply(&container, 1, &[MARK])?;
    refused(&container.run(&[MARK, "/proof/after"])?)?;
    ensure!(!container.mark("after").exists(), "it ran");
    Ok(())
}
