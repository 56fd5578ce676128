//! What shows that a trick had its effect, looked for from outside of the container.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;

/// One thing to look for. Paths are the container's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// There is such a file.
    Exists(PathBuf),
    /// The file has the text in it.
    Contains { path: PathBuf, text: String },
    /// The file is no more what it was.
    Unchanged(PathBuf),
    /// The file has these permissions, in octal.
    Mode { path: PathBuf, mode: String },
}

/// What a file was after the setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before(Option<State>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    device: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Bytes(Vec<u8>),
    Target(PathBuf),
    Names(Vec<std::ffi::OsString>),
    Other,
}

impl Proof {
    /// What must not change, as it is now.
    pub fn before(&self, place: impl Fn(&PathBuf) -> PathBuf) -> Result<Before> {
        match self {
            Proof::Unchanged(path) => State::read(&place(path)).map(Before),
            _ => Ok(Before(None)),
        }
    }

    /// Whether the effect shows. `place` is where the container's files are seen from outside.
    pub fn shows(&self, before: &Before, place: impl Fn(&PathBuf) -> PathBuf) -> Result<bool> {
        Ok(match self {
            Proof::Exists(path) => fs::symlink_metadata(place(path)).is_ok(),
            Proof::Contains { path, text } => {
                fs::read(place(path)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
            }
            Proof::Unchanged(path) => State::read(&place(path))? != before.0,
            Proof::Mode { path, mode } => {
                let wanted = u32::from_str_radix(mode, 8)?;
                fs::symlink_metadata(place(path)).is_ok_and(|metadata| metadata.mode() & 0o7777 == wanted)
            }
        })
    }
}

impl State {
    fn read(path: &PathBuf) -> Result<Option<State>> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        Ok(Some(State {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            links: metadata.nlink(),
            size: metadata.size(),
            device: metadata.rdev(),
            content: content(path, &metadata)?,
        }))
    }
}

fn content(path: &PathBuf, metadata: &Metadata) -> Result<Content> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(Content::Bytes(fs::read(path)?));
    }
    if kind.is_symlink() {
        return Ok(Content::Target(fs::read_link(path)?));
    }
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path)?.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        return Ok(Content::Names(names));
    }
    debug_assert!(kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket());
    Ok(Content::Other)
}
