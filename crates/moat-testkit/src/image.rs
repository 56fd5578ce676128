//! Container images made of the host's own files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::archive::{Archive, Member};

/// An image of one layer, being put together.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    entries: BTreeMap<String, Member>,
    entrypoint: Vec<String>,
}

impl Image {
    /// An image without files but the folders that runtimes mount on. `name` is a full reference, e.g.
    /// `docker.io/moat-test/web:1`.
    pub fn new(name: &str) -> Self {
        let mut image = Self { name: name.to_owned(), entries: BTreeMap::new(), entrypoint: Vec::new() };
        for directory in ["/dev", "/etc", "/proc", "/sys", "/var"] {
            image = image.directory(directory, 0o755);
        }
        image.directory("/tmp", 0o1777)
    }

    /// An image with the applets of Debian's busybox-static in `/bin`, which runs `sleep` for a day.
    pub fn busybox(name: &str) -> anyhow::Result<Self> {
        let mut image = Self::new(name).host_file("/bin/busybox")?;
        let applets = Command::new("/bin/busybox").arg("--list").output()?;
        for applet in String::from_utf8(applets.stdout)?.lines().filter(|applet| *applet != "busybox") {
            image = image.symlink(&format!("/bin/{applet}"), "/bin/busybox");
        }
        Ok(image
            .file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
            .file("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
            .entrypoint(["/bin/sleep", "86400"]))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a file; `path` is absolute.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.entries.insert(path.to_owned(), Member::File { mode, content: content.into() });
        self
    }

    #[must_use]
    pub fn directory(mut self, path: &str, mode: u32) -> Self {
        self.entries.insert(path.to_owned(), Member::Directory { mode });
        self
    }

    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.entries.insert(path.to_owned(), Member::Symlink { target: target.to_owned() });
        self
    }

    /// Adds a file of the host under its own path, executable.
    pub fn host_file(self, path: &str) -> anyhow::Result<Self> {
        let content = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
        Ok(self.file(path, 0o755, content))
    }

    /// Adds a program of the host under its own path, with the shared libraries it is linked to.
    pub fn host_program(mut self, path: &str) -> anyhow::Result<Self> {
        self = self.host_file(path)?;
        let listing = Command::new("ldd").arg(path).output().context("cannot run ldd")?;
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`.
        for library in
            String::from_utf8(listing.stdout)?.split_whitespace().filter(|word| word.starts_with('/'))
        {
            if Path::new(library).is_file() {
                self = self.host_file(library)?;
            }
        }
        Ok(self)
    }

    /// Adds a folder of the host with everything in it, modes kept.
    pub fn host_directory(mut self, path: &str) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {path}"))? {
            let entry = entry?;
            let inner = entry.path();
            let inner = inner.to_str().context("a path that is not UTF-8")?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self = self.host_directory(inner)?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(inner)?;
                self = self.symlink(inner, target.to_str().context("a target that is not UTF-8")?);
            } else if kind.is_file() {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                self = self.file(inner, mode, std::fs::read(inner)?);
            }
        }
        Ok(self)
    }

    /// What the container runs unless it is told otherwise.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// The image as an archive that `ctr images import` and `docker load` read (Docker image
    /// specification v1.2).
    pub fn archive(&self) -> anyhow::Result<Vec<u8>> {
        ensure!(!self.entrypoint.is_empty(), "image {} has no entrypoint", self.name);
        let layer = self.layer()?;
        let layer_digest = hex_digest(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
            "history": [{ "created_by": "moat-testkit" }],
        }))?;
        let config_name = format!("{}.json", hex_digest(&config));
        let layer_name = format!("{layer_digest}.tar");
        let manifest = serde_json::to_vec(
            &json!([{ "Config": config_name, "RepoTags": [self.name], "Layers": [layer_name] }]),
        )?;

        let mut archive = Archive::default();
        for (name, content) in
            [(config_name, config), (layer_name, layer), ("manifest.json".into(), manifest)]
        {
            archive.append(&name, &Member::File { mode: 0o644, content })?;
        }
        Ok(archive.finish())
    }

    fn layer(&self) -> anyhow::Result<Vec<u8>> {
        // A parent sorts before what is in it, so that folders come first.
        let mut entries = self.entries.clone();
        for path in self.entries.keys() {
            for parent in Path::new(path).ancestors().skip(1).filter_map(Path::to_str) {
                if parent != "/" {
                    entries.entry(parent.to_owned()).or_insert(Member::Directory { mode: 0o755 });
                }
            }
        }
        let mut archive = Archive::default();
        for (path, member) in &entries {
            archive.append(path.trim_start_matches('/'), member)?;
        }
        Ok(archive.finish())
    }
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
