//! System calls by another architecture's numbers, as the calls that they are here: a 32-bit program's on a 64-bit
//! kernel, and those of x32. The hooks (`bpf/lsm_calls.h`) hold them by name as well.
//!
//! Numbers are the kernel's ABI and never change: `arch/x86/entry/syscalls/syscall_32.tbl` and `syscall_64.tbl` (ABI
//! x32), `include/uapi/linux/net.h`. From 424 on they are those of every architecture.

use super::calls;

/// Where the calls that `socketcall` makes by its first argument begin in the map (`FOREIGN_SOCKET`).
const SOCKET: u32 = 512;
/// Where the numbers that only x32 has begin (`FOREIGN_X32`).
const X32: u32 = 544;
/// Every architecture's from here on, to the last that has a hook.
const UNIFIED: std::ops::Range<u32> = 424..512;

const SOCKET_CALLS: [(&str, u32); 17] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("socketpair", 8),
    ("sendto", 9),
    ("recvfrom", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("sendmmsg", 20),
];

const X32_CALLS: [(&str, u32); 17] = [
    ("ioctl", 514),
    ("recvfrom", 517),
    ("sendmsg", 518),
    ("recvmsg", 519),
    ("execve", 520),
    ("ptrace", 521),
    ("rt_sigqueueinfo", 524),
    ("kexec_load", 528),
    ("move_pages", 533),
    ("rt_tgsigqueueinfo", 536),
    ("recvmmsg", 537),
    ("sendmmsg", 538),
    ("process_vm_readv", 539),
    ("process_vm_writev", 540),
    ("setsockopt", 541),
    ("getsockopt", 542),
    ("execveat", 545),
];

const I386_CALLS: [(&str, u32); 149] = [
    ("fork", 2),
    ("open", 5),
    ("creat", 8),
    ("link", 9),
    ("unlink", 10),
    ("execve", 11),
    ("mknod", 14),
    ("chmod", 15),
    ("lchown", 16),
    ("mount", 21),
    ("umount2", 22),
    ("setuid", 23),
    ("settimeofday", 25),
    ("ptrace", 26),
    ("setpriority", 34),
    ("kill", 37),
    ("rename", 38),
    ("mkdir", 39),
    ("rmdir", 40),
    ("pipe", 42),
    ("setgid", 46),
    ("acct", 51),
    ("umount2", 52),
    ("ioctl", 54),
    ("setpgid", 57),
    ("chroot", 61),
    ("setreuid", 70),
    ("setregid", 71),
    ("sethostname", 74),
    ("setrlimit", 75),
    ("settimeofday", 79),
    ("setgroups", 81),
    ("symlink", 83),
    ("swapon", 87),
    ("reboot", 88),
    ("truncate", 92),
    ("ftruncate", 93),
    ("fchmod", 94),
    ("fchown", 95),
    ("setpriority", 97),
    ("ioperm", 101),
    ("syslog", 103),
    ("iopl", 110),
    ("vhangup", 111),
    ("swapoff", 115),
    ("clone", 120),
    ("setdomainname", 121),
    ("adjtimex", 124),
    ("init_module", 128),
    ("delete_module", 129),
    ("quotactl", 131),
    ("setfsuid", 138),
    ("setfsgid", 139),
    ("sched_setparam", 154),
    ("sched_setscheduler", 156),
    ("setresuid", 164),
    ("setresgid", 170),
    ("prctl", 172),
    ("rt_sigqueueinfo", 178),
    ("chown", 182),
    ("capset", 185),
    ("vfork", 190),
    ("truncate", 193),
    ("ftruncate", 194),
    ("lchown", 198),
    ("setreuid", 203),
    ("setregid", 204),
    ("setgroups", 206),
    ("fchown", 207),
    ("setresuid", 208),
    ("setresgid", 210),
    ("chown", 212),
    ("setuid", 213),
    ("setgid", 214),
    ("setfsuid", 215),
    ("setfsgid", 216),
    ("pivot_root", 217),
    ("setxattr", 226),
    ("lsetxattr", 227),
    ("fsetxattr", 228),
    ("removexattr", 235),
    ("lremovexattr", 236),
    ("fremovexattr", 237),
    ("tkill", 238),
    ("sched_setaffinity", 241),
    ("epoll_create", 254),
    ("clock_settime", 264),
    ("tgkill", 270),
    ("kexec_load", 283),
    ("add_key", 286),
    ("request_key", 287),
    ("keyctl", 288),
    ("ioprio_set", 289),
    ("inotify_init", 291),
    ("inotify_add_watch", 292),
    ("migrate_pages", 294),
    ("openat", 295),
    ("mkdirat", 296),
    ("mknodat", 297),
    ("fchownat", 298),
    ("unlinkat", 301),
    ("renameat", 302),
    ("linkat", 303),
    ("symlinkat", 304),
    ("fchmodat", 306),
    ("unshare", 310),
    ("move_pages", 317),
    ("timerfd_create", 322),
    ("eventfd", 323),
    ("eventfd2", 328),
    ("epoll_create1", 329),
    ("pipe2", 331),
    ("inotify_init1", 332),
    ("rt_tgsigqueueinfo", 335),
    ("perf_event_open", 336),
    ("recvmmsg", 337),
    ("fanotify_init", 338),
    ("fanotify_mark", 339),
    ("prlimit64", 340),
    ("open_by_handle_at", 342),
    ("clock_adjtime", 343),
    ("sendmmsg", 345),
    ("setns", 346),
    ("process_vm_readv", 347),
    ("process_vm_writev", 348),
    ("kcmp", 349),
    ("finit_module", 350),
    ("sched_setattr", 351),
    ("renameat2", 353),
    ("memfd_create", 356),
    ("bpf", 357),
    ("execveat", 358),
    ("socket", 359),
    ("socketpair", 360),
    ("bind", 361),
    ("connect", 362),
    ("listen", 363),
    ("accept4", 364),
    ("getsockopt", 365),
    ("setsockopt", 366),
    ("sendto", 369),
    ("sendmsg", 370),
    ("recvfrom", 371),
    ("recvmsg", 372),
    ("shutdown", 373),
    ("userfaultfd", 374),
    ("clock_settime", 404),
    ("clock_adjtime", 405),
    ("recvmmsg", 417),
];

/// The rows of the map `foreign_calls`: where, and one more than the number here.
pub(super) fn rows() -> impl Iterator<Item = (u32, u32)> {
    let known = |(name, index): (&str, u32)| Some((index, calls::number(name)? + 1));
    let socket = SOCKET_CALLS.into_iter().map(|(name, argument)| (name, SOCKET + argument));
    let x32 = X32_CALLS.into_iter().map(|(name, number)| (name, X32 + number - 512));
    I386_CALLS
        .into_iter()
        .chain(socket)
        .chain(x32)
        .filter_map(known)
        .chain(UNIFIED.map(|number| (number, number + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every call that a hook holds can be made by a 32-bit program, but for those that it has by another name or not
    /// at all.
    #[test]
    fn every_held_call_has_a_32_bit_number() {
        let known: Vec<u32> = rows().map(|(_, number)| number - 1).collect();
        let missing: Vec<_> = calls::ROWS
            .iter()
            .flat_map(|row| row.calls)
            .filter(|call| calls::number(call).is_some_and(|number| !known.contains(&number)))
            .collect();
        assert_eq!(missing, [&"kexec_file_load"]);
    }

    #[test]
    fn no_place_is_given_twice() {
        let mut places: Vec<u32> = rows().map(|(place, _)| place).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
}
