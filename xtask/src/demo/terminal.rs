//! What the demo prints. Colours only on a terminal; text from containers escaped.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anstream::{print, println};
use anstyle::{AnsiColor, Style};
use moat_event::{Event, EventAction, EventType, Severity};
use serde::Serialize;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Longest text of a container that is shown on one line, in characters.
const SHOWN: usize = 160;

pub fn heading(text: &str) {
    println!("\n{BOLD}{text}{BOLD:#}");
}

/// `✔` or `✘` and what was tried.
pub fn outcome(met: bool, title: &str) {
    let (style, mark) = if met { (GOOD, '✔') } else { (BAD, '✘') };
    println!("{style}{mark}{style:#} {BOLD}{title}{BOLD:#}");
}

/// One aspect of what happened, under [`outcome`].
pub fn aspect(name: &str, text: &str) {
    println!("    {DIM}{name:<13}{DIM:#} {text}");
}

/// Runs `work` under a label that shows that something goes on.
pub async fn progress<T>(label: &str, work: impl Future<Output = T>) -> T {
    print!("  {label} ");
    let flush = || std::io::stdout().flush().unwrap_or_default();
    flush();
    let start = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_secs(2));
    // The first beat is at once.
    beat.tick().await;
    tokio::pin!(work);
    let value = loop {
        tokio::select! {
            value = &mut work => break value,
            _ = beat.tick() => {
                print!(".");
                flush();
            }
        }
    };
    println!("{DIM}({:.1} s){DIM:#}", start.elapsed().as_secs_f32());
    value
}

/// The first line that says something, with control characters escaped and the length limited.
pub fn gist(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut shown = String::new();
    for character in first.chars().take(SHOWN) {
        if character.is_control() {
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if first.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

/// The part of an event that every event begins with, as its JSON line has it.
pub fn event_line(event: &Event) -> String {
    /// The first nine fields of [`Event`].
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Beginning<'a> {
        timestamp: jiff::Timestamp,
        event_type: EventType,
        #[serde(skip_serializing_if = "Option::is_none")]
        policy_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pod_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        container_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_path: Option<&'a str>,
        action: EventAction,
        severity: Severity,
        message: &'a str,
    }
    let beginning = Beginning {
        timestamp: event.timestamp,
        event_type: event.event_type,
        policy_name: event.policy_name.as_deref(),
        pod_name: event.pod_name.as_deref(),
        container_name: event.container_name.as_deref(),
        file_path: event.file_path.as_deref(),
        action: event.action,
        severity: event.severity,
        message: &event.message,
    };
    serde_json::to_string(&beginning).unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gist_is_one_harmless_line() {
        assert_eq!(gist("\n  cat: \u{1b}[31mno\u{7}\nmore"), "cat: \\u{1b}[31mno\\u{7}");
        assert_eq!(gist(&"x".repeat(500)).chars().count(), SHOWN + 1);
        assert_eq!(gist(""), "");
    }
}
