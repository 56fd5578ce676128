//! How this kernel was built and booted, as far as the LSM driver depends on it.

use std::fs;

use rustix::system::uname;

/// Kernels from 6.2 on run an LSM program also where the task that it preempts was in it; earlier ones skip it then.
const RUNS_ALWAYS: (u32, u32) = (6, 2);

/// Why LSM programs can be skipped on this kernel: before 6.2 one that is entered again on the same processor, after
/// the kernel was preempted within it, does not run (`__bpf_prog_enter` in kernel/bpf/trampoline.c).
pub(super) fn skips_programs() -> Option<String> {
    let release = uname().release().to_string_lossy().into_owned();
    if version(&release)? >= RUNS_ALWAYS || !fully_preemptible(&release) {
        return None;
    }
    Some(format!(
        "Linux {release} is fully preemptible, and before 6.2 skips a program that another task on the same processor is \
         within: boot with preempt=voluntary, or use 6.2 or newer"
    ))
}

/// `(6, 1)` of `6.1.0-18-cloud-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Unknown is taken for no: distributions' kernels are not.
fn fully_preemptible(release: &str) -> bool {
    // `none voluntary (full)`: where it can be chosen at boot, this is what was.
    if let Ok(modes) = fs::read_to_string("/sys/kernel/debug/sched/preempt") {
        return modes.contains("(full)");
    }
    let version = uname().version().to_string_lossy().into_owned();
    if let Some(option) = fs::read_to_string("/proc/cmdline")
        .unwrap_or_default()
        .split_whitespace()
        .find_map(|word| word.strip_prefix("preempt="))
    {
        return option == "full";
    }
    // `PREEMPT_DYNAMIC` says only that it can be chosen.
    version.split_whitespace().any(|word| word == "PREEMPT" || word == "PREEMPT_RT")
        || fs::read_to_string(format!("/boot/config-{release}"))
            .unwrap_or_default()
            .lines()
            .any(|line| line == "CONFIG_PREEMPT=y")
}

/// What the kernel says of its security modules, for whoever wants the LSM driver.
pub(super) fn about_lsm() -> String {
    let read = |name: &str| fs::read_to_string(format!("/sys/kernel/security/{name}")).unwrap_or_default();
    let mut about = String::new();
    let modules = read("lsm");
    if !modules.is_empty() && !modules.trim().split(',').any(|module| module == "bpf") {
        let modules = modules.trim();
        about.push_str("; its security modules are ");
        about.push_str(modules);
        about.push_str(", without bpf: boot with lsm=");
        about.push_str(modules);
        about.push_str(",bpf");
    }
    if read("lockdown").contains("[confidentiality]") {
        about += "; it is locked down for confidentiality: boot with lockdown=integrity";
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(version("6.1.0-18-cloud-amd64").unwrap() < RUNS_ALWAYS);
        assert!(version("6.12.117").unwrap() >= RUNS_ALWAYS);
        assert_eq!(version("odd"), None);
    }
}
