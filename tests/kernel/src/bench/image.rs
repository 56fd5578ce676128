//! The image that the guests' containers are made of: a folder in the initramfs.
//!
//! `image/root` is copied as it is; every source in `image/programs` is compiled, and says in its first line with
//! what flags (`// gcc: -static -nostdlib`). All tricks of the bypass corpus are one program.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cannot_start;
use super::initramfs::add_program;
use super::kernel::output;
use crate::bypass;
use crate::differential::world;

/// Sources of the image's own programs.
const PROGRAMS: &str = "image/programs";
/// Where the containers find the folders that they mount on.
const MOUNT_POINTS: [&str; 6] = ["dev", "old", "proc", "proof", "sys", "volume"];

/// Builds the image in `root`; compiled programs are kept in `cache`.
pub fn build(root: &Path, cache: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&sources.join("image/root"), root)?;
    for folder in MOUNT_POINTS.into_iter().chain(["tmp", "root", "var/tmp", "opt/bypass"]) {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o600))?;
    busybox(root)?;
    for source in files(&sources.join(PROGRAMS))? {
        let program = compile_program(source, cache)?;
        let name = program.file_name().context("a program without a name")?;
        add_program(&program, root, &Path::new("/usr/bin").join(name))?;
    }
    world::place(root, &root.join("usr/bin/act"), &root.join("usr/bin/nothing"))?;
    let corpus = sources.join("bypass");
    let mut tricks = vec![corpus.join("tricks.c")];
    for class in bypass::classes(&corpus)? {
        tricks.extend(files(&class)?);
    }
    let tricks = compile(&tricks, "-static -pthread -DTRICKS_IN_ONE", &cache.join("programs"))?;
    add_program(&tricks, root, Path::new("/opt/bypass/tricks"))
}

/// A program of the image, compiled.
pub fn program(name: &str, cache: &Path) -> Result<PathBuf> {
    let mut sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAMS))?.into_iter();
    let source = sources.find(|source| source.file_stem().is_some_and(|stem| stem == name));
    compile_program(source.with_context(|| format!("no program {name}"))?, cache)
}

fn compile_program(source: PathBuf, cache: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(&source)?;
    let flags = text.lines().next().and_then(|line| line.strip_prefix("// gcc: ")).unwrap_or("-static");
    compile(&[source], flags, &cache.join("programs"))
}

/// Debian's busybox-static with all its applets as links, in `root`/bin.
pub fn busybox(root: &Path) -> Result<()> {
    let folder = root.join("bin");
    fs::create_dir_all(&folder)?;
    fs::copy("/bin/busybox", folder.join("busybox")).map_err(|error| cannot_start("/bin/busybox", error))?;
    let applets = output(Command::new("/bin/busybox").arg("--list"))?;
    for applet in String::from_utf8(applets)?.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", folder.join(applet)).with_context(|| format!("cannot link applet {applet}"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The C and assembler sources in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c" || extension == "S") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Compiles a program, of its first source's name, unless it is newer than all of them.
fn compile(sources: &[PathBuf], flags: &str, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let first =
        sources.first().and_then(|source| source.file_stem()).context("a program without a source")?;
    let program = folder.join(first);
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let older = |source: &PathBuf, compiled| changed(source).is_ok_and(|written| written < compiled);
    if changed(&program).is_ok_and(|compiled| sources.iter().all(|source| older(source, compiled))) {
        return Ok(program);
    }
    let scratch = tempfile::NamedTempFile::new_in(folder)?.into_temp_path();
    output(
        Command::new("gcc")
            .args(["-O1", "-Wall", "-s"])
            .args(flags.split_whitespace())
            .arg("-o")
            .arg(&scratch)
            .args(sources),
    )?;
    scratch.persist(&program)?;
    Ok(program)
}
