//! Debian's kernels for cloud machines, as apt offers them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cannot_start;

/// A kernel package, unpacked.
#[derive(Debug, Clone)]
pub struct Kernel {
    folder: PathBuf,
    release: String,
}

impl Kernel {
    /// The newest kernel of a series (`6.1`) that apt offers, or that an earlier run has kept.
    pub fn fetch(series: &str, cache: &Path) -> Result<Kernel> {
        let kernels = cache.join("kernels");
        fs::create_dir_all(&kernels).with_context(|| format!("cannot create {}", kernels.display()))?;
        let kept = newest_first(series, names_in(&kernels)?.iter().map(String::as_str));
        let mut offered = offered(series)?;
        if offered.is_empty() && kept.is_empty() {
            output(Command::new("apt-get").args(["--quiet", "update"]))?;
            offered = self::offered(series)?;
        }
        let mut refusal = anyhow::anyhow!("apt offers no linux-image-{series}.*-cloud-amd64");
        for package in newest_first(series, offered.iter().chain(&kept).map(String::as_str)) {
            match download(&package, &kernels) {
                Ok(folder) => {
                    let release = package.trim_start_matches(PREFIX).to_owned();
                    return Ok(Kernel { folder, release });
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    pub fn release(&self) -> &str {
        &self.release
    }

    pub fn image(&self) -> PathBuf {
        self.folder.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// A module and those that it depends on, in the order of loading: names and contents.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut modules = Vec::new();
        for name in wanted {
            self.add_module(name, &mut modules)?;
        }
        Ok(modules)
    }

    fn add_module(&self, name: &str, modules: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        if modules.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let root = self.folder.join("lib/modules").join(&self.release);
        let file = find_module(&root, name)?
            .with_context(|| format!("kernel {} has no module {name}", self.release))?;
        let content = if file.extension().is_some_and(|extension| extension == "xz") {
            output(Command::new("xz").args(["--decompress", "--stdout"]).arg(&file))?
        } else {
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?
        };
        for dependency in dependencies(&content) {
            self.add_module(&dependency, modules)?;
        }
        modules.push((name.to_owned(), content));
        Ok(())
    }
}

const PREFIX: &str = "linux-image-";

fn offered(series: &str) -> Result<Vec<String>> {
    let names = output(Command::new("apt-cache").args(["pkgnames", &format!("{PREFIX}{series}.")]))?;
    Ok(String::from_utf8(names)?.lines().map(str::to_owned).collect())
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// The packages of a series for cloud machines, without those of debug symbols, unsigned or for real time.
fn newest_first<'a>(series: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let start = format!("{PREFIX}{series}.");
    let mut names: Vec<&str> = names
        .filter(|name| name.starts_with(&start) && name.ends_with("-cloud-amd64"))
        .filter(|name| !name.contains("unsigned"))
        .collect();
    let numbers = |name: &str| -> Vec<u32> {
        name.split(|character: char| !character.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect()
    };
    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}

/// Unpacks a package into its folder, which appears all at once.
fn download(package: &str, kernels: &Path) -> Result<PathBuf> {
    let folder = kernels.join(package);
    if folder.exists() {
        return Ok(folder);
    }
    let scratch = tempfile::tempdir_in(kernels)?;
    output(Command::new("apt-get").args(["--quiet", "download", package]).current_dir(scratch.path()))?;
    let archive = fs::read_dir(scratch.path())?.next().context("apt-get downloaded nothing")??.path();
    let unpacked = scratch.path().join("unpacked");
    output(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&unpacked))?;
    match fs::rename(&unpacked, &folder) {
        // Another run was quicker.
        Err(_) if folder.exists() => {}
        renamed => renamed.with_context(|| format!("cannot create {}", folder.display()))?,
    }
    Ok(folder)
}

fn find_module(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find_module(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if let Some((stem, _)) = entry.file_name().to_string_lossy().split_once(".ko")
            && stem.replace('-', "_") == name.replace('-', "_")
        {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// What a module says in its section `.modinfo` that must be loaded before it.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Runs a program to its end and gives what it printed.
pub(super) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Err(cannot_start(&name, error)),
    };
    ensure!(
        output.status.success(),
        "{name} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_comes_first() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-10-cloud-amd64",
            "linux-image-6.1.0-11-cloud-amd64-dbg",
            "linux-image-6.1.0-12-cloud-amd64-unsigned",
            "linux-image-6.12.1+deb12-cloud-amd64",
            "linux-image-6.1.0-13-amd64",
        ];
        assert_eq!(newest_first("6.1", names.into_iter()), [names[1], names[0]]);
        assert_eq!(newest_first("6.12", names.into_iter()), [names[4]]);
    }

    #[test]
    fn a_module_names_what_it_depends_on() {
        assert_eq!(dependencies(b"x\0license=GPL\0depends=llc,stp\0name=bridge\0"), ["llc", "stp"]);
        assert!(dependencies(b"x\0depends=\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }
}
