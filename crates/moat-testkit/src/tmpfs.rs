//! A disk that a test may fill.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::skip;

/// A file system in memory of one's own, until it is dropped. Every user of the machine may write to it.
#[derive(Debug)]
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// One of this size (`6m`). `None`, and a word of why, where nothing can be mounted.
    pub fn mount(size: &str) -> Option<Tmpfs> {
        let disk = Tmpfs(TempDir::new().ok()?);
        // PostgreSQL runs as another user.
        fs::set_permissions(disk.0.path(), fs::Permissions::from_mode(0o711)).ok()?;
        fs::create_dir(disk.path()).ok()?;
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=1777"), "moat"], &disk.path());
        if !mounted {
            skip("root", "cannot mount a file system");
        }
        mounted.then_some(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    /// Changes it while it is in use (`size=32m`, `ro`).
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.path()), "remount,{options}");
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = fs::File::create(self.path().join("ballast"))?;
        // Small pieces: none of what is left is too small for one.
        while ballast.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Gives back what [`Tmpfs::fill`] took.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.path().join("ballast"))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount")
        .args(arguments)
        .arg(at)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
