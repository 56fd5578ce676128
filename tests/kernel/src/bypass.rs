//! The bypass corpus: what each of its cases says (`bypass/README.md`), read from the sources on the host and from
//! the initramfs in the guest.

mod proof;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use moat_policy::model::{self, Rule};
use serde::Deserialize;

pub use proof::{Before, Proof};

/// Where the initramfs has the cases.
pub const IN_GUEST: &str = "/bypass";

/// One trick, the rules that must stop it, and what shows its effect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trick {
    pub title: String,
    pub rules: Vec<Rule>,
    pub proof: Vec<Proof>,
    /// A script for the container's shell, before the rules come.
    pub setup: Option<String>,
    #[serde(default)]
    pub user: u32,
    /// Kernels from which on there is what it needs.
    #[serde(default)]
    pub needs: Vec<String>,
    #[serde(default)]
    pub cpus: u32,
    #[serde(default)]
    pub stress: bool,
    pub generate: Option<Generate>,
    #[serde(default)]
    pub host_pid: bool,
    /// Series of kernels on which Moat does not stop it, and why not; `all` for every one.
    #[serde(default)]
    pub gap: BTreeMap<String, String>,
}

/// As many more rules before the case's own.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    pub rules: usize,
}

impl Trick {
    fn read(path: &Path) -> Result<Trick> {
        let text = fs::read_to_string(path)?;
        serde_saphyr::from_str(&text).with_context(|| format!("{} is no case", path.display()))
    }

    /// The case's own rules, after those that it wants generated.
    pub fn rules(&self) -> Vec<Rule> {
        let wanted = self.generate.map_or(0, |generate| generate.rules);
        let more =
            self.rules.first().into_iter().flat_map(|rule| (0..wanted).map(|number| other(rule, number)));
        more.chain(self.rules.iter().cloned()).collect()
    }

    /// Why this kernel (`6.12.1-…`) lets it through.
    pub fn gap(&self, release: &str) -> Option<&str> {
        let series: Vec<&str> = release.splitn(3, '.').take(2).collect();
        self.gap.get(&series.join(".")).or_else(|| self.gap.get("all")).map(String::as_str)
    }
}

/// A rule like `rule`, about something that is not there.
fn other(rule: &Rule, number: usize) -> Rule {
    let path = format!("/generated/{number:05}");
    let process = rule
        .process
        .as_ref()
        .map(|_| model::ProcessMatcher { paths: vec![path.clone()], ..Default::default() });
    let file = rule.file.clone().map(|file| model::FileMatcher { paths: vec![path], ..file });
    Rule { name: format!("generated-{number:05}"), process, file, ..rule.clone() }
}

/// Every case, as `CLASS/NAME`.
pub fn names() -> Vec<String> {
    let root = root();
    let cases = classes(&root).into_iter().flatten().flat_map(|class| {
        let files = fs::read_dir(class).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect::<Vec<_>>()
    });
    let name = |path: PathBuf| path.strip_prefix(&root).ok()?.with_extension("").to_str().map(str::to_owned);
    let mut names: Vec<String> = cases.filter_map(name).collect();
    names.sort();
    names
}

/// The case of this name.
pub fn trick(name: &str) -> Result<Trick> {
    Trick::read(&root().join(name).with_extension("yaml"))
}

/// The folders of a corpus, one for each class.
pub fn classes(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// Puts all cases where the guest looks for them.
pub fn copy_to(folder: &Path) -> Result<()> {
    for name in names() {
        let target = folder.join(&name).with_extension("yaml");
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        fs::copy(root().join(&name).with_extension("yaml"), target)?;
    }
    Ok(())
}

fn root() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("bypass");
    if sources.is_dir() { sources } else { PathBuf::from(IN_GUEST) }
}
