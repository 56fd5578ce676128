//! Asks the kernel what it can hold, by trying: each program is really loaded, each mark really placed, on
//! nothing but our own. A list in securityfs proves nothing.

mod configuration;

use std::path::Path;

use rustix::system::uname;

use crate::capability::{Capabilities, Capability, name};
use crate::fanotify;
use crate::guard::{ARRIVING, CALLS, EXEC, OUTGOING};
use crate::lsm;
use crate::programs::attempt;
use crate::programs::features::Features;
use crate::programs::layout::Settings;
use crate::programs::object::{LONGEST_LOOP, has_loop};
use crate::programs::observer::OBSERVE;
use crate::programs::pins::try_pinning;

/// What the best driver of this kernel is able to. Nothing stays loaded or marked.
pub fn probe() -> Capabilities {
    match lsm_features() {
        Ok(features) => of_lsm(&features, false),
        Err(why) => by_guard(&why, try_guard(), observing(Settings::default(), false)),
    }
}

/// What the LSM driver is able to that has loaded these, and whether it observes.
pub(crate) fn of_lsm(features: &Features, observes: bool) -> Capabilities {
    by_lsm(features, observing(lsm_settings(), observes))
}

/// What the guard driver is able to that has loaded its programs, and whether it observes. `lsm`: why the LSM driver did not
/// load; `None` if it was not tried.
pub(crate) fn of_guard(lsm: Option<&str>, observes: bool) -> Capabilities {
    let takes =
        |()| String::from("guard was asked for; this kernel takes LSM programs: `--driver auto` tries them");
    let lsm = lsm.map_or_else(|| attempt::try_lsm().map_or_else(|why| why, takes), str::to_owned);
    by_guard(&lsm, |_| Ok(()), observing(Settings::default(), observes))
}

fn lsm_settings() -> Settings {
    Settings { judged_before: true, ..Settings::default() }
}

/// What the LSM driver would use, where it loads.
fn lsm_features() -> Result<Features, String> {
    attempt::try_lsm()?;
    let mut features = Features::listed().map_err(|error| error.to_string())?;
    let other = [EXEC, lsm::MOVES, CALLS, OUTGOING, ARRIVING].concat();
    let loaded = features.load(lsm::REQUIRED, &other, lsm_settings(), None);
    loaded.map(|_| features).map_err(|error| error.to_string())
}

fn by_lsm(features: &Features, observing: Capability) -> Capabilities {
    let cgroup2 = cgroup2_mounted();
    let available = |name, summary, detail: &str| entry(name, summary, "lsm", Ok(detail.to_owned()));
    let skipped = configuration::skips_programs();
    let judged = |hooks: &str| match &skipped {
        None => format!("{hooks}: EPERM before the act"),
        Some(why) => format!("{hooks}: EPERM before the act; but {why}"),
    };
    let pinning = try_pinning();
    let mut entries = vec![
        available(name::LSM, "Refuse in the kernel, before the act, by every hook", "BPF LSM programs load"),
        available(
            name::EXEC_REFUSE,
            "Refuse executions by name, path, parent and user",
            &judged("hook bprm_check_security"),
        ),
        available(name::EXEC_KILL, "Refuse executions by arguments", &judged("hook bprm_check_security")),
        available(
            name::START,
            "Hold a container's first program until its rules are in force",
            "tracepoint sched_process_exec and SIGSTOP",
        ),
        available(name::FILE_OPEN, "Refuse opening files for reading and writing", &judged("hook file_open")),
        available(
            name::FILE_CHANGE,
            "Refuse create, delete, rename, chmod, chown, link, truncate and setxattr",
            &judged("a hook for each, and those that are missing below"),
        ),
        available(
            name::SYSCALL,
            "End processes that make a forbidden system call",
            "tracepoint sys_enter and SIGKILL: the call itself may still take effect",
        ),
        entry(
            name::EGRESS,
            "Refuse connections and datagrams to networks and ports",
            "lsm",
            cgroup2.clone().map(|()| String::from("cgroup connect and sendmsg programs: EPERM")),
        ),
        entry(
            name::INGRESS,
            "Drop arriving connections and datagrams",
            "lsm",
            cgroup2.map(|()| String::from("cgroup packet program")),
        ),
        entry(
            name::DRIFT,
            "Tell programs that did not come with the image",
            "lsm",
            overlay().map(|()| String::from("the overlay file system's upper layer, read in the kernel")),
        ),
        entry(
            name::PINS,
            "Keep enforcing while no agent runs",
            "lsm",
            pinning.map(|()| String::from("programs and maps pinned below /sys/fs/bpf/moat")),
        ),
        observing,
    ];
    entries.extend(features.missing.iter().map(|missing| {
        let hook = missing.feature.hook;
        Capability {
            name: format!("{}{hook}", name::HOOK),
            summary: format!("Judge at the hook {hook}"),
            available: false,
            driver: String::new(),
            detail: missing.why.clone(),
        }
    }));
    entries.extend(without_loop());
    Capabilities {
        kernel_release: release(),
        driver: String::from("lsm"),
        hooks: features.present.iter().map(|feature| feature.hook.to_owned()).collect(),
        gap: skipped.unwrap_or_default(),
        entries,
    }
}

/// What no rule needs; not tried where it is known to load.
fn observing(settings: Settings, loaded: bool) -> Capability {
    let tried = if loaded { Ok(()) } else { attempt::try_programs(OBSERVE, settings) };
    entry(
        name::OBSERVE,
        "Tell a console what containers run and connect to, whether or not a rule speaks of it",
        "observe",
        tried.map(|()| "tracepoints sched_process_exec and inet_sock_set_state: TCP only"),
    )
}

fn overlay() -> Result<(), String> {
    attempt::overlay_layout_known().then_some(()).ok_or_else(|| {
        String::from("the kernel tells no layout of overlayfs: load the module (`modprobe overlay`)")
    })
}

fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// Whether the kernel takes some of guard's programs: all at once where they all load, for checking them is what takes
/// the time.
fn try_guard() -> impl Fn(&[&str]) -> Result<(), String> {
    let try_programs = |programs: &[&str]| attempt::try_programs(programs, Settings::default());
    let all = try_programs(&[EXEC, CALLS, OUTGOING, ARRIVING].concat());
    move |programs| all.clone().or_else(|_| try_programs(programs))
}

/// `lsm`: why the LSM driver is not used. `takes`: whether the kernel takes programs.
fn by_guard(lsm: &str, takes: impl Fn(&[&str]) -> Result<(), String>, observing: Capability) -> Capabilities {
    let [exec, calls, outgoing, arriving] = [EXEC, CALLS, OUTGOING, ARRIVING].map(takes);
    let permission = fanotify::try_permission_events();
    let cgroup2 = cgroup2_mounted();
    let with_cgroup2 = |tried: Result<(), String>| tried.and_then(|()| cgroup2.clone());
    let mut entries = vec![
        entry(
            name::LSM,
            "Refuse in the kernel, before the act, by every hook",
            "lsm",
            Err::<&str, _>(format!("{lsm}{}", configuration::about_lsm())),
        ),
        entry(
            name::EXEC_REFUSE,
            "Refuse executions by name, path, parent and user",
            "guard",
            permission.clone().map(|()| "fanotify permission events: execve fails with EPERM"),
        ),
        entry(
            name::EXEC_KILL,
            "End executions by arguments and every other condition before their first instruction",
            "guard",
            exec.clone().map(|()| "tracepoint sched_process_exec and SIGKILL"),
        ),
        entry(
            name::START,
            "Hold a container's first program until its rules are in force",
            "guard",
            exec.clone().map(|()| "tracepoint sched_process_exec and SIGSTOP"),
        ),
        entry(
            name::FILE_OPEN,
            "Refuse opening files for reading and writing",
            "guard",
            permission.map(|()| "fanotify permission events: open fails with EPERM"),
        ),
        entry(
            name::FILE_CHANGE,
            "Notice create, delete, rename, chmod, chown, link, truncate and setxattr",
            "observe",
            calls.clone().map(|()| "tracepoint sys_enter: reported after the fact; refusing needs BPF LSM"),
        ),
        entry(
            name::SYSCALL,
            "End processes that make a forbidden system call",
            "guard",
            calls.map(|()| "tracepoint sys_enter and SIGKILL: the call itself may still take effect"),
        ),
        entry(
            name::EGRESS,
            "Refuse connections and datagrams to networks and ports",
            "guard",
            with_cgroup2(outgoing).map(|()| "cgroup connect and sendmsg programs: EPERM"),
        ),
        entry(
            name::INGRESS,
            "Drop arriving connections and datagrams",
            "guard",
            with_cgroup2(arriving).map(|()| "cgroup packet program"),
        ),
        entry(
            name::DRIFT,
            "Tell programs that did not come with the image",
            "guard",
            exec.and(overlay()).map(|()| "the overlay file system's upper layer, read in the kernel"),
        ),
        observing,
    ];
    entries.extend(without_loop());
    Capabilities {
        kernel_release: release(),
        driver: String::from("guard"),
        entries,
        ..Capabilities::default()
    }
}

fn entry(name: &str, summary: &str, driver: &str, tried: Result<impl Into<String>, String>) -> Capability {
    let (available, driver, detail) = match tried {
        Ok(how) => (true, driver.to_owned(), how.into()),
        Err(missing) => (false, String::new(), missing),
    };
    Capability { name: name.to_owned(), summary: summary.to_owned(), available, driver, detail }
}

/// What is weaker on kernels before 5.17.
fn without_loop() -> Option<Capability> {
    let detail = format!(
        "the kernel has no bpf_loop, which came with Linux 5.17: programs go through an array instead, which takes longer, \
         and a container with more than {LONGEST_LOOP} rules is refused"
    );
    let tried = Err::<&str, _>(detail);
    (!has_loop()).then(|| entry(name::LOOPS, "Go through any number of rules", "", tried))
}

fn cgroup2_mounted() -> Result<(), String> {
    let found = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"]
        .into_iter()
        .any(|file| Path::new(file).exists());
    found.then_some(()).ok_or_else(|| {
        String::from("no cgroup v2 hierarchy: boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2")
    })
}
