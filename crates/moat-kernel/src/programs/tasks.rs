//! What a task is to its container (`struct task_state`), read and set by process descriptor.

use std::os::fd::{AsRawFd, OwnedFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use moat_event::Origin;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::record_bytes::origin;
use crate::ContainerScope;

/// `struct task_state`.
type State = [u8; 24];

/// `enum role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Role {
    Runtime = 1,
    Entrypoint = 2,
    Session = 3,
    Held = 4,
}

impl Role {
    /// A task's state with this role in the container of this cgroup: what its program is stays.
    pub fn given_to(self, mut state: State, cgroup: u64) -> State {
        state[8..12].copy_from_slice(&(self as u32).to_ne_bytes());
        state[16..24].copy_from_slice(&cgroup.to_ne_bytes());
        state
    }
}

/// The role in a `struct task_state`.
pub(super) fn role_in(state: &[u8]) -> Option<u32> {
    state.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)
}

/// The task storage of the programs.
#[derive(Debug)]
pub struct Tasks {
    map: MapHandle,
}

impl Tasks {
    pub(super) fn new(map: MapHandle) -> Tasks {
        Tasks { map }
    }

    fn state(&self, pid: u32) -> Option<State> {
        let descriptor = descriptor(pid)?;
        let value = self.map.lookup(&descriptor.as_raw_fd().to_ne_bytes(), MapFlags::ANY).ok()??;
        value.try_into().ok()
    }

    fn role(&self, pid: u32) -> Option<u32> {
        self.state(pid).and_then(|state| role_in(&state))
    }

    /// Whether a process is the container runtime itself, on its way into a container.
    pub fn is_runtime(&self, pid: u32) -> bool {
        self.role(pid) == Some(Role::Runtime as u32)
    }

    /// How a process came to be in its container; `None` where that is not known.
    pub fn origin(&self, pid: u32) -> Option<Origin> {
        self.role(pid).and_then(origin)
    }

    pub(super) fn set(&self, pid: u32, role: Role, cgroup: u64) {
        let state = role.given_to(self.state(pid).unwrap_or_default(), cgroup);
        let Some(descriptor) = descriptor(pid) else { return };
        // A process that has ended needs no role.
        let _ = self.map.update(&descriptor.as_raw_fd().to_ne_bytes(), &state, MapFlags::ANY);
    }

    /// Gives the processes that were there before us, and such as were only held, their roles: those that descend from the container's
    /// first process are the container's own, the others were put in from outside.
    pub(super) fn adopt(&self, members: &[u32], scope: &ContainerScope) {
        for &pid in members {
            if self.role(pid).is_none_or(|role| role == Role::Held as u32) {
                let own = descends(pid, scope.init_pid);
                self.set(pid, if own { Role::Entrypoint } else { Role::Session }, scope.cgroup);
            }
        }
    }
}

fn descriptor(pid: u32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()
}

fn descends(mut pid: u32, ancestor: u32) -> bool {
    // Deeper than any chain of processes that people build; a cycle cannot be, but pids are reused.
    for _ in 0..1024 {
        if pid == ancestor {
            return true;
        }
        match crate::process::parent(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}
