//! From the located tree to the model's types, through their own `Deserialize`.
//!
//! Mistakes are recorded where they stand and decoding goes on, with a stand-in for the value, so that
//! one run reports them all; what was decoded counts only when nothing was recorded.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::tree::{Key, Node, Value};
use crate::diagnostic::Printable;
use crate::suggest::{list_of, nearest};

/// One thing that is wrong with a document, at bytes of its text.
#[derive(Debug)]
pub(super) struct Mistake {
    pub span: Range<usize>,
    pub message: String,
    pub label: String,
    pub help: Option<String>,
}

/// Decodes a document; the mistakes are never empty.
pub(super) fn decode<T: DeserializeOwned>(text: &str, node: &Node) -> Result<T, Vec<Mistake>> {
    let mistakes = Mistakes { text, found: RefCell::default() };
    let decoded = T::deserialize(Decoder { node, mistakes: &mistakes });
    let result = decoded.map_err(|error| mistakes.record_error(node, error));
    match (result, mistakes.found.into_inner()) {
        (Ok(value), found) if found.is_empty() => Ok(value),
        (_, found) => Err(found),
    }
}

struct Mistakes<'t> {
    text: &'t str,
    found: RefCell<Vec<Mistake>>,
}

impl Mistakes<'_> {
    fn record(&self, span: Range<usize>, message: String, label: impl Into<String>, help: Option<String>) {
        self.found.borrow_mut().push(Mistake { span, message, label: label.into(), help });
    }

    /// Records what the model's own `Deserialize` refused in `node`.
    fn record_error(&self, node: &Node, error: Error) -> Error {
        match error {
            Error::Recorded => {}
            Error::MissingField(field) => self.record(
                node.span.clone(),
                format!("the field `{field}` is missing"),
                format!("`{field}` belongs in this mapping"),
                None,
            ),
            Error::Message(message) => self.record(node.span.clone(), message, "here", None),
        }
        Error::Recorded
    }

    fn unknown_field(&self, key: &Key, fields: &[&str]) {
        let help = match nearest(&key.name, fields) {
            Some(field) => format!("did you mean `{field}`? expected are {}", list_of(fields)),
            None => format!("expected are {}", list_of(fields)),
        };
        self.record(
            key.span.clone(),
            format!("unknown field `{}`", Printable(&key.name)),
            "not known here",
            Some(help),
        );
    }

    fn unknown_variant(&self, node: &Node, variants: &[&str]) {
        let (message, suggestion) = match &node.value {
            Value::String(text) => (format!("unknown value `{}`", Printable(text)), nearest(text, variants)),
            other => (format!("expected a name, found {}", other.describe()), None),
        };
        let help = match suggestion {
            Some(variant) => format!("did you mean `{variant}`? expected is one of {}", list_of(variants)),
            None => format!("expected is one of {}", list_of(variants)),
        };
        self.record(node.span.clone(), message, "not one of the values", Some(help));
    }

    fn wrong_type(&self, node: &Node, expected: &str) {
        let written = self.text.get(node.span.clone()).unwrap_or_default().trim();
        let scalar = matches!(node.value, Value::Bool(_) | Value::Number | Value::String(_));
        let help = match expected {
            "a string" if scalar => Some(format!("put it in quotes: \"{}\"", Printable(written))),
            "a list" if scalar => Some(format!("a list of one is written [{}]", Printable(written))),
            "a list" => Some("an empty list is written []".to_owned()),
            _ => None,
        };
        let message = format!("expected {expected}, found {}", node.value.describe());
        self.record(node.span.clone(), message, format!("must be {expected}"), help);
    }
}

#[derive(Debug)]
enum Error {
    /// Already among the mistakes.
    Recorded,
    MissingField(&'static str),
    Message(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Recorded => f.write_str("already recorded"),
            Error::MissingField(field) => write!(f, "the field `{field}` is missing"),
            Error::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error::Message(Printable(&message.to_string()).to_string())
    }

    fn missing_field(field: &'static str) -> Error {
        Error::MissingField(field)
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    node: &'a Node,
    mistakes: &'a Mistakes<'a>,
}

impl<'a> Decoder<'a> {
    fn child(self, node: &'a Node) -> Decoder<'a> {
        Decoder { node, mistakes: self.mistakes }
    }

    fn entries(self) -> Option<&'a [(Key, Node)]> {
        if let Value::Mapping(entries) = &self.node.value {
            return Some(entries);
        }
        self.mistakes.wrong_type(self.node, "a mapping");
        None
    }
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::Message("this field's type is not supported in documents".to_owned()))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Bool(value) = self.node.value else {
            self.mistakes.wrong_type(self.node, "true or false");
            return visitor.visit_bool(false);
        };
        visitor.visit_bool(value)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::String(value) = &self.node.value else {
            self.mistakes.wrong_type(self.node, "a string");
            return visitor.visit_str("");
        };
        visitor.visit_str(value)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let nodes: &[Node] = if let Value::Sequence(nodes) = &self.node.value {
            nodes
        } else {
            self.mistakes.wrong_type(self.node, "a list");
            &[]
        };
        visitor.visit_seq(Elements { decoder: self, nodes: nodes.iter() })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries = self.entries().unwrap_or_default();
        visitor.visit_map(Entries { decoder: self, rest: entries.iter(), value: None, fields: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let entries = self.entries().ok_or(Error::Recorded)?;
        for (key, _) in entries {
            if !fields.contains(&key.name.as_str()) {
                self.mistakes.unknown_field(key, fields);
            }
        }
        let access = Entries { decoder: self, rest: entries.iter(), value: None, fields: Some(fields) };
        visitor.visit_map(access).map_err(|error| self.mistakes.record_error(self.node, error))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = match &self.node.value {
            Value::String(text) => variants.iter().find(|variant| *variant == text),
            _ => None,
        };
        let variant = match variant.or_else(|| {
            self.mistakes.unknown_variant(self.node, variants);
            variants.first()
        }) {
            Some(variant) => *variant,
            None => return Err(Error::Recorded),
        };
        let deserializer: StrDeserializer<'_, Error> = variant.into_deserializer();
        visitor.visit_enum(deserializer)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct identifier ignored_any
    }
}

/// A list's elements. Serde gives one seed for each, so one that fails ends the visit; where that matters,
/// the caller decodes the elements one by one.
struct Elements<'a> {
    decoder: Decoder<'a>,
    nodes: std::slice::Iter<'a, Node>,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        seed.deserialize(self.decoder.child(node))
            .map(Some)
            .map_err(|error| self.decoder.mistakes.record_error(node, error))
    }
}

/// A mapping's entries; of a structure only those it has fields for.
struct Entries<'a> {
    decoder: Decoder<'a>,
    rest: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
    fields: Option<&'static [&'static str]>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let known = |key: &Key| self.fields.is_none_or(|fields| fields.contains(&key.name.as_str()));
        let Some((key, value)) = self.rest.find(|(key, _)| known(key)) else { return Ok(None) };
        self.value = Some(value);
        let deserializer: StrDeserializer<'_, Error> = key.name.as_str().into_deserializer();
        seed.deserialize(deserializer).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().ok_or(Error::Recorded)?;
        seed.deserialize(self.decoder.child(node))
    }
}
