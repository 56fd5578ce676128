//! An event as one line of JSON.
//!
//! JSON leaves DEL, the C1 controls, line separators and bidirectional overrides as they are; a terminal acts on
//! them. Events carry what attackers name their files, so these are escaped too; the line stays plain JSON.

use std::io;

use moat_event::Event;
use serde::Serialize;
use serde_json::ser::Formatter;

/// The event on one line, without the line feed.
pub fn json(event: &Event) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(512);
    event.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, TerminalSafe))?;
    String::from_utf8(bytes).map_err(|error| serde::ser::Error::custom(error.to_string()))
}

struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((before, after, found)) = split_at_unsafe(rest) {
            writer.write_all(before.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(found))?;
            rest = after;
        }
        writer.write_all(rest.as_bytes())
    }
}

fn split_at_unsafe(text: &str) -> Option<(&str, &str, char)> {
    let (at, found) = text.char_indices().find(|&(_, c)| is_unsafe(c))?;
    let (before, from) = text.split_at(at);
    Some((before, from.get(found.len_utf8()..)?, found))
}

/// Characters that move a terminal's cursor or reorder what it shows; all of them within the basic plane.
fn is_unsafe(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use moat_event::Severity;

    use super::*;
    use crate::events::system;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_reads_back_the_same() {
        let message = "a\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}txt.exe\u{2028}é漢🦀 \"\\";
        let event = system::event("node", Severity::Info, message.to_owned());
        let line = json(&event).unwrap();
        assert!(line.chars().all(|c| !c.is_control() && !is_unsafe(c)), "{line}");
        assert!(line.contains("é漢🦀"), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
