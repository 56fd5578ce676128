//! Syslog messages (RFC 5424) with the event's fields as structured data.

use std::fmt::Write as _;

use moat_event::{Event, Severity, printable};

use super::cut;
use super::fields::{event_type, fields};

/// RFC 5424 §7.2.2 wants an enterprise number; this is the one for documentation (RFC 5612), for Moat has none.
const SD_ID: &str = "moat@32473";
/// What every receiver must take (RFC 5424 §6.1).
pub const SMALLEST: usize = 480;
/// Longest value of a field; a path may be this long (`PATH_MAX`).
const MAX_VALUE: usize = 4096;
const TRUNCATED: &str = " truncated=\"true\"";

/// One message of at most `max` bytes, without framing. Fields that do not fit are left out, the last first, and
/// `truncated="true"` says so.
pub fn encode(event: &Event, facility: u8, max: usize) -> String {
    let max = max.max(SMALLEST);
    let mut text = header(event, facility);
    let _ = write!(text, " [{SD_ID}");
    let message = printable(&event.message);
    // The message may take a third of what is left, the fields the rest.
    let message = cut(&message, message.len().min(max.saturating_sub(text.len() + 2) / 3));
    let room = max.saturating_sub(message.len() + "] ".len() + TRUNCATED.len());
    let mut truncated = message.len() < printable(&event.message).len();
    for (name, value) in fields(event) {
        let shown = printable(&value);
        let kept = cut(&shown, MAX_VALUE);
        let parameter = format!(" {name}=\"{}\"", escaped(kept));
        if text.len() + parameter.len() <= room {
            text.push_str(&parameter);
            truncated |= kept.len() < shown.len();
        } else {
            truncated = true;
        }
    }
    if truncated {
        text.push_str(TRUNCATED);
    }
    let _ = write!(text, "] {message}");
    text
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID`.
pub(super) fn header(event: &Event, facility: u8) -> String {
    let severity = match event.severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    let priority = u32::from(facility.min(23)) * 8 + severity;
    let time = event.timestamp.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    format!("<{priority}>1 {time} {} moat - {}", host(&event.node), event_type(event.event_type))
}

/// Printable ASCII without spaces (RFC 5424 §6.2.4).
fn host(node: &str) -> String {
    if node.is_empty() {
        return "-".into();
    }
    node.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(255).collect()
}

/// RFC 5424 §6.3.3. Control characters are gone already: receivers that frame by lines would be misled by them.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len() + 8);
    for character in value.chars() {
        if matches!(character, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn messages() {
        let lines: Vec<String> = samples::all().iter().map(|event| encode(event, 16, 8192)).collect();
        insta::assert_snapshot!(lines.join("\n\n"));
    }

    #[test]
    fn a_message_is_cut_to_the_receivers_size_and_says_so() {
        for max in [SMALLEST, 600, 1024, 2048] {
            for event in samples::all() {
                let whole = encode(&event, 16, 65_507);
                let text = encode(&event, 16, max);
                assert!(text.len() <= max, "{} of {max}: {text}", text.len());
                assert_eq!(text.contains("truncated=\"true\""), text.len() < whole.len(), "{max}: {text}");
                assert_eq!(parameters(&text)[0].1, event.id, "the id stays");
            }
        }
    }

    #[test]
    fn what_an_attacker_writes_ends_no_field_and_no_message() {
        let event = samples::hostile();
        let text = encode(&event, 16, 65_507);
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        let found = parameters(&text);
        let expected: Vec<(String, String)> =
            fields(&event).into_iter().map(|(name, value)| (name.into(), printable(&value).into())).collect();
        assert_eq!(found, expected);
    }

    /// Reads structured data as RFC 5424 §6.3 says; fails on any other text.
    fn parameters(text: &str) -> Vec<(String, String)> {
        let (_, mut rest) = text.split_once(&format!("[{SD_ID}")).expect("structured data");
        let mut found = Vec::new();
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"").expect("a name");
            assert!(!name.contains([' ', '"', ']', '=']), "{name}");
            let mut text = String::new();
            let mut characters = value.char_indices();
            loop {
                let (at, character) = characters.next().expect("an end");
                match character {
                    '"' => {
                        rest = &value[at + 1..];
                        break;
                    }
                    '\\' => text.push(characters.next().expect("an escaped character").1),
                    ']' => panic!("an unescaped bracket in {value}"),
                    _ => text.push(character),
                }
            }
            if name != "truncated" {
                found.push((name.to_owned(), text));
            }
        }
        assert!(rest.starts_with("] "), "{rest}");
        found
    }
}
