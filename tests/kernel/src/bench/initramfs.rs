//! The file system that a guest starts from: the guest's program as init, a shell, modules, the containers'
//! image, and the names of the cases to run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempPath;

use super::kernel::{Kernel, output};
use super::{cannot_start, image};
use crate::bypass;
use crate::node::{ENVIRONMENT, IMAGE, INIT, MODULES, SELECTION};

/// What the suites need of the kernel that is not built into it.
const WANTED: [&str; 1] = ["overlay"];

/// An archive for `-initrd`, removed on drop.
pub fn build(kernel: &Kernel, program: &Path, cases: &[String], cache: &Path) -> Result<TempPath> {
    let stage = tempfile::tempdir_in(cache)?;
    let root = stage.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    for folder in ["dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "root"] {
        fs::create_dir_all(root.join(folder))?;
    }
    image::busybox(root)?;
    image::build(&inside(root, IMAGE), cache)?;
    add_program(program, root, Path::new(INIT))?;
    // Most of a program built for debugging is of no use in the guest, and would be read into its memory.
    output(Command::new("objcopy").arg("--strip-debug").arg(inside(root, INIT)))?;

    let mut names = Vec::new();
    fs::create_dir_all(inside(root, MODULES))?;
    for (place, (name, content)) in kernel.modules(&WANTED)?.into_iter().enumerate() {
        // Their order is that of loading.
        fs::write(inside(root, MODULES).join(format!("{place:02}-{name}.ko")), content)?;
        names.push(name);
    }
    fs::write(inside(root, SELECTION), cases.join("\n"))?;
    let passed_on = ["MOAT_SEED", "MOAT_CASES"].map(|name| (name, std::env::var(name)));
    let lines =
        passed_on.iter().filter_map(|(name, value)| Some(format!("{name}={}\n", value.as_ref().ok()?)));
    fs::write(inside(root, ENVIRONMENT), lines.collect::<String>())?;
    bypass::copy_to(&inside(root, bypass::IN_GUEST))?;
    pack(root, cache)
}

fn pack(root: &Path, cache: &Path) -> Result<TempPath> {
    let archive = tempfile::NamedTempFile::new_in(cache)?;
    let mut find = Command::new("find")
        .args([".", "-print0"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start("find", error))?;
    let list = find.stdout.take().context("find has no output")?;
    let packed = Command::new("cpio")
        .args(["--create", "--null", "--quiet", "--format=newc", "--owner=0:0", "--reproducible"])
        .current_dir(root)
        .stdin(list)
        .stdout(archive.reopen()?)
        .status()
        .map_err(|error| cannot_start("cpio", error))?;
    ensure!(find.wait()?.success() && packed.success(), "cannot pack the initramfs: cpio failed ({packed})");
    Ok(archive.into_temp_path())
}

/// Adds a program under `place`, and the shared libraries that it is linked to under their own paths.
pub fn add_program(program: &Path, root: &Path, place: &Path) -> Result<()> {
    let add = |from: &Path, place: &Path| -> Result<()> {
        let target = inside(root, place);
        fs::create_dir_all(target.parent().unwrap_or(root))?;
        fs::copy(from, &target)
            .with_context(|| format!("cannot copy {} to {}", from.display(), target.display()))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
        Ok(())
    };
    add(program, place)?;
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`; it fails for a
    // static program, which has none.
    let listing = Command::new("ldd").arg(program).output().map_err(|error| cannot_start("ldd", error))?;
    for library in String::from_utf8(listing.stdout)?.split_whitespace().filter(|word| word.starts_with('/'))
    {
        let library = Path::new(library);
        if library.is_file() && library != program && !inside(root, library).exists() {
            add(library, library)?;
        }
    }
    Ok(())
}

/// Where an absolute path of the guest is on the host.
fn inside(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    root.join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
}
