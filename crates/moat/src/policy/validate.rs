//! `moat policy validate`: the parser's judgement, without an agent.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;

use anstream::ColorChoice;
use moat_policy::model::Mode;
use moat_policy::{Diagnostic, parse};
use serde::Serialize;

use super::files::{self, PolicyFile};
use crate::Outcome;
use crate::output::{self, style};

/// The judgement on one file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    valid: bool,
    policies: Vec<Policy>,
    mistakes: Vec<Mistake>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mistake {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

pub fn run(paths: &[PathBuf], json: bool) -> anyhow::Result<Outcome> {
    let mut text = String::new();
    let mut reports = Vec::new();
    // Where each name was first used: the agent refuses a second policy of the same name.
    let mut names = HashMap::new();
    for PolicyFile { name: file, text: content } in files::read(paths)? {
        let mut report = match parse(&file, &content) {
            Ok(documents) => Report {
                file: file.clone(),
                valid: true,
                policies: documents.iter().map(Policy::new).collect(),
                mistakes: Vec::new(),
            },
            Err(diagnostics) => {
                text += &moat_policy::render(&diagnostics, colour());
                let mistakes = diagnostics.iter().map(Mistake::new).collect();
                Report { file: file.clone(), valid: false, policies: Vec::new(), mistakes }
            }
        };
        for policy in &report.policies {
            if let Some(first) = names.insert((policy.kind.clone(), policy.name.clone()), file.clone()) {
                let message = format!("{} `{}` is already defined in {first}", policy.kind, policy.name);
                report.mistakes.push(Mistake {
                    line: None,
                    column: None,
                    message,
                    help: Some(String::from("rename one of the two")),
                });
            }
        }
        report.valid = report.mistakes.is_empty();
        reports.push(report);
    }
    if json {
        output::json(&reports)?;
    } else {
        for report in &reports {
            report.summarise(&mut text);
        }
        output::text(&text)?;
    }
    Ok(if reports.iter().all(|report| report.valid) { Outcome::Ok } else { Outcome::Finding })
}

/// Whether standard output shows colours, as the `--color` flag and the environment have it.
fn colour() -> bool {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => std::io::stdout().is_terminal(),
    }
}

impl Report {
    fn summarise(&self, text: &mut String) {
        let file = moat_event::printable(&self.file);
        // Writing to a string cannot fail.
        if !self.valid {
            let count = self.mistakes.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            let _ = writeln!(text, "{} {file}: {count} {noun}", style::paint(style::BAD, "✗"));
            for mistake in self.mistakes.iter().filter(|mistake| mistake.line.is_none()) {
                let help = mistake.help.as_deref().unwrap_or_default();
                let _ = writeln!(text, "  {}: {help}", moat_event::printable(&mistake.message));
            }
            return;
        }
        let words: Vec<_> = self.policies.iter().map(Policy::summary).collect();
        let _ = writeln!(text, "{} {file}: {}", style::paint(style::GOOD, "✓"), words.join("; "));
    }
}

impl Policy {
    fn new(document: &moat_policy::Document) -> Policy {
        let (mode, rules) = match document {
            moat_policy::Document::Runtime(policy) => (Some(policy.spec.mode), Some(policy.spec.rules.len())),
            moat_policy::Document::Compliance(_) => (None, None),
        };
        Policy { kind: document.kind().to_owned(), name: document.name().to_owned(), mode, rules }
    }

    fn summary(&self) -> String {
        let mut words =
            format!("{} {}", self.kind, style::paint(style::NAME, moat_event::printable(&self.name)));
        if let (Some(mode), Some(rules)) = (self.mode, self.rules) {
            let noun = if rules == 1 { "rule" } else { "rules" };
            let _ = write!(words, ", {rules} {noun}, {mode:?}");
        }
        words
    }
}

impl Mistake {
    fn new(diagnostic: &Diagnostic) -> Mistake {
        Mistake {
            line: Some(diagnostic.line()),
            column: Some(diagnostic.column()),
            message: diagnostic.message().to_owned(),
            help: diagnostic.help().map(str::to_owned),
        }
    }
}
