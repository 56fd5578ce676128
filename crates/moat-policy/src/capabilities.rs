//! The kernel's capabilities by name and number.
//!
//! Numbers are the kernel's ABI and never change: `include/uapi/linux/capability.h`, Linux 6.10. Names are those of
//! Kubernetes' `securityContext`: the kernel's without `CAP_`.

/// The number of a capability.
pub fn capability_number(name: &str) -> Option<u32> {
    (0..).zip(NAMES).find(|(_, known)| *known == name).map(|(number, _)| number)
}

/// The name of a capability.
pub fn capability_name(number: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(number).ok()?).copied()
}

/// By number, from 0.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        assert_eq!(NAMES.iter().collect::<HashSet<_>>().len(), NAMES.len());
        for (number, name) in (0..).zip(NAMES) {
            assert_eq!((capability_number(name), capability_name(number)), (Some(number), Some(name)));
        }
        assert_eq!((capability_number("CAP_BPF"), capability_name(41)), (None, None));
    }

    /// As capabilities(7) and the header have them.
    #[test]
    fn well_known_numbers() {
        for (name, number) in [
            ("CHOWN", 0),
            ("NET_BIND_SERVICE", 10),
            ("NET_ADMIN", 12),
            ("NET_RAW", 13),
            ("SYS_MODULE", 16),
            ("SYS_PTRACE", 19),
            ("SYS_ADMIN", 21),
            ("SYSLOG", 34),
            ("PERFMON", 38),
            ("BPF", 39),
            ("CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(capability_number(name), Some(number), "{name}");
        }
    }
}
