//! What the demo and Moat put into the kernel, listed before and after, so that the demo can say that nothing stayed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libbpf_rs::query::ProgInfoIter;

/// Names of Moat's kernel programs begin so.
const PROGRAM_PREFIX: &str = "moat_";

/// Mounts, cgroups and BPF programs of this machine that can come from the demo.
#[derive(Debug)]
pub struct Listing(BTreeSet<String>);

impl Listing {
    /// Takes stock. `names` are parts of paths by which mounts and cgroups of the demo are known.
    pub fn take(names: &[String]) -> Result<Listing> {
        let ours = |path: &str| names.iter().any(|name| path.contains(name.as_str()));
        let mut listing = BTreeSet::new();

        let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot list mounts")?;
        // The fifth field is the mount point (proc_pid_mountinfo(5)).
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        listing.extend(points.filter(|point| ours(point)).map(|point| format!("mount {point}")));

        let mut cgroups = Vec::new();
        folders(Path::new("/sys/fs/cgroup"), &mut cgroups);
        let cgroups = cgroups.iter().map(|path| path.display().to_string());
        listing.extend(cgroups.filter(|path| ours(path)).map(|path| format!("cgroup {path}")));

        for program in ProgInfoIter::default() {
            let name = program.name.to_string_lossy();
            if name.starts_with(PROGRAM_PREFIX) {
                listing.insert(format!("BPF program {} {name}", program.id));
            }
        }
        Ok(Listing(listing))
    }

    /// What is in this listing and was not in the earlier one.
    pub fn since<'a>(&'a self, earlier: &'a Listing) -> impl Iterator<Item = &'a String> {
        self.0.difference(&earlier.0)
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
    fn a_cgroup_that_appears_is_found_and_only_under_its_name() {
        let Some(parent) = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists())
        else {
            println!("skipped: no cgroup v2 hierarchy");
            return;
        };
        let name = format!("moat-residue-test-{}", std::process::id());
        let names = [name.clone()];
        let before = Listing::take(&names).unwrap();
        if let Err(why) = fs::create_dir(parent.join(&name)) {
            println!("skipped: cannot make a cgroup: {why}");
            return;
        }
        let during = Listing::take(&names).unwrap();
        let other = Listing::take(&[String::from("no-such-name")]).unwrap();
        fs::remove_dir(parent.join(&name)).unwrap();
        let after = Listing::take(&names).unwrap();

        let cgroup = format!("cgroup {}", parent.join(&name).display());
        assert!(during.since(&before).any(|found| *found == cgroup));
        assert!(!other.since(&before).any(|found| *found == cgroup));
        assert!(!after.since(&before).any(|found| *found == cgroup));
    }
}
