//! The few colours, each with one meaning.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use moat_event::Severity;

pub const PLAIN: Style = Style::new();
pub const NAME: Style = Style::new().bold();
pub const QUIET: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();

pub fn severity(severity: Severity) -> Style {
    match severity {
        Severity::Info => QUIET,
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Medium => WARNING,
        Severity::High => AnsiColor::Red.on_default(),
        Severity::Critical => BAD,
    }
}

/// `text` in that style, and plain again after it.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
