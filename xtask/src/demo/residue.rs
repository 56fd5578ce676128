//! What the demo and Moat put into the kernel, looked for afterwards, so that the demo can say that nothing stayed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libbpf_rs::query::ProgInfoIter;

/// By what the demo's own things are known among all those of the machine.
#[derive(Debug, Default)]
pub struct Marks {
    /// Parts of the paths of mounts and cgroups.
    pub names: Vec<String>,
    /// Ids of BPF programs.
    pub programs: BTreeSet<u32>,
}

impl Marks {
    /// Adds the programs that a process holds a descriptor of, or of a link to (proc_pid_fdinfo(5)).
    pub fn add_programs_of(&mut self, pid: u32) -> Result<()> {
        let folder = format!("/proc/{pid}/fdinfo");
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            // One that was closed meanwhile is gone.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            let ids = text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok());
            self.programs.extend(ids);
        }
        Ok(())
    }

    /// What of it is there now.
    pub fn find(&self) -> Result<Vec<String>> {
        let ours = |path: &str| self.names.iter().any(|name| path.contains(name.as_str()));
        let mut found = Vec::new();

        let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot list mounts")?;
        // The fifth field is the mount point (proc_pid_mountinfo(5)).
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        found.extend(points.filter(|point| ours(point)).map(|point| format!("mount {point}")));

        let mut cgroups = Vec::new();
        folders(Path::new("/sys/fs/cgroup"), &mut cgroups);
        let cgroups = cgroups.iter().map(|path| path.display().to_string());
        found.extend(cgroups.filter(|path| ours(path)).map(|path| format!("cgroup {path}")));

        let programs = ProgInfoIter::default().filter(|program| self.programs.contains(&program.id));
        found.extend(
            programs.map(|program| format!("BPF program {} {}", program.id, program.name.to_string_lossy())),
        );
        Ok(found)
    }
}

/// All folders below `folder`; those that vanish meanwhile are left out.
fn folders(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders(&entry.path(), found);
            found.push(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_found_while_it_is_there() {
        let Some(parent) = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists())
        else {
            return moat_testkit::skip("guard", "no cgroup v2 hierarchy");
        };
        let name = format!("moat-residue-test-{}", std::process::id());
        let marks = Marks { names: vec![name.clone()], ..Marks::default() };
        assert_eq!(marks.find().unwrap(), [""; 0]);
        if let Err(why) = fs::create_dir(parent.join(&name)) {
            return moat_testkit::skip("guard", format!("cannot make a cgroup: {why}"));
        }
        let found = marks.find().unwrap();
        fs::remove_dir(parent.join(&name)).unwrap();
        assert_eq!(found, [format!("cgroup {}", parent.join(&name).display())]);
        assert_eq!(marks.find().unwrap(), [""; 0]);
    }
}
