//! Which LSM hooks hold which system calls: the hooks that a call cannot get past before it has had an effect.
//!
//! A hook is reached by many calls; its program (`bpf/lsm_calls.h`) is told by which, and refuses those that a rule
//! names. Calls that are not here are seen only as they begin (`bpf/syscalls.h`). The table in docs/enforcement.md is
//! made from this one.

use moat_policy::syscalls::{Architecture, syscall_name, syscall_number};

#[cfg(target_arch = "x86_64")]
const HERE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const HERE: Architecture = Architecture::Aarch64;

/// The number of a system call on this architecture.
pub(crate) fn number(name: &str) -> Option<u32> {
    syscall_number(name, HERE)
}

/// The name of a system call on this architecture, or of what a hook is reached by otherwise ([`otherwise`]).
pub(super) fn name(number: u32) -> Option<&'static str> {
    let hook = |hook: u32| {
        let program = HOOKS.get(hook as usize)?;
        let row = ROWS.iter().find(|row| row.otherwise && row.programs().any(|own| own == *program))?;
        row.calls.first().copied()
    };
    number.checked_sub(CALLS).map_or_else(|| syscall_name(number, HERE), hook)
}

/// Numbers of calls end below this one (`CALLS`).
const CALLS: u32 = 512;

/// Programs of `bpf/lsm_calls.h`, in the order of `enum call_hook`.
pub(crate) const HOOKS: [&str; 60] = [
    "moat_call_bpf",
    "moat_call_bprm_check_security",
    "moat_call_capable",
    "moat_call_capset",
    "moat_call_file_alloc_security",
    "moat_call_file_ioctl",
    "moat_call_file_ioctl_compat",
    "moat_call_file_truncate",
    "moat_call_inode_init_security_anon",
    "moat_call_inode_remove_acl",
    "moat_call_inode_removexattr",
    "moat_call_inode_set_acl",
    "moat_call_inode_setxattr",
    "moat_call_key_alloc",
    "moat_call_key_permission",
    "moat_call_move_mount",
    "moat_call_path_chmod",
    "moat_call_path_chown",
    "moat_call_path_chroot",
    "moat_call_path_link",
    "moat_call_path_mkdir",
    "moat_call_path_mknod",
    "moat_call_path_notify",
    "moat_call_path_rename",
    "moat_call_path_rmdir",
    "moat_call_path_symlink",
    "moat_call_path_truncate",
    "moat_call_path_unlink",
    "moat_call_perf_event_open",
    "moat_call_ptrace_access_check",
    "moat_call_ptrace_traceme",
    "moat_call_quotactl",
    "moat_call_sb_mount",
    "moat_call_sb_pivotroot",
    "moat_call_sb_umount",
    "moat_call_settime",
    "moat_call_socket_accept",
    "moat_call_socket_bind",
    "moat_call_socket_connect",
    "moat_call_socket_create",
    "moat_call_socket_getsockopt",
    "moat_call_socket_listen",
    "moat_call_socket_recvmsg",
    "moat_call_socket_sendmsg",
    "moat_call_socket_setsockopt",
    "moat_call_socket_shutdown",
    "moat_call_syslog",
    "moat_call_task_alloc",
    "moat_call_task_fix_setgid",
    "moat_call_task_fix_setuid",
    "moat_call_task_kill",
    "moat_call_task_movememory",
    "moat_call_task_prctl",
    "moat_call_task_prlimit",
    "moat_call_task_setioprio",
    "moat_call_task_setnice",
    "moat_call_task_setpgid",
    "moat_call_task_setrlimit",
    "moat_call_task_setscheduler",
    "moat_call_userns_create",
];
/// The hook of one of these programs.
pub(crate) fn hook(program: &'static str) -> Option<&'static str> {
    program.strip_prefix("moat_call_")
}

/// Hooks that only newer kernels have, where older ones ask another hook of the same row.
const NEWER: [&str; 4] = ["file_ioctl_compat", "file_truncate", "inode_remove_acl", "inode_set_acl"];

/// Calls that the same hooks hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub calls: &'static [&'static str],
    pub hooks: &'static [&'static str],
    /// These acts have other ways than the call, such as `io_uring`: those are held with it.
    otherwise: bool,
    /// What of it no hook sees.
    pub spared: Option<&'static str>,
}

impl Row {
    const fn new(calls: &'static [&'static str], hooks: &'static [&'static str]) -> Row {
        Row { calls, hooks, otherwise: false, spared: None }
    }

    const fn and_otherwise(self) -> Row {
        Row { otherwise: true, ..self }
    }

    const fn but_not(self, spared: &'static str) -> Row {
        Row { spared: Some(spared), ..self }
    }

    /// Programs of its hooks.
    fn programs(&self) -> impl Iterator<Item = &'static str> + use<> {
        let hooks = self.hooks;
        HOOKS.into_iter().filter(move |program| hook(program).is_some_and(|hook| hooks.contains(&hook)))
    }

    /// Whether a driver that judges at these hooks holds it.
    pub fn is_held_at(&self, hooks: &[String]) -> bool {
        self.hooks.iter().all(|hook| NEWER.contains(hook) || hooks.iter().any(|present| present == hook))
    }

    /// Whether these programs hold it.
    fn held_by(&self, programs: &[&str]) -> bool {
        self.programs().all(|program| {
            programs.contains(&program) || hook(program).is_some_and(|hook| NEWER.contains(&hook))
        })
    }
}

const SELF: &str = "a process that does it to itself";

pub(crate) const ROWS: &[Row] = &[
    // Other processes.
    Row::new(&["ptrace"], &["ptrace_access_check", "ptrace_traceme"]),
    Row::new(
        &["process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"],
        &["ptrace_access_check"],
    )
    .but_not(SELF),
    Row::new(
        &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
        &["task_kill"],
    ),
    Row::new(&["migrate_pages"], &["task_movememory"]),
    Row::new(&["move_pages"], &["task_movememory"]).but_not(SELF),
    Row::new(
        &["sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity"],
        &["task_setscheduler"],
    ),
    Row::new(&["setpriority"], &["task_setnice"]),
    Row::new(&["ioprio_set"], &["task_setioprio"]),
    Row::new(&["setpgid"], &["task_setpgid"]),
    Row::new(&["setrlimit"], &["task_setrlimit"]),
    Row::new(&["prlimit64"], &["task_prlimit", "task_setrlimit"])
        .but_not("a process that reads its own limits"),
    // What a process is and may.
    Row::new(&["execve", "execveat"], &["bprm_check_security"]),
    Row::new(&["fork", "vfork", "clone", "clone3"], &["task_alloc"]),
    Row::new(&["unshare"], &["capable", "userns_create"])
        .but_not("CLONE_FILES, CLONE_FS and CLONE_SYSVSEM alone, which make no namespace"),
    Row::new(&["setns"], &["capable"]),
    Row::new(&["chroot"], &["path_chroot"]),
    Row::new(&["prctl"], &["task_prctl"]),
    Row::new(&["capset"], &["capset"]),
    Row::new(&["setuid", "setreuid", "setresuid", "setfsuid"], &["task_fix_setuid"]),
    Row::new(&["setgid", "setregid", "setresgid", "setfsgid"], &["task_fix_setgid"]),
    Row::new(&["setgroups"], &["capable"]),
    Row::new(&["add_key", "request_key"], &["key_alloc", "key_permission"]),
    Row::new(&["keyctl"], &["key_alloc", "key_permission"]).but_not(
        "KEYCTL_CAPABILITIES, KEYCTL_SET_REQKEY_KEYRING and giving an authority up, which reach no key",
    ),
    // Mounts.
    Row::new(&["mount"], &["sb_mount"]),
    Row::new(&["umount2"], &["sb_umount"]),
    Row::new(&["move_mount"], &["move_mount"]),
    Row::new(&["pivot_root"], &["sb_pivotroot"]),
    Row::new(&["fsopen", "fspick", "fsmount", "mount_setattr"], &["capable"]),
    Row::new(&["fsconfig"], &["capable"]).but_not("parameters before the file system is made or changed"),
    Row::new(&["open_tree"], &["capable"])
        .but_not("without OPEN_TREE_CLONE, where it is an open with O_PATH"),
    // The kernel itself.
    Row::new(&["bpf"], &["bpf"]),
    Row::new(&["perf_event_open"], &["perf_event_open"]),
    Row::new(&["io_uring_setup", "userfaultfd"], &["inode_init_security_anon"]),
    Row::new(&["syslog"], &["syslog"]).and_otherwise(),
    Row::new(&["init_module", "finit_module", "delete_module"], &["capable"]),
    Row::new(&["kexec_load", "kexec_file_load", "reboot"], &["capable"]),
    Row::new(&["swapon", "swapoff", "acct", "vhangup", "sethostname", "setdomainname"], &["capable"]),
    Row::new(&["quotactl", "quotactl_fd"], &["quotactl"]),
    Row::new(&["settimeofday"], &["settime"]),
    Row::new(&["clock_settime"], &["settime"]).but_not("clocks of devices"),
    Row::new(&["adjtimex", "clock_adjtime"], &["capable"]).but_not("reading the clock's state"),
    Row::new(&["iopl", "ioperm"], &["capable"]).but_not("giving permission up"),
    // Files.
    Row::new(&["open", "openat", "openat2", "creat"], &["file_alloc_security"]).and_otherwise(),
    Row::new(
        &[
            "open_by_handle_at",
            "memfd_create",
            "memfd_secret",
            "pidfd_open",
            "pipe",
            "pipe2",
            "eventfd",
            "eventfd2",
            "epoll_create",
            "epoll_create1",
            "timerfd_create",
            "inotify_init",
            "inotify_init1",
            "fanotify_init",
        ],
        &["file_alloc_security"],
    ),
    Row::new(&["inotify_add_watch"], &["path_notify"]),
    Row::new(&["fanotify_mark"], &["path_notify"]).but_not("FAN_MARK_FLUSH"),
    Row::new(&["ioctl"], &["file_ioctl", "file_ioctl_compat"]),
    Row::new(&["unlink"], &["path_unlink"]),
    Row::new(&["unlinkat"], &["path_rmdir", "path_unlink"]).and_otherwise(),
    Row::new(&["rmdir"], &["path_rmdir"]),
    Row::new(&["rename", "renameat", "renameat2"], &["path_rename"]).and_otherwise(),
    Row::new(&["mkdir", "mkdirat"], &["path_mkdir"]).and_otherwise(),
    Row::new(&["mknod", "mknodat"], &["path_mknod"]),
    Row::new(&["link", "linkat"], &["path_link"]).and_otherwise(),
    Row::new(&["symlink", "symlinkat"], &["path_symlink"]).and_otherwise(),
    Row::new(&["truncate"], &["path_truncate"]),
    Row::new(&["ftruncate"], &["file_truncate", "path_truncate"]),
    Row::new(&["chmod", "fchmod", "fchmodat", "fchmodat2"], &["path_chmod"]),
    Row::new(&["chown", "fchown", "lchown", "fchownat"], &["path_chown"]),
    Row::new(&["setxattr", "lsetxattr", "fsetxattr"], &["inode_set_acl", "inode_setxattr"]).and_otherwise(),
    Row::new(&["removexattr", "lremovexattr", "fremovexattr"], &["inode_remove_acl", "inode_removexattr"]),
    // Sockets.
    Row::new(&["socket", "socketpair"], &["socket_create"]).and_otherwise(),
    Row::new(&["connect"], &["socket_connect"]).and_otherwise(),
    Row::new(&["bind"], &["socket_bind"]).and_otherwise(),
    Row::new(&["listen"], &["socket_listen"]).and_otherwise(),
    Row::new(&["accept", "accept4"], &["socket_accept"]).and_otherwise(),
    Row::new(&["sendto", "sendmsg", "sendmmsg"], &["socket_sendmsg"]).and_otherwise(),
    Row::new(&["recvfrom", "recvmsg", "recvmmsg"], &["socket_recvmsg"]).and_otherwise(),
    Row::new(&["getsockopt"], &["socket_getsockopt"]).and_otherwise(),
    Row::new(&["setsockopt"], &["socket_setsockopt"]).and_otherwise(),
    Row::new(&["shutdown"], &["socket_shutdown"]).and_otherwise(),
];

/// The row of a call.
pub(crate) fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.calls.contains(&name))
}

/// A bit for each call.
pub(super) type Calls = [u64; 8];

pub(super) fn add(calls: &mut Calls, number: u32) {
    if let Some(word) = calls.get_mut(number as usize / 64) {
        *word |= 1 << (number % 64);
    }
}

fn contains(calls: &Calls, number: u32) -> bool {
    calls.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
}

/// The calls that these programs hold.
pub(super) fn held_by(programs: &[&str]) -> Calls {
    let mut calls = Calls::default();
    for call in ROWS.iter().filter(|row| row.held_by(programs)).flat_map(|row| row.calls) {
        if let Some(number) = number(call) {
            add(&mut calls, number);
        }
    }
    calls
}

/// The programs that hold these calls.
pub(super) fn programs(calls: &Calls) -> impl Iterator<Item = &'static str> {
    ROWS.iter()
        .filter(|row| row.calls.iter().any(|call| number(call).is_some_and(|number| contains(calls, number))))
        .flat_map(Row::programs)
}

/// What the call's hooks are reached by otherwise and is the same act, as numbers behind those of all calls
/// (`OTHERWISE`).
pub(super) fn otherwise(name: &str) -> impl Iterator<Item = u32> + use<> {
    let row = row(name).filter(|row| row.otherwise);
    let hooks = row.into_iter().flat_map(Row::programs);
    hooks.filter_map(|program| HOOKS.iter().position(|own| *own == program)).map(|hook| CALLS + hook as u32)
}

/// The rows of the map `call_gates`: a call and its hooks.
pub(super) fn gates() -> impl Iterator<Item = (u32, u64)> {
    ROWS.iter().flat_map(|row| {
        let hooks = row.programs().filter_map(|program| HOOKS.iter().position(|own| *own == program));
        let gates = hooks.fold(0, |gates, hook| gates | 1u64 << hook);
        row.calls.iter().filter_map(move |call| Some((number(call)?, gates)))
    })
}

#[cfg(test)]
mod tests;
