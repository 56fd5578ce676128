//! YAML as a tree in which every key and value knows its place in the text.
//!
//! serde-saphyr reads and bounds the YAML (depth, nodes, aliases; duplicate keys are errors); the tree is
//! what lets one pass report all mistakes of shape, and validation point at a field by its path.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Options, Spanned};

/// Deeper nesting than any document of Moat's needs; bounds the stack.
const MAX_DEPTH: usize = 32;
/// Keys and values of one file, aliases expanded: over 10,000 rules of thirty entries each.
const MAX_NODES: usize = 1_000_000;
/// Entries that aliases may add to one file.
const MAX_ALIASED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Node {
    /// Bytes of the text; of a list or mapping only its start.
    pub span: Range<usize>,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// No field of any document is a number; the text at the span says which.
    Number,
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(super) struct Key {
    pub span: Range<usize>,
    pub name: String,
}

/// All documents of a file; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Box<serde_saphyr::Error>> {
    serde_saphyr::from_multiple_with_options(text, options()).map_err(Box::new)
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED,
            max_replay_stack_depth: MAX_DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, value)| value)
    }

    pub fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|(key, _)| key.name == name),
            _ => None,
        }
    }
}

impl Value {
    /// What this is, in a message.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// The bytes at the location of an error. The scanner's errors have a line and a column only.
pub(super) fn byte_range(text: &str, location: &Location) -> Range<usize> {
    if location.span().byte_offset().is_some() {
        return node_range(location);
    }
    let position = |position: u64| usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
    let line = position(location.line());
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let before = rest.chars().take(position(location.column())).take_while(|c| *c != '\n');
    let at = start + before.map(char::len_utf8).sum::<usize>();
    at..at
}

fn node_range(location: &Location) -> Range<usize> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset().unwrap_or(0)).unwrap_or(0);
    let length = usize::try_from(span.byte_len().unwrap_or(0)).unwrap_or(0);
    start..start.saturating_add(length)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { span: node_range(&defined), value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<String>::deserialize(deserializer)?;
        Ok(Key { span: node_range(&defined), name: value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Value::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Mapping(entries))
    }
}
