//! Accesses to files.

use moat_event::FileOperation;

use super::{Executables, MatcherError, Subjects};
use crate::activity::FileAccess;
use crate::glob::Glob;
use crate::model;
use crate::users::Users;

#[derive(Debug, Clone)]
pub(crate) struct FileMatcher {
    pub(crate) paths: Vec<Glob>,
    pub(crate) operations: Vec<FileOperation>,
    pub(crate) processes: Executables,
    pub(crate) users: Subjects,
    except_paths: Vec<Glob>,
    except_processes: Executables,
    except_users: Subjects,
}

impl FileMatcher {
    pub(super) fn new(model: &model::FileMatcher, users: &Users) -> Result<Self, MatcherError> {
        let except = model.except.clone().unwrap_or_default();
        Ok(FileMatcher {
            paths: globs(&model.paths)?,
            operations: model.operations.clone(),
            processes: Executables::from_entries(&model.processes),
            users: Subjects::new(&model.users, users),
            except_paths: globs(&except.paths)?,
            except_processes: Executables::from_entries(&except.processes),
            except_users: Subjects::new(&except.users, users),
        })
    }

    pub(super) fn matches(&self, access: &FileAccess<'_>) -> bool {
        let actor = &access.actor;
        self.operations.contains(&access.operation)
            && (self.processes.is_empty() || self.processes.contains(actor.executable))
            && (self.users.is_empty() || self.users.find(actor.uid).is_some())
            && !self.except_processes.contains(actor.executable)
            && self.except_users.find(actor.uid).is_none()
            && self.concerns(access.path)
    }

    /// Whether the rule can match an access to `path` at all.
    pub(crate) fn concerns(&self, path: &[u8]) -> bool {
        self.find(path).is_some() && !self.except_paths.iter().any(|glob| glob.is_match(path))
    }

    /// The first glob that matches `path`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<&Glob> {
        self.paths.iter().find(|glob| glob.is_match(path))
    }

    pub(super) fn unresolved_users(&self) -> impl Iterator<Item = &str> {
        self.users.unresolved().chain(self.except_users.unresolved())
    }
}

fn globs(texts: &[String]) -> Result<Vec<Glob>, MatcherError> {
    texts.iter().map(|text| Glob::new(text).map_err(MatcherError::from)).collect()
}
