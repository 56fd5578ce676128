//! The policy files of a folder, each with its last good content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moat_policy::model::CompliancePolicy;
use moat_policy::{Document, MAX_FILE_BYTES, RuntimePolicy};

use super::Refused;

/// The folder as it was last seen.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
    /// Why the folder itself could not be read the last time.
    unreadable: Option<String>,
}

#[derive(Debug, Default)]
struct File {
    /// What was read last, so that an unchanged file is not parsed again.
    bytes: Vec<u8>,
    good: Vec<Parsed>,
    diagnostic: Option<String>,
}

#[derive(Debug, Clone)]
enum Parsed {
    Runtime(Arc<RuntimePolicy>),
    Compliance(Arc<CompliancePolicy>),
}

/// What the folder means: policies by name with their files, and what is refused.
#[derive(Debug, Default)]
pub struct Contents {
    pub runtime: BTreeMap<String, (Arc<RuntimePolicy>, PathBuf)>,
    pub compliance: BTreeMap<String, (Arc<CompliancePolicy>, PathBuf)>,
    pub refused: Vec<Refused>,
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, files: BTreeMap::new(), unreadable: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what changed since the last time. A folder that cannot be read keeps all policies in force.
    pub fn scan(&mut self) {
        match policy_files(&self.path) {
            Ok(present) => {
                self.unreadable = None;
                self.files.retain(|file, _| present.contains(file));
                for file in present {
                    let read = read(&file);
                    self.files.entry(file.clone()).or_default().update(&file, read);
                }
            }
            Err(error) => {
                let folder = self.path.display();
                self.unreadable = Some(format!("{folder}: cannot list the policy folder: {error}"));
            }
        }
    }

    /// Adds what the folder means. Of two policies of one kind and name, the one that was added first is in
    /// force, and of one folder the one whose file comes first by name.
    pub fn add_to(&self, contents: &mut Contents) {
        if let Some(diagnostic) = &self.unreadable {
            let file = self.path.clone();
            contents.refused.push(Refused { file, policy: None, diagnostic: diagnostic.clone() });
        }
        for (path, file) in &self.files {
            if let Some(diagnostic) = &file.diagnostic {
                let diagnostic = diagnostic.clone();
                contents.refused.push(Refused { file: path.clone(), policy: None, diagnostic });
            }
            for parsed in &file.good {
                let taken = match parsed {
                    Parsed::Runtime(policy) => {
                        enter(&mut contents.runtime, &policy.metadata.name, policy, path)
                    }
                    Parsed::Compliance(policy) => {
                        enter(&mut contents.compliance, &policy.metadata.name, policy, path)
                    }
                };
                if let Err((name, first)) = taken {
                    let diagnostic = format!(
                        "{}: a policy named `{name}` stands in {} already; rename one of them",
                        path.display(),
                        first.display()
                    );
                    let file = path.clone();
                    contents.refused.push(Refused { file, policy: Some(name), diagnostic });
                }
            }
        }
    }
}

impl File {
    fn update(&mut self, path: &Path, read: io::Result<Vec<u8>>) {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                self.bytes.clear();
                self.diagnostic = Some(format!("{}: cannot read the file: {error}", path.display()));
                return;
            }
        };
        if bytes == self.bytes && !bytes.is_empty() {
            return;
        }
        match moat_policy::parse(&path.display().to_string(), &bytes) {
            Ok(documents) => {
                self.diagnostic = None;
                self.good = documents
                    .into_iter()
                    .map(|document| match document {
                        Document::Runtime(policy) => Parsed::Runtime(Arc::new(policy)),
                        Document::Compliance(policy) => Parsed::Compliance(Arc::new(policy)),
                    })
                    .collect();
            }
            Err(diagnostics) => {
                let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
                self.diagnostic = Some(lines.join("\n"));
            }
        }
        self.bytes = bytes;
    }
}

/// Enters the policy, or says under what name and in which file there is one already.
fn enter<P>(
    policies: &mut BTreeMap<String, (Arc<P>, PathBuf)>,
    name: &str,
    policy: &Arc<P>,
    file: &Path,
) -> Result<(), (String, PathBuf)> {
    if let Some((_, first)) = policies.get(name) {
        return Err((name.to_owned(), first.clone()));
    }
    policies.insert(name.to_owned(), (Arc::clone(policy), file.to_owned()));
    Ok(())
}

/// `*.yaml` and `*.yml`; not those that begin with a dot, for editors keep half-written copies there.
fn policy_files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && !path.is_dir() {
            files.insert(path);
        }
    }
    Ok(files)
}

/// At most one byte more than the parser takes, so that it can say that the file is too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
