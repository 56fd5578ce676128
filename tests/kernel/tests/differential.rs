//! Generated rule sets and actions on this machine, in a real container under the guard driver.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_kernel::guard::Guard;
use moat_kernel::{ContainerScope, Driver, DriverConfig, Holding, Sink};
use moat_kernel_tests::bench::image;
use moat_kernel_tests::differential::world::{self, Entry, PASSWD};
use moat_kernel_tests::differential::{Actors, By, Kind, Plan, Site, run};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};
use moat_testkit::{Containerd, Image, Running, skip};

const DEADLINE: Duration = Duration::from_secs(20);
const KINDS: [Kind; 5] = [Kind::Execution, Kind::Script, Kind::Open, Kind::Connection, Kind::Call];

#[test]
fn the_guard_decides_as_the_evaluator() -> Result<()> {
    let containerd = match Containerd::start() {
        Ok(containerd) => containerd,
        Err(why) => {
            skip("guard", format!("{why:#}"));
            return Ok(());
        }
    };
    let (records_in, records) = mpsc::sync_channel(1 << 16);
    let (held_in, held) = mpsc::sync_channel(64);
    let config =
        DriverConfig { oci_runtimes: vec![containerd.oci_runtime().to_owned()], ..DriverConfig::default() };
    let mut guard = match Guard::load(&config, Sink::new(records_in), held_in) {
        Ok(guard) => guard,
        Err(why) => {
            skip("guard", why);
            return Ok(());
        }
    };
    let image = image()?;
    containerd.import(&image)?;
    let running = containerd.container(&image, "differential").start()?;
    let held = held.recv_timeout(DEADLINE).context("the start is not held")?;
    let scope = scope(&running)?;
    ensure!((held.cgroup, held.pid) == (scope.cgroup, scope.init_pid), "{held:?}, but {scope:?}");
    guard.apply(&scope, &Arc::new(RuleSet { generation: 1, hash: "none".into(), rules: Vec::new() }))?;

    let root = PathBuf::from(format!("/proc/{}/root", running.pid));
    let actors = Actors::meet(&root, || {
        // It ends with its container.
        std::thread::spawn(move || running.exec(&[world::ACT, "session"]));
        Ok(())
    })?;
    let capabilities = moat_kernel::probe();
    let is_held = |rule: &EffectiveRule| {
        matches!(capabilities.holding(rule), Holding::Held { .. })
            // Degraded only for what is not executed.
            || matches!(rule.matcher, Matcher::Drift(_))
    };
    let mut site = Site {
        root,
        by: By::Guard,
        driver: &mut guard,
        generation: 1000,
        scope,
        records: &records,
        actors,
        kinds: &KINDS,
        is_held: &is_held,
    };
    let plan = Plan::from_environment(20_270_131, 2_500)?;
    let tally = run(&mut site, plan)?;
    println!("{tally}");
    ensure!(guard.losses().iter().all(|loss| loss.events == 0), "{:?}", guard.losses());
    // Of rules on calls only alerts are held as written here: none is stopped.
    let stopped = KINDS.into_iter().filter(|kind| *kind != Kind::Call);
    tally.require(&stopped.map(|kind| (kind, plan.cases / 500)).collect::<Vec<_>>())
}

/// The world, as an image.
fn image() -> Result<Image> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
    let mut image = Image::new("docker.io/moat-test/world:1")
        .file("/etc/passwd", 0o644, PASSWD)
        .entrypoint([world::ACT, "entrypoint"]);
    for (path, entry) in world::entries(&image::program("act", &cache)?, &image::program("nothing", &cache)?)?
    {
        image = match entry {
            Entry::Directory => image.directory(path, 0o777),
            Entry::File { mode, content } => image.file(path, mode, content),
            Entry::Link { target } => image.symlink(path, target),
        };
    }
    Ok(image)
}

fn scope(running: &Running) -> Result<ContainerScope> {
    use std::os::unix::fs::MetadataExt;
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", running.pid))?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::")).context("no v2 cgroup")?;
    let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .find(|root| Path::new(root).join("cgroup.procs").exists())
        .context("no v2 hierarchy")?;
    let directory = PathBuf::from(format!("{root}{path}"));
    let cgroup = std::fs::metadata(&directory)?.ino();
    Ok(ContainerScope { cgroup, cgroup_directory: Some(directory), init_pid: running.pid })
}
