//! Regular expressions over bytes: one syntax for the evaluator, the index and the kernel's automata.
//!
//! Rust's syntax with Unicode classes off (`\w`, `\b`, `.` and `(?i)` are ASCII or single bytes): paths and
//! arguments are bytes, and the kernel matches byte by byte. `.` does not match a newline unless `(?s)` says so.

use std::fmt;

use regex_automata::{meta, util::syntax};

/// Above this, the engine's compiled form of one expression is refused, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// One compiled expression, searched for anywhere unless it anchors itself.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: meta::Regex,
}

#[derive(Debug, thiserror::Error)]
#[error("regular expression `{}`: {message}", text.escape_debug())]
pub struct PatternError {
    pub text: String,
    pub message: String,
}

/// How every expression is read.
pub(crate) fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        // No ahead-of-time automata: these expressions live in thousands, and few of them are ever searched.
        let config =
            meta::Config::new().utf8_empty(false).nfa_size_limit(Some(SIZE_LIMIT)).dfa(false).onepass(false);
        meta::Builder::new().configure(config).syntax(syntax()).build(text).map_or_else(
            |error| Err(PatternError { text: text.to_owned(), message: message(&error) }),
            |regex| Ok(Pattern { text: text.to_owned(), regex }),
        )
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_match(&self, input: &[u8]) -> bool {
        self.regex.is_match(input)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pattern").field(&self.text).finish()
    }
}

fn message(error: &meta::BuildError) -> String {
    if let Some(limit) = error.size_limit() {
        return format!("compiles to more than {limit} bytes; shorten its bounded repetitions");
    }
    error.syntax_error().map_or_else(|| error.to_string(), |syntax| last_line(&syntax.to_string()))
}

/// The syntax crate draws the expression over several lines and ends with `error: WHY`.
pub(crate) fn last_line(drawn: &str) -> String {
    let line = drawn.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
