//! The users of a container, from its own `/etc/passwd`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use moat_policy::Users;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Most of the file that is read; the container may have put anything there.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads the file as a process of the container would find it: symbolic links lead no way out of the
/// container's root. A container without the file has no named users.
pub fn read(proc: &Path, init_pid: u32) -> io::Result<Users> {
    let root = File::open(proc.join(init_pid.to_string()).join("root"))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(&root, "etc/passwd", flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Ok(Users::default());
        }
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Users::default());
    }
    let mut passwd = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut passwd)?;
    Ok(Users::parse(&passwd))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A `/proc` whose process 7 has this folder as its root.
    fn with_root(prepare: impl FnOnce(&Path)) -> Users {
        let proc = tempfile::tempdir().unwrap();
        let root = proc.path().join("7/root");
        fs::create_dir_all(root.join("etc")).unwrap();
        prepare(&root);
        read(proc.path(), 7).unwrap()
    }

    #[test]
    fn named_users_are_those_of_the_container() {
        let users =
            with_root(|root| fs::write(root.join("etc/passwd"), "www-data:x:33:33::/:/bin/sh\n").unwrap());
        assert_eq!(users.resolve("www-data"), Some(33));
        assert_eq!(with_root(|_| {}), Users::default());
    }

    #[test]
    fn a_link_leads_no_way_out_and_a_pipe_does_not_block() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "host:x:1000:1000::/:/bin/sh\n").unwrap();
        let users = with_root(|root| symlink(outside.path(), root.join("etc/passwd")).unwrap());
        assert_eq!(users.resolve("host"), None);

        let users = with_root(|root| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                root.join("etc/passwd"),
                rustix::fs::FileType::Fifo,
                Mode::RUSR | Mode::WUSR,
                0,
            )
            .unwrap();
        });
        assert_eq!(users, Users::default());
    }
}
