//! The node's limit on fanotify groups: one container needs two, and the kernel's default is 128 for all of a user's.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The same number as `user.max_fanotify_groups`, but to be written by its owner alone (fanotify(7)).
pub(super) const SYSCTL: &str = "fs.fanotify.max_user_groups";
const FILE: &str = "/proc/sys/fs/fanotify/max_user_groups";

/// Groups for 2,000 containers.
const WANTED: u32 = 4096;

/// The raised limit; put back when dropped. After `kill -9` it stays raised, which harms nothing.
#[derive(Debug)]
pub(super) struct GroupLimit {
    previous: u32,
}

impl GroupLimit {
    /// `None` where the limit suffices as it is.
    pub fn raise() -> io::Result<Option<GroupLimit>> {
        let previous = read()?;
        if previous >= WANTED {
            return Ok(None);
        }
        fs::write(FILE, WANTED.to_string())?;
        Ok(Some(GroupLimit { previous }))
    }
}

impl Drop for GroupLimit {
    fn drop(&mut self) {
        // Someone else may have set it meanwhile, who is not to be overruled.
        if read().is_ok_and(|current| current == WANTED)
            && let Err(error) = fs::write(FILE, self.previous.to_string())
        {
            tracing::warn!(%error, sysctl = SYSCTL, "cannot put the limit back");
        }
    }
}

fn read() -> io::Result<u32> {
    fs::read_to_string(FILE)?.trim().parse().map_err(io::Error::other)
}

/// Lets this process have as many open files as it may: each container takes some.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}
