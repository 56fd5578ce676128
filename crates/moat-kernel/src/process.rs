//! What `/proc` tells of a process. It may end at any time, so everything is optional.

use std::fs;
use std::os::unix::ffi::OsStringExt;

use crate::record::RawProcess;

/// Longest argument vector read, in bytes.
const ARGUMENTS_KEPT: usize = 4096;

fn status_field(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The parent's pid.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    status_field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "PPid")
}

/// The real user of a process, in our user namespace.
pub(crate) fn uid(pid: u32) -> Option<u32> {
    status_field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "Uid")
}

/// The executable's path as its own mount namespace names it, without the kernel's mark of a deleted file.
pub(crate) fn executable(pid: u32) -> Option<Vec<u8>> {
    let mut path = fs::read_link(format!("/proc/{pid}/exe")).ok()?.into_os_string().into_vec();
    if let Some(kept) = path.strip_suffix(b" (deleted)") {
        path.truncate(kept.len());
    }
    Some(path)
}

/// The arguments, each with its NUL; at most [`ARGUMENTS_KEPT`] bytes, and whether there were more.
pub(crate) fn arguments(pid: u32) -> Option<(Vec<u8>, bool)> {
    let mut arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let truncated = arguments.len() > ARGUMENTS_KEPT;
    arguments.truncate(ARGUMENTS_KEPT);
    Some((arguments, truncated))
}

/// Fills what is not known yet of a process that is still there.
pub(crate) fn complete(process: &mut RawProcess) {
    let pid = process.pid;
    if pid == 0 {
        return;
    }
    if process.executable.is_empty() {
        process.executable = executable(pid).unwrap_or_default();
    }
    if process.arguments.is_empty()
        && let Some((arguments, truncated)) = arguments(pid)
    {
        process.arguments = arguments;
        process.arguments_truncated = truncated;
    }
    if process.cwd.is_empty() {
        process.cwd = fs::read_link(format!("/proc/{pid}/cwd"))
            .map(|path| path.into_os_string().into_vec())
            .unwrap_or_default();
    }
    if process.parent_pid == 0 {
        process.parent_pid = parent(pid).unwrap_or_default();
    }
    if process.parent_executable.is_empty() && process.parent_pid != 0 {
        process.parent_executable = executable(process.parent_pid).unwrap_or_default();
    }
}
