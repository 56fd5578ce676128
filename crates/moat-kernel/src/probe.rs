//! Asks the kernel what it can hold, by trying: each program is really loaded, each mark really placed, on
//! nothing but our own. A list in securityfs proves nothing.

use std::path::Path;

use rustix::system::uname;

use crate::capability::{Capabilities, Capability, name};
use crate::fanotify;
use crate::guard::{ARRIVING, CALLS, EXEC, OUTGOING};
use crate::programs::attempt;

/// Tries everything once. Nothing stays loaded or marked.
pub fn probe() -> Capabilities {
    let lsm = attempt::try_lsm();
    // All at once where they all load, for checking them is what takes the time.
    let all = attempt::try_programs(&[EXEC, CALLS, OUTGOING, ARRIVING].concat());
    let [exec, calls, outgoing, arriving] = [EXEC, CALLS, OUTGOING, ARRIVING]
        .map(|programs| all.clone().or_else(|_| attempt::try_programs(programs)));
    let permission = fanotify::try_permission_events();
    let cgroup2 = cgroup2_mounted();
    let with_cgroup2 = |tried: Result<(), String>| tried.and_then(|()| cgroup2.clone());
    let overlay = attempt::overlay_layout_known().then_some(()).ok_or_else(|| {
        String::from("the kernel tells no layout of overlayfs: load the module (`modprobe overlay`)")
    });

    let entries = vec![
        entry(
            name::LSM,
            "Refuse in the kernel, before the act, by every hook",
            "lsm",
            lsm.map(|()| "BPF LSM programs load; this version enforces through guard"),
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
            exec.and(overlay).map(|()| "the overlay file system's upper layer, read in the kernel"),
        ),
    ];
    let kernel_release = uname().release().to_string_lossy().into_owned();
    Capabilities { kernel_release, entries }
}

fn entry(name: &str, summary: &str, driver: &str, tried: Result<&'static str, String>) -> Capability {
    let (available, driver, detail) = match tried {
        Ok(how) => (true, driver.to_owned(), how.to_owned()),
        Err(missing) => (false, String::new(), missing),
    };
    Capability { name: name.to_owned(), summary: summary.to_owned(), available, driver, detail }
}

fn cgroup2_mounted() -> Result<(), String> {
    let found = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"]
        .into_iter()
        .any(|file| Path::new(file).exists());
    found.then_some(()).ok_or_else(|| {
        String::from("no cgroup v2 hierarchy: boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2")
    })
}
