//! One container as this driver holds it: where its files are, what rules hold, and which of its tasks are meant.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moat_event::FileOperation;
use moat_policy::rule_set::Matcher;
use moat_policy::{RuleIndex, RuleSet};
use rustix::fs::{AtFlags, FileType, StatxFlags, StatxTimestamp};
use rustix::io;

use super::cgroup::{self, Cgroup};
use super::group::Span;
use super::identity::{Identities, Identity};
use super::mounts::{self, Mount};
use super::task::{self, Processes, UidMap};
use crate::ContainerScope;

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): an id that is never given again while the node runs.
const MOUNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Which permission events the rules need. Without a need, there is no mark and no cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pub opens: bool,
    pub executions: bool,
}

impl Needs {
    pub fn of(rules: &RuleSet) -> Needs {
        use FileOperation::{Create, Read, Truncate, Write};
        let mut needs = Needs { opens: false, executions: false };
        for rule in &rules.rules {
            match &rule.matcher {
                // With arguments, the other half decides alone.
                Matcher::Process(matcher) => needs.executions |= matcher.args_regex.is_none(),
                Matcher::File(matcher) => {
                    needs.opens |= matcher
                        .operations
                        .iter()
                        .any(|operation| matches!(operation, Read | Write | Truncate | Create));
                }
                Matcher::Network(_) | Matcher::Syscalls(_) | Matcher::Capabilities(_) | Matcher::Drift(_) => {
                }
            }
        }
        needs
    }

    pub fn any(self) -> bool {
        self.opens || self.executions
    }

    /// The event mask for a mount, or 0.
    pub fn mask(self, executable: bool, ruled: bool) -> u64 {
        let opens = if self.opens && ruled { libc::FAN_OPEN_PERM | libc::FAN_ONDIR } else { 0 };
        let executions = if self.executions && executable { libc::FAN_OPEN_EXEC_PERM } else { 0 };
        opens | executions
    }
}

/// Where a mark is to be placed.
#[derive(Debug)]
pub(super) struct Placement {
    pub span: Span,
    pub place: OwnedFd,
    pub mask: u64,
}

/// The container's view of files, as it was when rules were applied.
#[derive(Debug)]
pub(super) struct Root {
    pub directory: OwnedFd,
    /// Path of the root within its mount namespace; empty where the container has pivoted into it.
    prefix: Vec<u8>,
    /// Mounts with their ids as statx(2) gives them; the container's root first.
    mounts: Vec<(u64, Mount)>,
    unique_ids: bool,
    pub span: Span,
    /// Device and inode of the root directory.
    pub identity: Identity,
}

impl Root {
    /// Of the container that `init_pid` is in.
    ///
    /// # Errors
    ///
    /// `ENOENT` and `ESRCH` where the process is gone, `EXDEV` where its root is not the root of a mount, so that no mark
    /// can be confined to it.
    pub fn open(init_pid: u32, processes: &mut Processes) -> io::Result<Root> {
        let directory = processes.open_link(init_pid, "root")?;
        let link = task::link_of_descriptor(directory.as_fd())?;
        let prefix = if link == b"/" { Vec::new() } else { link };
        let node: Vec<Mount> = mounts::parse(processes.read(std::process::id(), "mountinfo")?).collect();
        let table: Vec<Mount> = mounts::parse(processes.read(init_pid, "mountinfo")?).collect();
        let facts = Facts::of(directory.as_fd(), false)?;
        let root = table
            .iter()
            .find(|mount| mount.id == facts.mount && mount.point == b"/")
            .ok_or(io::Errno::XDEV)?;
        let span = mounts::root_span(root, &node);
        let unique_ids = Facts::of(directory.as_fd(), true)?.unique;
        let mut ordered = Vec::with_capacity(table.len());
        for mount in table
            .iter()
            .filter(|mount| mount.id == root.id)
            .chain(table.iter().filter(|mount| mount.id != root.id))
        {
            let id = if mount.id == root.id {
                Facts::of(directory.as_fd(), unique_ids)?.mount
            } else if unique_ids {
                let Some(place) = open_point(directory.as_fd(), &mount.point) else { continue };
                // Another mount may lie on top of it.
                if Facts::of(place.as_fd(), false)?.mount != mount.id {
                    continue;
                }
                Facts::of(place.as_fd(), true)?.mount
            } else {
                mount.id
            };
            ordered.push((id, mount.clone()));
        }
        Ok(Root { directory, prefix, mounts: ordered, unique_ids, span, identity: facts.identity })
    }

    /// The marks that `rules` need, and in words what they cannot hold.
    pub fn placements(
        &self,
        needs: Needs,
        rules: &RuleSet,
        processes: &mut Processes,
    ) -> io::Result<(Vec<Placement>, Vec<String>)> {
        let node: Vec<Mount> = mounts::parse(processes.read(std::process::id(), "mountinfo")?).collect();
        let mut placements = Vec::new();
        let mut weaknesses = Vec::new();
        let Some(((_, root), volumes)) = self.mounts.split_first() else {
            return Ok((placements, weaknesses));
        };
        if self.span == Span::Mount {
            weaknesses.push(String::from(
                "the container's root shares its file system with the node, so that a process that may mount can reach it unseen",
            ));
        }
        placements.push(Placement {
            span: self.span,
            place: self.directory.try_clone().map_err(|_| io::Errno::MFILE)?,
            mask: needs.mask(true, true),
        });
        for (_, volume) in volumes {
            let mask = needs.mask(!volume.no_exec, is_ruled(rules, &volume.point));
            let Some(span) = mounts::volume_span(volume, root, self.span, &node).filter(|_| mask != 0) else {
                continue;
            };
            let shown = volume.point.escape_ascii();
            if mounts::is_served_from_user_space(volume) {
                weaknesses.push(format!("{shown} is served from user space and is not watched"));
                continue;
            }
            let Some(place) = open_point(self.directory.as_fd(), &volume.point) else { continue };
            if span == Span::Mount {
                weaknesses.push(format!(
                    "{shown} is a volume: a process that may mount can reach its files unseen"
                ));
            }
            placements.push(Placement { span, place, mask });
        }
        Ok((placements, weaknesses))
    }
}

fn open_point(root: BorrowedFd<'_>, point: &[u8]) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    rustix::fs::openat2(root, point, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
        .ok()
}

/// Whether a file rule may speak of something at or below `point`: the part of a ruled path before its first wildcard
/// leads there, or past it.
fn is_ruled(rules: &RuleSet, point: &[u8]) -> bool {
    rules.rules.iter().any(|rule| {
        let Matcher::File(matcher) = &rule.matcher else { return false };
        matcher.paths.iter().any(|path| {
            let plain = path.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
            let has_wildcard = plain.len() < path.len();
            cgroup::is_within(plain.trim_end_matches('/').as_bytes(), point)
                || (has_wildcard && point.starts_with(plain.as_bytes()))
        })
    })
}

/// What statx(2) says of a file.
#[derive(Debug, Clone, Copy)]
struct Facts {
    identity: Identity,
    mount: u64,
    unique: bool,
    /// Empty, and made less than a second ago.
    new: bool,
    /// The last change of the file or of its names.
    changed: SystemTime,
    directory: bool,
}

impl Facts {
    fn of(file: BorrowedFd<'_>, unique_mount: bool) -> io::Result<Facts> {
        let id = if unique_mount { MOUNT_ID_UNIQUE } else { StatxFlags::MNT_ID };
        let wanted = StatxFlags::TYPE
            | StatxFlags::INO
            | StatxFlags::SIZE
            | StatxFlags::BTIME
            | StatxFlags::CTIME
            | id;
        let status = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, wanted)?;
        let age = SystemTime::now().duration_since(system_time(status.stx_btime));
        let young = age.is_ok_and(|age| age < Duration::from_secs(1));
        let new = status.stx_size == 0 && status.stx_mask & StatxFlags::BTIME.bits() != 0 && young;
        Ok(Facts {
            identity: Identity {
                device: (status.stx_dev_major, status.stx_dev_minor),
                inode: status.stx_ino,
            },
            mount: status.stx_mnt_id,
            changed: system_time(status.stx_ctime),
            unique: status.stx_mask & MOUNT_ID_UNIQUE.bits() != 0,
            new,
            directory: FileType::from_raw_mode(status.stx_mode.into()) == FileType::Directory,
        })
    }
}

fn system_time(time: StatxTimestamp) -> SystemTime {
    UNIX_EPOCH + Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec)
}

/// A file, by every name that it must be judged under.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one file")]
pub(super) struct Subject {
    /// The path that the container sees.
    pub path: Vec<u8>,
    /// Other paths of the same place: through the mounts that the container had when rules were applied, and the name
    /// that was unlinked.
    pub others: Vec<Vec<u8>>,
    pub identity: Option<Identity>,
    /// It lies on a mount that is in no table, so that its true path cannot be told.
    pub unplaced: bool,
    /// On the container's root mount.
    pub on_root: bool,
    pub new: bool,
    /// Neither changed nor renamed since the container started.
    pub settled: bool,
    pub directory: bool,
}

impl Subject {
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.path.as_slice()).chain(self.others.iter().map(Vec::as_slice))
    }
}

/// What holds for one container, and where.
#[derive(Debug)]
pub(super) struct Container {
    pub cgroup: u64,
    pub init_pid: u32,
    members: Cgroup,
    pub uids: UidMap,
    pub root: Root,
    pub rules: Arc<RuleSet>,
    pub index: Arc<RuleIndex>,
    pub identities: Identities,
    pub needs: Needs,
    started: SystemTime,
    /// Whether a rule asks for ancestors.
    pub asks_ancestors: bool,
    /// Whether a file rule asks who opens.
    pub asks_file_users: bool,
}

impl Container {
    /// # Errors
    ///
    /// As [`Root::open`]; `ENOENT` also where the process is not in the container's control group.
    pub fn open(
        scope: &ContainerScope,
        rules: &Arc<RuleSet>,
        index: &Arc<RuleIndex>,
        processes: &mut Processes,
    ) -> io::Result<Container> {
        let root = Root::open(scope.init_pid, processes)?;
        let members = Cgroup::of(scope, processes)?;
        let uids = UidMap::parse(processes.read(scope.init_pid, "uid_map")?);
        let identities = Identities::resolve(rules, root.directory.as_fd())?;
        let asks_ancestors = rules
            .rules
            .iter()
            .any(|rule| matches!(&rule.matcher, Matcher::Process(matcher) if !matcher.parents.is_empty()));
        let asks_file_users = rules.rules.iter().any(|rule| {
            let Matcher::File(matcher) = &rule.matcher else { return false };
            let excepts = matcher.except.as_ref().is_some_and(|except| !except.users.is_empty());
            excepts || !matcher.users.is_empty()
        });
        Ok(Container {
            cgroup: scope.cgroup,
            init_pid: scope.init_pid,
            members,
            uids,
            root,
            rules: Arc::clone(rules),
            index: Arc::clone(index),
            identities,
            needs: Needs::of(rules),
            started: processes.started(scope.init_pid)?,
            asks_ancestors,
            asks_file_users,
        })
    }

    /// Whether the task belongs to the container. The runtime and everything else on the node does not.
    pub fn contains(&self, tid: u32, processes: &mut Processes) -> bool {
        // A task that is gone needs no answer.
        processes.read(tid, "cgroup").is_ok_and(|text| self.members.contains(text))
    }

    /// A path of our own mount namespace's making, as the container sees it.
    pub fn inside<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        match path.strip_prefix(self.root.prefix.as_slice()) {
            Some(b"") => b"/",
            Some(rest) if rest.starts_with(b"/") => rest,
            _ => path,
        }
    }

    /// Says what `file` is, into `subject`, whose memory is used again.
    pub fn locate(
        &self,
        file: BorrowedFd<'_>,
        tid: u32,
        processes: &mut Processes,
        subject: &mut Subject,
    ) -> io::Result<()> {
        let facts = Facts::of(file, self.root.unique_ids)?;
        processes.descriptor_link(file, &mut subject.path)?;
        subject.others.clear();
        subject.identity = Some(facts.identity);
        subject.new = facts.new;
        subject.settled = facts.changed < self.started;
        subject.directory = facts.directory;
        subject.on_root = self.root.mounts.first().is_some_and(|(id, _)| *id == facts.mount);
        subject.unplaced = false;
        if !subject.on_root {
            let known = self
                .root
                .mounts
                .iter()
                .find(|(id, _)| self.root.unique_ids && *id == facts.mount)
                .map(|(_, mount)| mount);
            let looked_up;
            let (mount, seen_from) = if let Some(mount) = known {
                (Some(mount), self.root.prefix.as_slice())
            } else {
                looked_up = self.look_up_mount(file, tid, processes);
                (
                    looked_up.as_ref().map(|(mount, _)| mount),
                    looked_up.as_ref().map_or(&[][..], |(_, prefix)| prefix.as_slice()),
                )
            };
            let place = mount.and_then(|mount| {
                let below = below(below(&subject.path, seen_from)?, &mount.point)?;
                Some((mount.device, join(&mount.root, below)))
            });
            match place {
                None => subject.unplaced = true,
                Some((device, path)) => {
                    let same_device =
                        self.root.mounts.iter().filter(|(_, original)| original.device == device);
                    subject.others.extend(same_device.filter_map(|(_, original)| {
                        Some(join(&original.point, below(&path, &original.root)?))
                    }));
                }
            }
        }
        let inside = self.inside(&subject.path);
        let cut = subject.path.len() - inside.len();
        if inside == b"/" {
            subject.path = b"/".to_vec();
        } else {
            drop(subject.path.drain(..cut));
        }
        subject.others.retain(|other| *other != subject.path);
        for index in 0..=subject.others.len() {
            let path = subject.others.get(index.wrapping_sub(1)).unwrap_or(&subject.path);
            if let Some(path) = task::without_deleted(path) {
                let path = path.to_vec();
                subject.others.push(path);
            }
        }
        Ok(())
    }

    /// The mount of `file` in the table of the acting process or of the container's first one, and the path of the root
    /// that the table is seen from.
    fn look_up_mount(
        &self,
        file: BorrowedFd<'_>,
        tid: u32,
        processes: &mut Processes,
    ) -> Option<(Mount, Vec<u8>)> {
        let id = Facts::of(file, false).ok()?.mount;
        [tid, self.init_pid].into_iter().find_map(|process| {
            let root = processes.link(process, "root").ok()?;
            let mount =
                mounts::parse(processes.read(process, "mountinfo").ok()?).find(|mount| mount.id == id)?;
            Some((mount, if root == b"/" { Vec::new() } else { root }))
        })
    }
}

/// What is left of `path` below `directory`: empty, or starting with a slash.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    if path == b"/" && directory.is_empty() {
        return Some(b"");
    }
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn join(directory: &[u8], below: &[u8]) -> Vec<u8> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    if directory.is_empty() && below.is_empty() { b"/".to_vec() } else { [directory, below].concat() }
}
