//! JSON that is safe to look at.
//!
//! JSON leaves DEL, the C1 controls, line separators and bidirectional overrides as they are; a terminal acts
//! on them. What Moat writes carries what attackers name their files, so these are escaped too; it stays plain
//! JSON and reads back the same.

use std::io;

use moat_event::escape::is_unprintable;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// On one line, without the line feed.
pub fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    write(value, CompactFormatter)
}

/// Indented, without the last line feed.
pub fn pretty<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    write(value, PrettyFormatter::new())
}

fn write<T: Serialize, F: Formatter>(value: &T, layout: F) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(512);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Printable { layout }))?;
    String::from_utf8(bytes).map_err(|error| serde::ser::Error::custom(error.to_string()))
}

/// The layout of another formatter, with unprintable characters escaped.
struct Printable<F> {
    layout: F,
}

impl<F: Formatter> Formatter for Printable<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((before, from)) = rest.find(is_unprintable).and_then(|at| rest.split_at_checked(at)) {
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            for unit in characters.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.layout.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_reads_back_the_same() {
        let text = "a\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}txt.exe\u{2028}é漢🦀\u{e0041} \"\\";
        let value = BTreeMap::from([(text, vec![text, ""])]);
        for json in [line(&value).unwrap(), pretty(&value).unwrap()] {
            assert!(json.chars().all(|character| character == '\n' || !is_unprintable(character)), "{json}");
            assert!(json.contains("é漢🦀"), "{json}");
            assert_eq!(
                serde_json::from_str::<BTreeMap<String, Vec<String>>>(&json).unwrap(),
                BTreeMap::from([(text.to_owned(), vec![text.to_owned(), String::new()])])
            );
        }
        assert!(!line(&value).unwrap().contains('\n'));
    }
}
