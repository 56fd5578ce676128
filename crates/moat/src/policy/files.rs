//! Policy files as people name them: files, folders, standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use moat_policy::MAX_FILE_BYTES;

/// One file's name and content.
#[derive(Debug)]
pub struct PolicyFile {
    pub name: String,
    pub text: Vec<u8>,
}

/// Reads every file; a folder stands for its `.yaml` and `.yml` files in name order, `-` for standard input.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<PolicyFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = read_limited(io::stdin().lock()).context("standard input cannot be read")?;
            files.push(PolicyFile { name: String::from("<stdin>"), text });
        } else if path.is_dir() {
            let inside = folder(path).with_context(|| format!("{} cannot be read", path.display()))?;
            if inside.is_empty() {
                bail!("{} has no .yaml or .yml file: name a folder that has some", path.display());
            }
            for path in inside {
                files.push(read_file(&path)?);
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    Ok(files)
}

fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in path.read_dir()? {
        let path = entry?.path();
        // A name that begins with a dot is an editor's or a mount's own.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<PolicyFile> {
    let text = File::open(path)
        .and_then(read_limited)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(PolicyFile { name: path.display().to_string(), text })
}

/// One byte more than a policy file may have, so that the parser says that it is too long.
fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    reader.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
