//! Executions: process and drift matchers.

use moat_event::Origin;

use super::{Executables, MatcherError, Outcome, Program, Subjects, base_name};
use crate::activity::{Exec, FileSource};
use crate::argv;
use crate::model::{self, OriginMatcher};
use crate::pattern::Pattern;
use crate::users::Users;

#[derive(Debug, Clone)]
pub(crate) struct ProcessMatcher {
    pub(crate) executables: Executables,
    pub(crate) name_regex: Option<Pattern>,
    pub(crate) allow_only: Option<Executables>,
    pub(crate) except: Executables,
    pub(crate) arguments: Option<Pattern>,
    pub(crate) parents: Executables,
    pub(crate) users: Subjects,
    pub(crate) origin: OriginMatcher,
}

impl ProcessMatcher {
    pub(super) fn new(model: &model::ProcessMatcher, users: &Users) -> Result<Self, MatcherError> {
        Ok(ProcessMatcher {
            executables: Executables::new(&model.names, &model.paths, &model.path_globs)?,
            name_regex: model.name_regex.as_deref().map(Pattern::new).transpose()?,
            allow_only: model.allow_only.as_ref().map(Executables::from_list).transpose()?,
            except: model.except.as_ref().map(Executables::from_list).transpose()?.unwrap_or_default(),
            arguments: model.args_regex.as_deref().map(Pattern::new).transpose()?,
            parents: Executables::from_entries(&model.parents),
            users: Subjects::new(&model.users, users),
            origin: model.origin,
        })
    }

    pub(super) fn matches(&self, exec: &Exec<'_>) -> Outcome {
        let narrowed = (self.parents.is_empty()
            || exec.ancestors.iter().any(|path| self.parents.contains(path)))
            && (self.users.is_empty() || self.users.find(exec.uid).is_some())
            && origin_matches(self.origin, exec.origin);
        if !narrowed {
            return Outcome::No;
        }
        let selected = self.selects(&Program::of(exec));
        let arguments = match (&self.arguments, exec.arguments) {
            _ if selected == Outcome::No => return Outcome::No,
            (None, _) => Outcome::Yes,
            (Some(_), None) => Outcome::NeedsArguments,
            (Some(pattern), Some(argv)) => pattern.is_match(&argv::joined(argv)).into(),
        };
        selected.min(arguments)
    }

    /// Whether the rule can match an execution of the program at all.
    pub(crate) fn selects(&self, program: &Program<'_>) -> Outcome {
        let selected = match &self.allow_only {
            Some(allowed) => !allowed.pass(program),
            None if self.selects_every_executable() => Outcome::Yes,
            None => self.executables.mean(program).max(self.regex_means(program)),
        };
        selected.min(!self.except.pass(program))
    }

    fn regex_means(&self, program: &Program<'_>) -> Outcome {
        let Some(pattern) = &self.name_regex else { return Outcome::No };
        let by_file = Outcome::from(pattern.is_match(base_name(program.path)));
        by_file.max(program.applet.is(true, |name| pattern.is_match(name)))
    }

    /// Whether no list says which executables, so that all are meant.
    pub(crate) fn selects_every_executable(&self) -> bool {
        self.executables.is_empty() && self.name_regex.is_none()
    }
}

fn origin_matches(wanted: OriginMatcher, origin: Origin) -> bool {
    match wanted {
        OriginMatcher::Any => true,
        OriginMatcher::Entrypoint => origin == Origin::Entrypoint,
        OriginMatcher::ExecSession => origin == Origin::ExecSession,
    }
}

#[derive(Debug, Clone)]
pub(crate) struct DriftMatcher {
    execute: bool,
    fileless: bool,
    except: Executables,
}

impl DriftMatcher {
    pub(super) fn new(model: &model::DriftMatcher) -> Result<Self, MatcherError> {
        let except = model.except.as_ref().map(Executables::from_list).transpose()?.unwrap_or_default();
        Ok(DriftMatcher { execute: model.execute, fileless: model.fileless, except })
    }

    pub(super) fn matches(&self, exec: &Exec<'_>) -> Outcome {
        let drifted = match exec.source {
            FileSource::Image => false,
            FileSource::Added => self.execute,
            FileSource::Fileless => self.fileless,
        };
        Outcome::from(drifted).min(!self.except.pass(&Program::of(exec)))
    }

    /// Whether the rule can match an execution of the program at all.
    pub(crate) fn concerns(&self, program: &Program<'_>) -> Outcome {
        Outcome::from(self.execute || self.fileless).min(!self.except.pass(program))
    }
}
