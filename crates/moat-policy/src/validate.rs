//! What a well-formed document must also satisfy: checked for files by [`parse`](crate::parse), and for
//! policies that arrive as structures by whoever receives them.

mod rule;
mod selector;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use text::Fault;

use crate::diagnostic::Printable;
use crate::enforce_after::EnforceAfter;
use crate::model::{
    API_VERSION, CompliancePolicy, LabelSelector, Metadata, Mode, NamespaceSelector, RuntimePolicy,
    WorkloadSelector,
};
use crate::schedule;

/// Why a policy is not valid, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From the document down.
    pub path: Vec<Step>,
    /// The bytes of the field's string that are wrong, where it is not the whole.
    pub range: Option<Range<usize>>,
    pub message: String,
    /// A few words for the place itself.
    pub label: String,
    pub help: Option<String>,
}

/// One step of the path to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field by its name in the document.
    Field(&'static str),
    /// An element of a list, from 0.
    Index(usize),
    /// An entry of a mapping that people choose the keys of.
    Key(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{:?}]", Printable(key).to_string())?,
            }
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a runtime policy; nothing where it is valid.
pub fn validate_runtime(policy: &RuntimePolicy) -> Vec<Problem> {
    let mut report = Report::default();
    let spec = &policy.spec;
    report.header(&policy.api_version, &policy.kind, "RuntimePolicy", &policy.metadata);
    report.field("spec", |report| {
        let selectors = (&spec.namespace_selector, &spec.label_selector, &spec.workload_selector);
        report.selectors(selectors);
        if let Some(after) = &spec.enforce_after {
            report.field("enforceAfter", |report| {
                if spec.mode == Mode::Audit {
                    report.problem(
                        "`enforceAfter` needs `mode: Enforce`",
                        "never reached in audit mode",
                        "until then the policy is audited, afterwards enforced",
                    );
                }
                let parsed = after.parse::<EnforceAfter>();
                report.check(parsed.map(drop).map_err(|error| Fault::new(error.to_string())));
            });
        }
        report.field("rules", |report| {
            if spec.rules.is_empty() {
                report.problem("the policy has no rules", "empty", "give it one rule at least");
            }
            let mut first = HashMap::new();
            report.each(&spec.rules, |report, index, rule| {
                report.rule(rule);
                if let Some(other) = first.insert(rule.name.as_str(), index) {
                    report.field("name", |report| {
                        let message = format!("two rules are named `{}`", Printable(&rule.name));
                        let label = format!("also the name of rule {}", other + 1);
                        report.problem(&message, &label, "events name the rule: give each its own name");
                    });
                }
            });
        });
    });
    report.problems
}

/// Everything that is wrong with a compliance policy; nothing where it is valid.
pub fn validate_compliance(policy: &CompliancePolicy) -> Vec<Problem> {
    let mut report = Report::default();
    let spec = &policy.spec;
    report.header(&policy.api_version, &policy.kind, "CompliancePolicy", &policy.metadata);
    report.field("spec", |report| {
        let selectors = (&spec.namespace_selector, &spec.label_selector, &spec.workload_selector);
        report.selectors(selectors);
        report.field("schedule", |report| {
            report.check(schedule::check(&spec.schedule).map_err(Fault::new));
        });
        report.field("complianceConfig", |report| {
            for name in spec.compliance_config.keys() {
                report.step(Step::Key(name.clone()), |report| report.check(text::name(name)));
            }
        });
    });
    report.problems
}

/// The walk through a policy: where it stands, and what it found.
#[derive(Default)]
struct Report {
    path: Vec<Step>,
    problems: Vec<Problem>,
}

type Selectors<'a> = (&'a Option<NamespaceSelector>, &'a Option<LabelSelector>, &'a Option<WorkloadSelector>);

impl Report {
    fn step(&mut self, step: Step, check: impl FnOnce(&mut Report)) {
        self.path.push(step);
        check(self);
        self.path.pop();
    }

    fn field(&mut self, name: &'static str, check: impl FnOnce(&mut Report)) {
        self.step(Step::Field(name), check);
    }

    fn each<'l, T>(&mut self, list: &'l [T], mut check: impl FnMut(&mut Report, usize, &'l T)) {
        for (index, element) in list.iter().enumerate() {
            self.step(Step::Index(index), |report| check(report, index, element));
        }
    }

    /// Checks every string of the list in the field `name`.
    fn list(&mut self, name: &'static str, list: &[String], check: impl Fn(&str) -> Result<(), Fault>) {
        self.field(name, |report| report.each(list, |report, _, text| report.check(check(text))));
    }

    fn check(&mut self, result: Result<(), Fault>) {
        if let Err(Fault { message, help, range }) = result {
            let label = if range.is_some() { "this part" } else { "here" };
            self.problems.push(Problem {
                path: self.path.clone(),
                range,
                message,
                label: label.to_owned(),
                help,
            });
        }
    }

    fn problem(&mut self, message: &str, label: &str, help: &str) {
        self.problems.push(Problem {
            path: self.path.clone(),
            range: None,
            message: message.to_owned(),
            label: label.to_owned(),
            help: Some(help.to_owned()),
        });
    }

    fn header(&mut self, api_version: &str, kind: &str, expected_kind: &str, metadata: &Metadata) {
        for (field, value, expected) in
            [("apiVersion", api_version, API_VERSION), ("kind", kind, expected_kind)]
        {
            if value != expected {
                let message = format!("unknown {field} `{}`", Printable(value));
                self.field(field, |report| {
                    report.check(Err(Fault::new(message).help(format!("write `{field}: {expected}`"))));
                });
            }
        }
        self.field("metadata", |report| {
            report.field("name", |report| report.check(text::name(&metadata.name)));
            report.field("labels", |report| {
                for (key, value) in &metadata.labels {
                    report.step(Step::Key(key.clone()), |report| {
                        report.check(text::label_key(key).and_then(|()| text::label_value(value)));
                    });
                }
            });
            report.field("annotations", |report| {
                for key in metadata.annotations.keys() {
                    report.step(Step::Key(key.clone()), |report| report.check(text::label_key(key)));
                }
            });
        });
    }

    fn selectors(&mut self, (namespace, labels, workload): Selectors<'_>) {
        if let Some(selector) = namespace {
            self.field("namespaceSelector", |report| report.namespace_selector(selector));
        }
        if let Some(selector) = labels {
            self.field("labelSelector", |report| {
                report.label_conditions(&selector.match_labels, &selector.match_expressions);
            });
        }
        if let Some(selector) = workload {
            self.field("workloadSelector", |report| report.workload_selector(selector));
        }
    }
}
