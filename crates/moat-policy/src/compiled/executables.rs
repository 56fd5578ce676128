//! Sets of executables.

use super::{Applet, MatcherError, Outcome, Program};
use crate::glob::Glob;
use crate::model::ExecutableList;

/// Executables by base name, by path, by glob; any of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Executables {
    pub(crate) names: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) globs: Vec<Glob>,
}

/// The entry of a set that an executable is there by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Name(&'a str),
    Path(&'a str),
    Glob(&'a str),
}

impl Executables {
    pub(crate) fn new(names: &[String], paths: &[String], globs: &[String]) -> Result<Self, MatcherError> {
        let globs = globs.iter().map(|glob| Glob::new(glob)).collect::<Result<_, _>>()?;
        Ok(Executables { names: names.to_vec(), paths: paths.to_vec(), globs })
    }

    pub(crate) fn from_list(list: &ExecutableList) -> Result<Self, MatcherError> {
        Executables::new(&list.names, &list.paths, &list.path_globs)
    }

    /// From entries that are a base name or, with a slash, a path.
    pub(crate) fn from_entries(entries: &[String]) -> Self {
        let (paths, names) = entries.iter().cloned().partition(|entry| entry.contains('/'));
        Executables { names, paths, globs: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.paths.is_empty() && self.globs.is_empty()
    }

    pub(crate) fn find(&self, path: &[u8]) -> Option<Entry<'_>> {
        self.find_name(base_name(path)).or_else(|| self.find_path(path))
    }

    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    pub(crate) fn has_name(&self, name: &[u8]) -> bool {
        self.find_name(name).is_some()
    }

    /// Whether a rule that lists these as what it is about means the program: by its file or by its applet.
    pub(crate) fn mean(&self, program: &Program<'_>) -> Outcome {
        let applet = || program.applet.is(!self.names.is_empty(), |name| self.has_name(name));
        if self.contains(program.path) { Outcome::Yes } else { applet() }
    }

    /// Whether a rule that lists these as harmless lets the program pass. A multi-call program has its applets' power:
    /// its own name lets none of them pass, only a path of the file does.
    pub(crate) fn pass(&self, program: &Program<'_>) -> Outcome {
        if self.find_path(program.path).is_some() {
            return Outcome::Yes;
        }
        match program.applet {
            Applet::None => self.has_name(base_name(program.path)).into(),
            applet => applet.is(!self.names.is_empty(), |name| self.has_name(name)),
        }
    }

    fn find_name(&self, name: &[u8]) -> Option<Entry<'_>> {
        self.names.iter().find(|entry| entry.as_bytes() == name).map(|entry| Entry::Name(entry))
    }

    fn find_path(&self, path: &[u8]) -> Option<Entry<'_>> {
        let listed = self.paths.iter().find(|entry| entry.as_bytes() == path).map(|entry| Entry::Path(entry));
        let glob = || self.globs.iter().find(|glob| glob.is_match(path)).map(|glob| Entry::Glob(glob.text()));
        listed.or_else(glob)
    }
}

/// What follows the last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
