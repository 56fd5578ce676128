//! Fast decisions for the agent, which answers the kernel while a process waits.
//!
//! Says what [`Evaluator`](crate::Evaluator) says, but asks only the rules that can match: those found by the
//! executable's name, by the path, by a directory above it, or by one search for all expressions at once.

mod candidates;
mod paths;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use moat_event::Direction;

use crate::activity::{Activity, FileSource};
use crate::compiled::{CompileError, Matcher, Outcome, Program};
use crate::decide::compile;
use crate::decision::{Decision, Verdict};
use crate::rule_set::RuleSet;
use crate::users::Users;
use candidates::Candidates;
use paths::{PathIndex, PathIndexBuilder};

/// A rule set that is asked often.
#[derive(Debug)]
pub struct RuleIndex {
    rules: Arc<RuleSet>,
    matchers: Vec<Matcher>,
    enforced: KindIndex,
    audited: KindIndex,
}

/// The enforced rules or the audited ones, by what they look at. Every list of rules is ascending.
#[derive(Debug, Default)]
struct KindIndex {
    processes: PathIndex,
    drift: Vec<u32>,
    files: PathIndex,
    egress: Vec<u32>,
    ingress: Vec<u32>,
    listen: Vec<u32>,
    syscalls: HashMap<String, Vec<u32>>,
    capabilities: HashMap<String, Vec<u32>>,
}

impl RuleIndex {
    /// For a container with these users.
    pub fn new(rules: Arc<RuleSet>, users: &Users) -> Result<RuleIndex, CompileError> {
        let matchers = compile(&rules, users)?;
        let enforced = KindIndex::new(&rules, &matchers, true);
        let audited = KindIndex::new(&rules, &matchers, false);
        Ok(RuleIndex { rules, matchers, enforced, audited })
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// What [`Evaluator::decide`](crate::Evaluator::decide) says.
    pub fn decide(&self, activity: &Activity<'_>) -> Decision<'_> {
        Decision {
            generation: self.rules.generation,
            enforced: self.first_match(&self.enforced, activity),
            audited: self.first_match(&self.audited, activity),
        }
    }

    /// Whether some rule could match some process's access to this path. Where none can, the answer "allowed"
    /// holds for as long as the path and the rules do.
    pub fn concerns_file(&self, path: &[u8]) -> bool {
        self.any(
            |index| index.files.candidates(path),
            |matcher| match matcher {
                Matcher::File(file) => file.concerns(path),
                _ => false,
            },
        )
    }

    /// Whether some rule could match some execution of this path, wherever its file comes from. See
    /// [`concerns_file`](Self::concerns_file).
    pub fn concerns_exec(&self, path: &[u8]) -> bool {
        self.concerns_exec_from(path, FileSource::Image) || self.concerns_drift(path)
    }

    /// Whether some rule could match some execution of this path by a file of this source: rules on drift do not
    /// concern the image's own files.
    pub fn concerns_exec_from(&self, path: &[u8], source: FileSource) -> bool {
        let program = Program::with_any_arguments(path);
        let processes = self.any(
            |index| index.processes.program_candidates(&program),
            |matcher| match matcher {
                Matcher::Process(process) => process.selects(&program) != Outcome::No,
                _ => false,
            },
        );
        processes || (source != FileSource::Image && self.concerns_drift(path))
    }

    fn concerns_drift(&self, path: &[u8]) -> bool {
        let program = Program::with_any_arguments(path);
        self.any(
            |index| Candidates::of(&index.drift),
            |matcher| match matcher {
                Matcher::Drift(drift) => drift.concerns(&program) != Outcome::No,
                _ => false,
            },
        )
    }

    /// User names in rules that the container's passwd(5) lacks. They match nobody: where this is not empty,
    /// the rules do not hold as written.
    pub fn unresolved_users(&self) -> BTreeSet<&str> {
        self.matchers.iter().flat_map(Matcher::unresolved_users).collect()
    }

    /// One sentence: why the rule at `index` matches `activity`; empty where it does not.
    pub fn reason(&self, index: usize, activity: &Activity<'_>) -> String {
        self.matchers.get(index).map(|matcher| matcher.reason(activity)).unwrap_or_default()
    }

    fn any<'a>(
        &'a self,
        candidates: impl Fn(&'a KindIndex) -> Candidates<'a>,
        concerns: impl Fn(&Matcher) -> bool,
    ) -> bool {
        [&self.enforced, &self.audited]
            .into_iter()
            .flat_map(candidates)
            .any(|rule| self.matchers.get(rule as usize).is_some_and(&concerns))
    }

    fn first_match(&self, index: &KindIndex, activity: &Activity<'_>) -> Verdict<'_> {
        index
            .candidates(activity)
            .find_map(|rule| {
                let rule = rule as usize;
                match self.matchers.get(rule)?.matches(activity) {
                    Outcome::No => None,
                    Outcome::Yes => Some(self.rules.verdict(rule)),
                    Outcome::NeedsArguments => Some(Verdict::NeedsArguments),
                }
            })
            .unwrap_or(Verdict::NoMatch)
    }
}

impl KindIndex {
    fn new(rules: &RuleSet, matchers: &[Matcher], enforced: bool) -> KindIndex {
        let mut index = KindIndex::default();
        let (mut processes, mut files) = (PathIndexBuilder::default(), PathIndexBuilder::default());
        for (number, (rule, matcher)) in (0u32..).zip(rules.rules.iter().zip(matchers)) {
            if rule.enforced != enforced {
                continue;
            }
            match matcher {
                Matcher::Process(process) => processes.add_process(number, process),
                Matcher::Drift(_) => index.drift.push(number),
                Matcher::File(file) => files.add_globs(number, &file.paths),
                Matcher::Network(network) => match network.direction {
                    Direction::Egress => index.egress.push(number),
                    Direction::Ingress => index.ingress.push(number),
                    Direction::Listen => index.listen.push(number),
                },
                Matcher::Syscalls(names) => add_names(&mut index.syscalls, names, number),
                Matcher::Capabilities(names) => add_names(&mut index.capabilities, names, number),
            }
        }
        index.processes = processes.build();
        index.files = files.build();
        index
    }

    /// A superset of the rules that match, ascending.
    fn candidates<'a>(&'a self, activity: &Activity<'_>) -> Candidates<'a> {
        match activity {
            Activity::Exec(exec) => {
                let mut candidates = self.processes.program_candidates(&Program::of(exec));
                if exec.source != FileSource::Image {
                    candidates.add(Some(&self.drift));
                }
                candidates
            }
            Activity::File(access) => self.files.candidates(access.path),
            Activity::Connect(connect) => Candidates::of(match connect.direction {
                Direction::Egress => &self.egress,
                Direction::Ingress => &self.ingress,
                Direction::Listen => &self.listen,
            }),
            Activity::Syscall(name) => by_name(&self.syscalls, name),
            Activity::Capability(name) => by_name(&self.capabilities, name),
        }
    }
}

fn add_names(rules: &mut HashMap<String, Vec<u32>>, names: &[String], rule: u32) {
    for name in names {
        rules.entry(name.clone()).or_default().push(rule);
    }
}

fn by_name<'a>(rules: &'a HashMap<String, Vec<u32>>, name: &str) -> Candidates<'a> {
    Candidates::of(rules.get(name).map_or(&[], Vec::as_slice))
}

#[cfg(test)]
mod tests;
