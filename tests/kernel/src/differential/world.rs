//! The small world that rules speak about and actions happen in: the same files in the guest's containers and in the
//! machine's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use moat_event::Origin;

/// A process in the container that acts when told; `act.c` starts them.
#[derive(Debug, PartialEq, Eq)]
pub struct Actor {
    /// Its place in [`ACTORS`], by which its pipes are called.
    pub number: usize,
    pub executable: &'static str,
    /// It and those above it in the container: the ancestors of what it executes, parent first.
    pub lineage: &'static [&'static [u8]],
    pub uid: u32,
    pub origin: Origin,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Actor { number, executable, uid, origin, .. } = self;
        write!(formatter, "actor {number} ({executable}, user {uid}, {origin:?})")
    }
}

pub const ACT: &str = "/world/bin/act";
const NGINX: &str = "/world/sbin/nginx";
const AGENT: &str = "/world/tools/agent";

pub const ACTORS: [Actor; 4] = [
    Actor { number: 0, executable: ACT, lineage: &[b"/world/bin/act"], uid: 0, origin: Origin::Entrypoint },
    Actor {
        number: 1,
        executable: NGINX,
        lineage: &[b"/world/sbin/nginx", b"/world/bin/act"],
        uid: 33,
        origin: Origin::Entrypoint,
    },
    Actor { number: 2, executable: ACT, lineage: &[b"/world/bin/act"], uid: 0, origin: Origin::ExecSession },
    Actor {
        number: 3,
        executable: AGENT,
        lineage: &[b"/world/tools/agent", b"/world/bin/act"],
        uid: 1000,
        origin: Origin::ExecSession,
    },
];

/// Programs that do nothing, of the image.
pub const PROGRAMS: [&str; 10] = [
    "/world/bin/alpha",
    "/world/bin/beta",
    "/world/bin/sh",
    "/world/bin/bash",
    "/world/bin/busybox",
    "/world/tools/alpha",
    "/world/tools/[x]",
    "/world/tools/deep/er/sh",
    "/world/opt/key",
    "/world/opt/sh-beta",
];
/// Copies that `act.c` makes.
pub const ADDED: [&str; 2] = ["/world/added/alpha", "/world/added/sh"];
/// Scripts, with their interpreters and what these are told before the script's name.
pub const SCRIPTS: [(&str, &str, Option<&str>); 2] =
    [("/world/bin/script", "/world/bin/sh", None), ("/world/tools/run", "/world/bin/beta", Some("-x"))];
/// A link to a directory: no path of a rule leads through it.
pub const LINKED: (&str, &str) = ("/world/link", "/world/bin");

pub const FILES: [&str; 9] = [
    "/world/etc/passwd",
    "/world/etc/shadow",
    "/world/etc/ssl/key",
    "/world/etc/ssl/deep/cert",
    "/world/data/a",
    "/world/data/b",
    "/world/data/[c]",
    "/world/data/deep/one/a",
    "/world/data/deep/two",
];
/// Names that are free, for new files.
pub const FREE: [&str; 5] = [
    "/world/etc/new",
    "/world/etc/ssl/new",
    "/world/data/d",
    "/world/data/deep/a",
    "/world/data/deep/one/new",
];
/// Everyone may write in them.
const DIRECTORIES: [&str; 10] = [
    "/world/added",
    "/world/run",
    "/world/mnt",
    "/world/etc",
    "/world/etc/ssl",
    "/world/etc/ssl/deep",
    "/world/data",
    "/world/data/deep",
    "/world/data/deep/one",
    "/world/data/deep/one/two",
];

/// The container's users.
pub const PASSWD: &str = include_str!("../../image/root/etc/passwd");

/// What the world is made of.
#[derive(Debug)]
pub enum Entry {
    Directory,
    File { mode: u32, content: Vec<u8> },
    Link { target: &'static str },
}

/// Everything by its path in the container. `act` and `nothing` are the compiled programs.
pub fn entries(act: &Path, nothing: &Path) -> Result<Vec<(&'static str, Entry)>> {
    let read =
        |program: &Path| fs::read(program).with_context(|| format!("cannot read {}", program.display()));
    let (act, nothing) = (read(act)?, read(nothing)?);
    let program = |content: &[u8]| Entry::File { mode: 0o755, content: content.to_vec() };
    let mut entries: Vec<_> = DIRECTORIES.iter().map(|path| (*path, Entry::Directory)).collect();
    entries.extend([ACT, NGINX, AGENT].map(|path| (path, program(&act))));
    entries.extend(PROGRAMS.map(|path| (path, program(&nothing))));
    for (path, interpreter, argument) in SCRIPTS {
        let argument = argument.map(|argument| format!(" {argument}")).unwrap_or_default();
        entries.push((path, program(format!("#!{interpreter}{argument}\n").as_bytes())));
    }
    entries.extend(FILES.map(|path| (path, Entry::File { mode: 0o666, content: b"content\n".to_vec() })));
    entries.push((LINKED.0, Entry::Link { target: LINKED.1 }));
    Ok(entries)
}

/// Puts the world into an image's folder.
pub fn place(root: &Path, act: &Path, nothing: &Path) -> Result<()> {
    for (path, entry) in entries(act, nothing)? {
        let place = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("a path without a folder")?)?;
        match entry {
            Entry::Directory => {
                fs::create_dir_all(&place)?;
                fs::set_permissions(&place, fs::Permissions::from_mode(0o777))?;
            }
            Entry::File { mode, content } => {
                fs::write(&place, content)?;
                fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
            }
            Entry::Link { target } => symlink(target, &place)?,
        }
    }
    Ok(())
}
