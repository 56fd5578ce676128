//! From the text of a policy file to validated policies, or to everything that is wrong with it.

mod decode;
mod locate;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;

use decode::{Mistake, decode};
use tree::{Node, Value};

use crate::diagnostic::{Diagnostic, File, Printable};
use crate::model::{API_VERSION, CompliancePolicy, Rule, RuntimePolicy};
use crate::suggest::{list_of, nearest};
use crate::validate::{Problem, validate_compliance, validate_runtime};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

const KINDS: [&str; 2] = ["RuntimePolicy", "CompliancePolicy"];
/// Kinds of the API group that are not read from files yet.
const LATER_KINDS: [&str; 4] =
    ["ImageAssurancePolicy", "VulnerabilityPolicy", "ComplianceScanJob", "RuntimeAgent"];

/// One document of a policy file, valid.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Runtime(RuntimePolicy),
    Compliance(CompliancePolicy),
}

impl Document {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        match self {
            Document::Runtime(policy) => &policy.metadata.name,
            Document::Compliance(policy) => &policy.metadata.name,
        }
    }

    /// The document's `kind`.
    pub fn kind(&self) -> &str {
        match self {
            Document::Runtime(policy) => &policy.kind,
            Document::Compliance(policy) => &policy.kind,
        }
    }
}

/// Parses and validates the YAML documents of one file; `file` is its name in the diagnostics.
///
/// # Errors
/// All mistakes found, in the order of the text, never none: a file is taken whole or not at all. A file
/// without any document is refused, for an editor that truncates before it writes must not drop policies.
pub fn parse(file: &str, text: &[u8]) -> Result<Vec<Document>, Vec<Diagnostic>> {
    parse_text(text).map_err(|mut mistakes| {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        let file = File::new(file, &String::from_utf8_lossy(text));
        mistakes
            .into_iter()
            .map(|Mistake { span, message, label, help }| Diagnostic::new(&file, span, message, label, help))
            .collect()
    })
}

fn parse_text(bytes: &[u8]) -> Result<Vec<Document>, Vec<Mistake>> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_FILE_BYTES}", bytes.len());
        return Err(vec![mistake(0..0, message, Some("split it into several files"))]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let help = "save the file as UTF-8; the position shown is where it stops being so";
        vec![mistake(at..at, "the file is not UTF-8".to_owned(), Some(help))]
    })?;
    let nodes = tree::documents(text).map_err(|error| vec![yaml_mistake(text, &error)])?;
    if nodes.is_empty() {
        let help = "to take a file's policies out of force, remove the file";
        return Err(vec![mistake(0..0, "the file holds no policy".to_owned(), Some(help))]);
    }

    let mut documents: Vec<Document> = Vec::new();
    let mut mistakes = Vec::new();
    for node in &nodes {
        match document(text, node) {
            Ok(document) => {
                let twin =
                    |other: &&Document| other.kind() == document.kind() && other.name() == document.name();
                if let Some(twin) = documents.iter().find(twin) {
                    let message =
                        format!("the file has two documents of kind {} named `{}`", twin.kind(), twin.name());
                    mistakes.push(mistake(locate::name(node), message, Some("rename one of them")));
                }
                documents.push(document);
            }
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(documents) } else { Err(mistakes) }
}

fn document(text: &str, node: &Node) -> Result<Document, Vec<Mistake>> {
    if kind(node)? == "CompliancePolicy" {
        let policy: CompliancePolicy = decode(text, node)?;
        valid(text, node, &validate_compliance(&policy))?;
        return Ok(Document::Compliance(policy));
    }
    let policy: RuntimePolicy = decode(text, node).map_err(|mut mistakes| {
        // Each rule on its own too: a failed one hides those behind it.
        for rule in rules(node) {
            mistakes.extend(decode::<Rule>(text, rule).err().into_iter().flatten());
        }
        mistakes
    })?;
    valid(text, node, &validate_runtime(&policy))?;
    Ok(Document::Runtime(policy))
}

fn rules(node: &Node) -> &[Node] {
    match node.get("spec").and_then(|spec| spec.get("rules")).map(|rules| &rules.value) {
        Some(Value::Sequence(rules)) => rules,
        _ => &[],
    }
}

/// Turns what validation found into mistakes at the places of the fields.
fn valid(text: &str, node: &Node, problems: &[Problem]) -> Result<(), Vec<Mistake>> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems
        .iter()
        .map(|problem| Mistake {
            span: locate::problem(text, node, problem),
            message: problem.message.clone(),
            label: problem.label.clone(),
            help: problem.help.clone(),
        })
        .collect())
}

/// The document's kind, one of [`KINDS`]; checks `apiVersion` first.
fn kind(node: &Node) -> Result<&str, Vec<Mistake>> {
    let Value::Mapping(_) = node.value else {
        let message = format!("expected a policy, found {}", node.value.describe());
        let help = format!("a document starts with `apiVersion: {API_VERSION}` and `kind: RuntimePolicy`");
        return Err(vec![mistake(node.span.clone(), message, Some(&help))]);
    };
    let field = |name: &str, help: &str| match node.entry(name) {
        Some((_, Node { value: Value::String(value), span })) => Ok((value.as_str(), span.clone())),
        Some((key, _)) => {
            Err(vec![mistake(key.span.clone(), format!("`{name}` must be a string"), Some(help))])
        }
        None => Err(vec![mistake(node.span.clone(), format!("the field `{name}` is missing"), Some(help))]),
    };
    let (version, span) = field("apiVersion", &format!("write `apiVersion: {API_VERSION}`"))?;
    if version != API_VERSION {
        let message = format!("unknown apiVersion `{}`", Printable(version));
        return Err(vec![mistake(span, message, Some(&format!("write `apiVersion: {API_VERSION}`")))]);
    }
    let expected = format!("expected is one of {}", list_of(&KINDS));
    let (kind, span) = field("kind", &expected)?;
    if KINDS.contains(&kind) {
        return Ok(kind);
    }
    if LATER_KINDS.contains(&kind) {
        let message = format!("the kind `{kind}` is not supported by this version of Moat");
        return Err(vec![mistake(span, message, Some(&expected))]);
    }
    let help = match nearest(kind, &KINDS) {
        Some(near) => format!("did you mean `{near}`? {expected}"),
        None => expected,
    };
    Err(vec![mistake(span, format!("unknown kind `{}`", Printable(kind)), Some(&help))])
}

fn yaml_mistake(text: &str, error: &serde_saphyr::Error) -> Mistake {
    let error = error.without_snippet();
    let mut span = error.location().map_or(0..0, |location| tree::byte_range(text, &location));
    let error = match error {
        serde_saphyr::Error::AliasError { error, .. } => error,
        error => error,
    };
    let reason = plain(error);
    if reason.ends_with("found a tab") {
        // The scanner names the start of the value before it.
        let tab = text.get(span.start..).and_then(|rest| rest.find('\t')).unwrap_or_default();
        span = span.start + tab..span.start + tab + 1;
    }
    let (message, help) = match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key `{}` stands twice in one mapping", Printable(key)), "keep one of them")
        }
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. }
        | serde_saphyr::Error::AliasExpansionLimitExceeded { .. } => (
            format!("the document is larger or more nested than a policy may be: {reason}"),
            "split the file; write repeated parts out instead of using many aliases",
        ),
        serde_saphyr::Error::UnsupportedTag { .. } => {
            (format!("policies know no YAML tags: {reason}"), "remove the tag")
        }
        _ if reason.contains("recursion limit") => {
            ("the document is more nested than a policy may be".to_owned(), "a policy is ten levels deep")
        }
        _ => (
            format!("this is not valid YAML: {reason}"),
            "YAML indents with spaces, never tabs, and writes `key: value`",
        ),
    };
    mistake(span, message, Some(help))
}

/// The parser's message without its position, which the diagnostic has.
fn plain(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    Printable(text.lines().next().unwrap_or_default().trim_end_matches([':', ' '])).to_string()
}

fn mistake(span: Range<usize>, message: String, help: Option<&str>) -> Mistake {
    Mistake { span, message, label: "here".to_owned(), help: help.map(str::to_owned) }
}
