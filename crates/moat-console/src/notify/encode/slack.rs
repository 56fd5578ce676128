//! Messages for Slack's incoming webhooks and those who take the same: one attachment an event.
//!
//! All that comes from inside a container stands in code spans, where neither Slack nor Mattermost nor Rocket.Chat
//! makes a mention, a link or an image of it.

use moat_event::{Event, Severity, printable};
use serde_json::{Value, json};

use super::cut;
use super::fields::{action, event_type};

/// Attachments of one message; people read no more, and Slack shows no more than twenty well.
pub const MOST: usize = 10;
const MAX_VALUE: usize = 300;

/// One message for all events; beyond the first [`MOST`] they are counted.
pub fn encode(events: &[Event]) -> serde_json::Result<Vec<u8>> {
    let worst = events.iter().map(|event| event.severity).max().unwrap_or_default();
    let text = match events {
        [event] => title(event),
        _ => format!("{} events, the worst of severity {worst}", events.len()),
    };
    let mut attachments: Vec<Value> = events.iter().take(MOST).map(attachment).collect();
    if let Some(more) = events.len().checked_sub(MOST).filter(|&more| more > 0) {
        let text = format!("and {more} more: see the console's events");
        attachments.push(json!({ "fallback": text, "text": text }));
    }
    serde_json::to_vec(&json!({ "text": text, "attachments": attachments }))
}

fn title(event: &Event) -> String {
    format!("{} {} ({})", event_type(event.event_type), action(event.action), event.severity)
}

fn attachment(event: &Event) -> Value {
    let color = match event.severity {
        Severity::Critical => "#a30200",
        Severity::High => "#e01e5a",
        Severity::Medium => "#ecb22e",
        Severity::Low => "#36c5f0",
        Severity::Info => "#9a9a9a",
    };
    let place: Vec<&str> = [&event.namespace, &event.pod_name, &event.container_name]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let rule: Vec<&str> =
        [&event.policy_name, &event.rule].into_iter().flatten().map(String::as_str).collect();
    let fields: Vec<Value> = [
        ("Where", place.join("/")),
        ("Policy", rule.join("/")),
        ("Program", event.process.as_ref().map(|process| process.executable.clone()).unwrap_or_default()),
        ("Node", event.node.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| json!({ "title": name, "value": code(&value), "short": true }))
    .collect();
    let title = title(event);
    json!({
        "color": color,
        "fallback": title,
        "title": title,
        "text": code(&event.message),
        "fields": fields,
        "ts": event.timestamp.as_second(),
        "mrkdwn_in": ["text", "fields"],
    })
}

/// A code span: what would end it is replaced, what is markup in JSON texts of Slack's is escaped.
fn code(text: &str) -> String {
    let text = printable(text);
    let kept = cut(&text, MAX_VALUE);
    let dots = if kept.len() < text.len() { "…" } else { "" };
    let escaped =
        kept.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "\u{2cb}");
    format!("`{escaped}{dots}`")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn pretty(events: &[Event]) -> String {
        let value: Value = serde_json::from_slice(&encode(events).expect("encoded")).expect("JSON");
        serde_json::to_string_pretty(&value).expect("text")
    }

    #[test]
    fn one_event() {
        insta::assert_snapshot!(pretty(&[samples::read()]));
    }

    #[test]
    fn hostile_event() {
        let text = pretty(&[samples::hostile()]);
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn many_events_are_one_message() {
        let events: Vec<Event> = std::iter::repeat_with(samples::loss).take(500).collect();
        let message: Value = serde_json::from_slice(&encode(&events).expect("encoded")).expect("JSON");
        let attachments = message["attachments"].as_array().expect("a list");
        assert_eq!(attachments.len(), MOST + 1);
        assert_eq!(attachments[MOST]["text"], "and 490 more: see the console's events");
    }
}
