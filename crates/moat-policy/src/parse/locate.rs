//! The place in the text that a path through the model stands for.

use std::ops::Range;

use super::tree::{Node, Value};
use crate::validate::{Problem, Step};

/// The bytes of what a problem is about: the text within a value where it says so, the value, or the
/// nearest field above it that the document has.
pub(super) fn problem(text: &str, document: &Node, problem: &Problem) -> Range<usize> {
    let mut node = document;
    let mut span = document.span.clone();
    for step in &problem.path {
        let next = match (step, &node.value) {
            (Step::Index(index), Value::Sequence(nodes)) => {
                let Some(element) = nodes.get(*index) else { return span };
                (node, span) = (element, element.span.clone());
                continue;
            }
            (Step::Index(_), _) => None,
            (Step::Field(name), _) => node.entry(name),
            (Step::Key(name), _) => node.entry(name),
        };
        let Some((key, value)) = next else { return span };
        span = match value.value {
            // A label is wrong in its key or in its value: both are shown.
            _ if matches!(step, Step::Key(_)) => key.span.start..value.span.end.max(key.span.end),
            Value::Sequence(_) | Value::Mapping(_) | Value::Null => key.span.clone(),
            _ => value.span.clone(),
        };
        node = value;
    }
    within(text, node, problem).unwrap_or(span)
}

/// The bytes of a part of a string, where the string stands in the text as it is (without escapes).
fn within(text: &str, node: &Node, problem: &Problem) -> Option<Range<usize>> {
    let range = problem.range.as_ref()?;
    let Value::String(value) = &node.value else { return None };
    let written = text.get(node.span.clone())?;
    let start = node.span.start + written.find(value.as_str())?;
    Some(start + range.start..start + range.end)
}

/// The bytes of the document's `metadata.name`.
pub(super) fn name(document: &Node) -> Range<usize> {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
    name.map_or(document.span.clone(), |name| name.span.clone())
}
