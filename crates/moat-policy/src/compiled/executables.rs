//! Sets of executables.

use super::MatcherError;
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
        let name = base_name(path);
        let names =
            self.names.iter().filter(|entry| entry.as_bytes() == name).map(|entry| Entry::Name(entry));
        let paths =
            self.paths.iter().filter(|entry| entry.as_bytes() == path).map(|entry| Entry::Path(entry));
        let globs = self.globs.iter().filter(|glob| glob.is_match(path)).map(|glob| Entry::Glob(glob.text()));
        names.chain(paths).chain(globs).next()
    }

    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }
}

/// What follows the last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
