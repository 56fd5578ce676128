//! A disk that breaks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::skip;

/// An ext4 of one's own in a file, until it is dropped. After [`BreakingDisk::break_down`] the kernel lets nobody write to it, as
/// after a real error of a disk (`errors=remount-ro`, Debian's default for the root file system).
#[derive(Debug)]
pub struct BreakingDisk(TempDir);

impl BreakingDisk {
    /// One of this size (`32M`). `None`, and a word of why, where nothing can be mounted.
    pub fn mount(size: &str) -> Option<BreakingDisk> {
        let disk = BreakingDisk(TempDir::new().ok()?);
        let image = disk.0.path().join("image");
        fs::create_dir(disk.path()).ok()?;
        let mounted = run("truncate", &["--size", size], &[&image])
            && run("mkfs.ext4", &["-q", "-e", "remount-ro"], &[&image])
            && run("mount", &["-o", "loop"], &[&image, &disk.path()]);
        if !mounted {
            skip("root", "cannot mount a file system in a file");
        }
        mounted.then_some(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    /// For good: what is on it can be read, and only that.
    pub fn break_down(&self) -> io::Result<()> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let path = self.path();
        let device = mounts
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, rest)| rest.split(' ').next().is_some_and(|at| Path::new(at) == path))
            .and_then(|(device, _)| device.strip_prefix("/dev/"))
            .ok_or_else(|| io::Error::other(format!("{} is not mounted", path.display())))?;
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1")
    }
}

impl Drop for BreakingDisk {
    fn drop(&mut self) {
        let _ = run("umount", &["--lazy"], &[&self.path()]);
    }
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
    Command::new(program)
        .args(arguments)
        .args(paths)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
