//! Changes of files and of their names, and how they are undone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use moat_event::FileOperation;
use moat_policy::activity::{Actor as Subject, FileAccess};
use moat_policy::model::RuleAction;
use moat_policy::rule_set::Matcher;
use moat_policy::{Activity, Evaluator};

use super::action::{Said, stronger};
use super::choice::Choice;
use super::world::{Actor, FILES, FREE};

/// A change of a file that is there, or a name for a new one.
#[derive(Debug, Clone)]
pub struct Change {
    verb: &'static str,
    path: &'static str,
    /// The other name of a rename or link.
    new: Option<&'static str>,
}

impl Change {
    pub fn choose(choice: &mut Choice) -> Change {
        let verb = choice.of(&[
            "create", "mkdir", "symlink", "mknod", "unlink", "rename", "link", "chmod", "chown", "truncate",
            "setxattr",
        ]);
        let path = if matches!(verb, "create" | "mkdir" | "symlink" | "mknod") {
            choice.of(&FREE)
        } else {
            choice.of(&FILES)
        };
        let new = matches!(verb, "rename" | "link").then(|| choice.of(&FREE));
        Change { verb, path, new }
    }

    /// Whether others than root are refused whatever the rules say.
    pub fn needs_root(&self) -> bool {
        matches!(self.verb, "chmod" | "chown" | "setxattr")
    }

    pub fn words(&self) -> Vec<String> {
        [self.verb, self.path].into_iter().chain(self.new).map(String::from).collect()
    }

    /// By the question that they are asked in; a name for a new file is asked for before that is opened.
    fn operations(&self) -> &'static [FileOperation] {
        use FileOperation::{Chmod, Chown, Create, Delete, Link, Rename, SetXattr, Truncate, Write};
        match self.verb {
            "create" => &[Create, Write],
            "mkdir" | "symlink" | "mknod" => &[Create],
            "unlink" => &[Delete],
            "rename" => &[Rename],
            "link" => &[Link],
            "chmod" => &[Chmod],
            "chown" => &[Chown],
            "truncate" => &[Truncate],
            _ => &[SetXattr],
        }
    }

    pub fn said(&self, rules: &Evaluator, actor: &Actor) -> Vec<Said> {
        let judge = |path: &str, operation| {
            let subject = Subject { executable: actor.executable.as_bytes(), uid: actor.uid };
            let decision = rules.decide(&Activity::File(FileAccess {
                path: path.as_bytes(),
                operation,
                actor: subject,
            }));
            Said {
                subject: format!("open {path}"),
                enforced: stronger(None, decision.enforced),
                audited: stronger(None, decision.audited),
            }
        };
        let operations = self.operations().iter().copied();
        operations
            .map(|operation| {
                let old = judge(self.path, operation);
                let Some(new) = self.new else { return old };
                let new = judge(new, operation);
                let both = Said {
                    enforced: old.enforced.into_iter().chain(new.enforced).min(),
                    audited: old.audited.into_iter().chain(new.audited).min(),
                    ..old.clone()
                };
                // It is told of the name that decided.
                let decisive = |said: &Said| said.enforced.or(said.audited);
                if decisive(&both) == decisive(&old) { both } else { Said { subject: new.subject, ..both } }
            })
            .collect()
    }

    /// Whether the file would escape a rule by its new name: that is refused by the rule, whatever it is about, which
    /// the evaluator, asked about one name, does not say.
    pub fn may_escape(&self, rules: &Evaluator) -> bool {
        let holds = |path: &str| {
            rules.rules().rules.iter().any(|rule| {
                let Matcher::File(matcher) = &rule.matcher else { return false };
                let globs =
                    || matcher.paths.iter().filter_map(|glob| moat_policy::glob::Glob::new(glob).ok());
                rule.enforced
                    && rule.action != RuleAction::Alert
                    && globs().any(|glob| glob.is_match(path.as_bytes()))
            })
        };
        self.new.is_some() && holds(self.path)
    }

    /// Makes everything as it was, from outside of the container.
    pub fn undo(&self, root: &Path) -> Result<()> {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        let path = at(self.path);
        match (self.verb, self.new) {
            ("create" | "symlink" | "mknod", _) => fs::remove_file(path),
            ("mkdir", _) => fs::remove_dir(path),
            ("unlink", _) => fs::write(&path, "content\n")
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o666))),
            ("rename", Some(new)) => fs::rename(at(new), path),
            ("link", Some(new)) => fs::remove_file(at(new)),
            _ => Ok(()),
        }
        .with_context(|| format!("cannot undo {}", self.words().join(" ")))
    }

    /// Undoes what was half done: a file that was made and then not opened.
    pub fn clear(&self, root: &Path) -> Result<()> {
        if self.verb != "create" {
            return Ok(());
        }
        match fs::remove_file(root.join(self.path.trim_start_matches('/'))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("cannot clear"),
            _ => Ok(()),
        }
    }
}
