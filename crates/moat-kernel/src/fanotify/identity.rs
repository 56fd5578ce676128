//! What ruled paths are: a rule holds an object, not only a name.
//!
//! When rules are applied, each exact path in them is looked up in the container, and its device and inode are kept. A
//! hard link, a renamed file and a bind mount have another path and the same identity.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use moat_policy::RuleSet;
use moat_policy::rule_set::Matcher;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io;

/// Device and inode number of a file, as statx(2) gives them through the container's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub device: (u32, u32),
    pub inode: u64,
}

/// A ruled path under which a file is judged besides its own.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    pub path: Arc<[u8]>,
    /// Whether the path leads to a file of the same base name. `/bin/sh` that leads to `busybox` does not: a rule on `sh`
    /// says nothing about the other programs in that file, and what it was called as, the other half of the driver sees.
    pub same_name: bool,
}

#[derive(Debug)]
struct Pin {
    identity: Identity,
    /// Keeps the inode number from being given to another file. `None` outside the container's own root, where it would
    /// keep a volume busy.
    file: Option<OwnedFd>,
    alias: Alias,
}

/// The identities of one container's ruled paths.
#[derive(Debug, Default)]
pub(super) struct Identities {
    paths: Vec<Arc<[u8]>>,
    pins: Vec<Pin>,
    by_identity: HashMap<Identity, Vec<Alias>>,
}

impl Identities {
    /// Looks up every exact path of `rules` below `root`. Symbolic links are followed as the container would.
    pub fn resolve(rules: &RuleSet, root: BorrowedFd<'_>) -> io::Result<Identities> {
        let mut identities = Identities { paths: exact_paths(rules), ..Identities::default() };
        identities.look_up_all(root, true)?;
        Ok(identities)
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The ruled paths that lead, or led, to this file.
    pub fn aliases(&self, identity: Identity) -> &[Alias] {
        self.by_identity.get(&identity).map_or(&[], Vec::as_slice)
    }

    /// Looks up again the paths on the container's root mount: on others, a server that the container runs could keep
    /// us waiting. A file that a path led to before stays ruled for as long as it exists. True if a path
    /// leads to another file now.
    pub fn refresh(&mut self, root: BorrowedFd<'_>) -> io::Result<bool> {
        self.look_up_all(root, false)
    }

    fn look_up_all(&mut self, root: BorrowedFd<'_>, across_mounts: bool) -> io::Result<bool> {
        let mut changed = false;
        self.pins.retain(|pin| match &pin.file {
            Some(file) => links(file.as_fd()) > 0,
            None => !across_mounts,
        });
        for path in &self.paths {
            let Some(pin) = look_up(path, root, across_mounts)? else { continue };
            let known = self.aliases(pin.identity);
            changed |= known.is_empty();
            if !known.iter().any(|alias| alias.path == pin.alias.path) {
                self.pins.push(pin);
            }
        }
        self.by_identity.clear();
        for pin in &self.pins {
            self.by_identity.entry(pin.identity).or_default().push(pin.alias.clone());
        }
        Ok(changed)
    }
}

/// The paths without wildcards in rules on executions, and in rules on opening files.
fn exact_paths(rules: &RuleSet) -> Vec<Arc<[u8]>> {
    let mut paths: Vec<&String> = Vec::new();
    for rule in &rules.rules {
        match &rule.matcher {
            Matcher::Process(matcher) => {
                paths.extend(&matcher.paths);
                paths.extend(matcher.allow_only.iter().flat_map(|list| &list.paths));
            }
            Matcher::File(matcher) => paths.extend(&matcher.paths),
            Matcher::Network(_) | Matcher::Syscalls(_) | Matcher::Capabilities(_) | Matcher::Drift(_) => {}
        }
    }
    paths.retain(|path| !path.contains(['*', '?', '[', '{', '\\']));
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(|path| path.as_bytes().into()).collect()
}

fn look_up(path: &Arc<[u8]>, root: BorrowedFd<'_>, across_mounts: bool) -> io::Result<Option<Pin>> {
    let open = |resolve| {
        rustix::fs::openat2(root, &path[..], OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
    };
    let within = open(ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV);
    let (file, pinned) = match within {
        Ok(file) => (file, true),
        Err(io::Errno::XDEV) if across_mounts => match open(ResolveFlags::IN_ROOT) {
            Ok(file) => (file, false),
            Err(error) => return absent(error),
        },
        Err(error) => return absent(error),
    };
    let status =
        rustix::fs::statx(&file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
    let identity = Identity { device: (status.stx_dev_major, status.stx_dev_minor), inode: status.stx_ino };
    let resolved = super::task::link_of_descriptor(file.as_fd())?;
    let same_name = base_name(&resolved) == base_name(path);
    Ok(Some(Pin {
        identity,
        file: pinned.then_some(file),
        alias: Alias { path: Arc::clone(path), same_name },
    }))
}

/// A ruled path that leads nowhere is nothing to hold. To run out of descriptors is an error.
fn absent(error: io::Errno) -> io::Result<Option<Pin>> {
    match error {
        io::Errno::MFILE | io::Errno::NFILE | io::Errno::NOMEM => Err(error),
        _ => Ok(None),
    }
}

fn links(file: BorrowedFd<'_>) -> u32 {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::NLINK)
        .map_or(0, |status| status.stx_nlink)
}

pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
