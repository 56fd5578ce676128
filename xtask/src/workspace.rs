//! The repository as Cargo and Git see it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The repository's root folder.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent folder")?.to_path_buf())
}

/// The folder that Cargo has built this program into, and the others of the workspace with it.
pub fn programs() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.parent().context("this program is in no folder")?.to_path_buf())
}

/// Standard output of `program` run in the repository's root.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root()?)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {} ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed text that is not UTF-8"))
}
